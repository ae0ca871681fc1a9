"""What maintainers see of evaluation. Changes go through the same actions as everybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from evaluation.actions.leaderboards import rebuild_board
from evaluation.actions.runs import cancel_run, prioritize_run, requeue_run
from evaluation.actions.shares import drop_share, set_share
from evaluation.actions.workers import drain_worker, resume_worker
from evaluation.models import (
    Benchmark,
    BenchmarkFile,
    BenchmarkVersion,
    Incident,
    LeaderboardEntry,
    Priority,
    Run,
    Score,
    Share,
    Worker,
)
from hub.errors import HubError
from hub.models import User

STATE_LOOKS = {
    "queued": "info",
    "preparing": "info",
    "running": "warning",
    "finished": "success",
    "failed": "danger",
    "cancelled": "default",
}


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only the platform writes."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class ScoreInline(TabularInline):
    model = Score
    extra = 0
    can_delete = False
    fields = readonly_fields = ["metric", "value", "ci_low", "ci_high", "n", "n_missing", "method"]

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = [
        "page",
        "kind",
        "shown_state",
        "subject",
        "owner",
        "worker",
        "attempt",
        "queued_at",
    ]
    list_filter = ["state", "error_family", "error_code", "kind", "pool", "priority", "worker"]
    search_fields = ["id", "model_repo__name", "model_repo__namespace__name", "owner__username"]
    date_hierarchy = "queued_at"
    ordering = ["-queued_at"]
    list_select_related = [
        "owner",
        "worker",
        "model_repo__namespace",
        "dataset__namespace",
        "benchmark_version__benchmark",
    ]
    inlines = [ScoreInline]
    exclude = ["lease_token", "access_token"]
    actions = ["cancel_chosen", "requeue_chosen", "put_first", "put_back"]

    @display(description="run", ordering="model_repo")
    def page(self, run: Run) -> str:
        return format_html('<a href="{}">{}</a>', run.url_path, run.name)

    @display(description="state", ordering="state", label=STATE_LOOKS)
    def shown_state(self, run: Run) -> str:
        return run.state

    @display(description="benchmark or data set")
    def subject(self, run: Run) -> str:
        return str(run.benchmark_version or run.dataset or "")

    @action(description="Cancel", permissions=["view"])
    def cancel_chosen(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        _each(self, request, runs, lambda run, user: cancel_run(run=run, acting_user=user))

    @action(description="Try again (failed runs)", permissions=["view"])
    def requeue_chosen(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        _each(self, request, runs, lambda run, user: requeue_run(run=run, acting_user=user))

    @action(description="Put before all others (runs that wait)", permissions=["view"])
    def put_first(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        self._prioritize(request, runs, Priority.URGENT)

    @action(description="Put back in turn (runs that wait)", permissions=["view"])
    def put_back(self, request: HttpRequest, runs: QuerySet[Run]) -> None:
        self._prioritize(request, runs, Priority.NORMAL)

    def _prioritize(self, request: HttpRequest, runs: QuerySet[Run], priority: Priority) -> None:
        def change(run: Run, user: User) -> Run:
            return prioritize_run(run=run, priority=priority, acting_user=user)

        _each(self, request, runs, change)


WORKER_LOOKS = {"takes runs": "success", "draining": "warning", "gone": "danger"}


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ["name", "condition", "slots", "pools", "device", "heartbeat_at", "started_at"]
    search_fields = ["name", "device"]
    ordering = ["-heartbeat_at"]
    actions = ["drain_chosen", "hand_back_chosen", "resume_chosen"]

    @display(description="state", label=WORKER_LOOKS)
    def condition(self, worker: Worker) -> str:
        if not worker.is_alive:
            return "gone"
        return "draining" if worker.draining_at else "takes runs"

    @action(description="Drain: take nothing new, finish what is held", permissions=["view"])
    def drain_chosen(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._drain(request, workers, hands_back=False)

    @action(description="Drain now: hand back what is held", permissions=["view"])
    def hand_back_chosen(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        self._drain(request, workers, hands_back=True)

    @action(description="Take runs again", permissions=["view"])
    def resume_chosen(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        assert isinstance(request.user, User)
        for worker in workers:
            resume_worker(worker=worker, acting_user=request.user)

    def _drain(self, request: HttpRequest, workers: QuerySet[Worker], *, hands_back: bool) -> None:
        assert isinstance(request.user, User)
        for worker in workers:
            drain_worker(worker=worker, acting_user=request.user, hands_back=hands_back)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Rows of workers that are gone may be cleared away."""
        return not isinstance(obj, Worker) or not obj.is_alive


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    list_display = ["kind", "subject", "text", "opened_at", "resolved_at", "told_at"]
    list_filter = ["kind"]
    search_fields = ["subject", "text"]
    ordering = ["-opened_at"]


@admin.register(Share)
class ShareAdmin(ModelAdmin):
    """Weights of users and organisations; whoever has none counts as 1."""

    list_display = ["namespace", "weight", "note", "changed_at"]
    search_fields = ["namespace__name", "note"]
    autocomplete_fields = ["namespace"]
    fields = ["namespace", "weight", "note"]
    list_select_related = ["namespace"]

    def get_readonly_fields(self, request: HttpRequest, obj: Share | None = None) -> list[str]:
        return ["namespace"] if obj else []

    def save_model(self, request: HttpRequest, obj: Share, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        saved = set_share(
            namespace=obj.namespace, weight=obj.weight, note=obj.note, acting_user=request.user
        )
        obj.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: Share) -> None:
        assert isinstance(request.user, User)
        drop_share(share=obj, acting_user=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Share]) -> None:
        for share in queryset.select_related("namespace"):
            self.delete_model(request, share)


class VersionInline(TabularInline):
    model = BenchmarkVersion
    fk_name = "benchmark"
    extra = 0
    can_delete = False
    fields = readonly_fields = ["number", "commit_sha", "spec_digest", "created_at"]

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Benchmark)
class BenchmarkAdmin(ReadOnlyAdmin):
    list_display = ["page", "dataset", "task_id", "task_type", "is_active", "created_at"]
    list_filter = ["task_type", "is_active"]
    search_fields = ["name", "dataset__name", "dataset__namespace__name"]
    list_select_related = ["dataset__namespace", "current"]
    inlines = [VersionInline]
    actions = ["rebuild_boards"]

    @display(description="benchmark", ordering="name")
    def page(self, benchmark: Benchmark) -> str:
        return format_html('<a href="{}">{}</a>', benchmark.url_path, benchmark.name)

    @action(description="Rebuild the leaderboards from the runs", permissions=["view"])
    def rebuild_boards(self, request: HttpRequest, benchmarks: QuerySet[Benchmark]) -> None:
        versions = BenchmarkVersion.objects.filter(benchmark__in=benchmarks)
        count = sum(rebuild_board(version=version) for version in versions)
        self.message_user(request, _("%(n)d entries.") % {"n": count}, messages.SUCCESS)


@admin.register(BenchmarkFile)
class BenchmarkFileAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "commit_sha", "n_problems", "read_at"]
    search_fields = ["dataset__name", "dataset__namespace__name"]
    ordering = ["-read_at"]
    list_select_related = ["dataset__namespace"]

    @display(description="problems")
    def n_problems(self, file: BenchmarkFile) -> int:
        return len(file.problems)


@admin.register(LeaderboardEntry)
class LeaderboardEntryAdmin(ReadOnlyAdmin):
    list_display = ["name", "benchmark_version", "value", "ci_low", "ci_high"]
    search_fields = ["model_repo__name", "benchmark_version__benchmark__name"]
    list_select_related = ["model_repo__namespace", "benchmark_version__benchmark"]


@admin.register(Score)
class ScoreAdmin(ReadOnlyAdmin):
    list_display = ["run", "metric", "value", "ci_low", "ci_high", "n", "n_missing"]
    list_filter = ["metric"]
    search_fields = ["run__id", "run__model_repo__name"]
    list_select_related = ["run"]


def _each(
    model_admin: ModelAdmin,
    request: HttpRequest,
    runs: QuerySet[Run],
    change: Callable[[Run, User], Run],
) -> None:
    """Carries out `change` where it is possible, and says how often it was."""
    assert isinstance(request.user, User)
    refused: list[str] = []
    done = 0
    for run in runs:
        try:
            change(run, request.user)
            done += 1
        except HubError as error:
            refused.append(error.message)
    if done:
        text = ngettext("%(n)d run changed.", "%(n)d runs changed.", done) % {"n": done}
        model_admin.message_user(request, text, messages.SUCCESS)
    for text in sorted(set(refused)):
        model_admin.message_user(request, text, messages.WARNING)
