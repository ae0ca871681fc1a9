"""What a maintainer sees first: what runs, who works, what fills the disk, what is failing."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat, truncatechars
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from contributions.queries import recent_contributions
from evaluation.models import Incident, Run, RunState, Worker
from hub.models import CommitScan, Repo, RepoType, User, Verdict
from hub.usage import storage_totals

Table = dict[str, Any]
RECENT = timedelta(hours=24)
ROWS = 8


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's hook: adds the dashboard to the context of the admin's first page."""
    return context | {
        "incidents": _incidents(),
        "counters": _counters(),
        "run_states": _run_states(),
        "workers": _workers(),
        "storage": _storage(),
        "contributions": _contributions(request),
        "failing_runs": _failing_runs(),
        "failing_scans": _failing_scans(),
    }


def _incidents() -> Table | None:
    """What is wrong now, and what was within a day; None where all has been well."""
    recent = Q(resolved_at__isnull=True) | Q(resolved_at__gte=timezone.now() - RECENT)
    rows = [
        [
            incident.get_kind_display(),
            incident.subject,
            truncatechars(incident.text, 160),
            _("open") if incident.is_open else _("over"),
            _ago(incident.opened_at),
        ]
        for incident in Incident.objects.filter(recent).order_by(
            F("resolved_at").desc(nulls_first=True), "-opened_at"
        )[:ROWS]
    ]
    headers = [_("Incident"), _("Where"), _("What"), _("State"), _("Since")]
    return {"headers": headers, "rows": rows} if rows else None


def _counters() -> list[dict[str, Any]]:
    alive = Worker.objects.alive().count()
    return [
        {"title": _("Users"), "value": User.objects.count(), "url": _list("hub", "user")},
        {"title": _("Models"), "value": _repos(RepoType.MODEL), "url": _list("hub", "repo")},
        {"title": _("Data sets"), "value": _repos(RepoType.DATASET), "url": _list("hub", "repo")},
        {"title": _("Spaces"), "value": _repos(RepoType.SPACE), "url": _list("hub", "repo")},
        {"title": _("Workers alive"), "value": alive, "url": _list("evaluation", "worker")},
    ]


def _repos(repo_type: RepoType) -> int:
    return Repo.objects.filter(repo_type=repo_type).count()


def _run_states() -> Table:
    """Runs that wait or work now, and those that ended within a day."""
    since = timezone.now() - RECENT
    waiting = [RunState.QUEUED, RunState.PREPARING, RunState.RUNNING]
    ended = [RunState.FINISHED, RunState.FAILED, RunState.CANCELLED]
    counts = dict(
        Run.objects.filter(state__in=waiting).values_list("state").annotate(Count("pk"))
    ) | dict(
        Run.objects.filter(state__in=ended, finished_at__gte=since)
        .values_list("state")
        .annotate(Count("pk"))
    )
    rows = [[state.label, counts.get(state.value, 0)] for state in (*waiting, *ended)]
    return {"headers": [_("State"), _("Runs")], "rows": rows}


def _workers() -> Table:
    rows = [
        [
            worker.name,
            _worker_state(worker),
            ", ".join(worker.pools),
            _ago(worker.heartbeat_at),
        ]
        for worker in Worker.objects.order_by("-heartbeat_at")[:ROWS]
    ]
    return {"headers": [_("Worker"), _("State"), _("Pools"), _("Heard of")], "rows": rows}


def _worker_state(worker: Worker) -> str:
    if not worker.is_alive:
        return _("gone")
    return _("draining") if worker.draining_at else _("alive")


def _storage() -> Table:
    """What repositories hold, what is stored for it, and what the disk has left."""
    held = storage_totals()
    disk = shutil.disk_usage(settings.DATA_DIR)
    saved = f"{held.saving_ratio:.2f} ×" if held.saving_ratio else "–"
    rows = [
        [_("Large files of all repositories"), "", filesizeformat(held.logical_large_bytes)],
        [_("Git repositories"), "", filesizeformat(held.logical_git_bytes)],
        [_("Large files, plain"), held.plain_count, filesizeformat(held.plain_bytes)],
        [_("Xet containers"), held.xorb_count, filesizeformat(held.xorb_bytes)],
        [_("Held to stored"), "", saved],
        [_("Marked by collection"), "", filesizeformat(held.condemned_bytes)],
        [_("Damaged and set aside"), held.quarantined_count, ""],
        [_("Disk free"), "", f"{filesizeformat(disk.free)} / {filesizeformat(disk.total)}"],
    ]
    return {"headers": [_("What"), _("Number"), _("Size")], "rows": rows}


def _contributions(request: HttpRequest) -> Table:
    rows = [
        [
            change.actor,
            format_html('<a href="{}">{}</a>', change.repo.url_path, change.repo.full_name),
            truncatechars(change.title, 60),
            _ago(change.created_at),
        ]
        for change in recent_contributions(request.user, limit=ROWS)
    ]
    return {"headers": [_("Who"), _("Repository"), _("Change"), _("When")], "rows": rows}


def _failing_runs() -> Table:
    failed = Run.objects.with_names().filter(state=RunState.FAILED).order_by("-finished_at")
    rows = [
        [
            format_html('<a href="{}">{}</a>', run.url_path, str(run.id)[:8]),
            run.name,
            run.get_error_family_display(),
            truncatechars(run.error_message, 80),
            _ago(run.finished_at or run.queued_at),
        ]
        for run in failed[:ROWS]
    ]
    headers = [_("Run"), _("Model"), _("Whose fault"), _("Reason"), _("When")]
    return {"headers": headers, "rows": rows}


def _failing_scans() -> Table:
    bad = [Verdict.DANGEROUS, Verdict.SUSPICIOUS, Verdict.FAILED]
    scans = CommitScan.objects.filter(verdict__in=bad).select_related("repo__namespace")
    rows = [
        [
            format_html('<a href="{}">{}</a>', scan.repo.url_path, scan.repo.full_name),
            scan.commit_sha[:8],
            scan.get_verdict_display(),
            _ago(scan.finished_at or scan.queued_at),
        ]
        for scan in scans.order_by("-queued_at")[:ROWS]
    ]
    return {"headers": [_("Repository"), _("Commit"), _("Verdict"), _("When")], "rows": rows}


def _ago(when: Any) -> str:
    return _("%(time)s ago") % {"time": timesince(when, depth=1)}


def _list(app: str, model: str) -> str:
    return reverse(f"admin:{app}_{model}_changelist")
