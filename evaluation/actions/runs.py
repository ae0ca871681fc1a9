"""Starting, cancelling and trying again: what people do with runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from evaluation.bases import Base
from evaluation.errors import RunClosed, RunLimitReached
from evaluation.limits import require_allowance, submitter_of
from evaluation.models import (
    ACTIVE,
    HELD,
    BenchmarkVersion,
    ErrorFamily,
    Priority,
    Run,
    RunKind,
    RunState,
)
from evaluation.pools import assign_pool, evaluation_need, queue_of
from evaluation.queries import LIMIT_WINDOW, runs_counted_against
from evaluation.spec import build_spec
from evaluation.submitted_files import drop_file
from hub.actions.audit import record
from hub.actions.repos import DEFAULT_BRANCH
from hub.doorbell import ring
from hub.errors import Conflict, InvalidInput
from hub.models import Repo, User
from hub.rates import take
from hub.site import git_of
from hub.storable import storable, storable_text
from hub.vcs import Repository
from ml_core.evaluate.tasks import get_task

MAX_HISTORY = 20_000
MAX_LABEL_MAP = 2000
NOT_STARTED: dict[str, Any] = {
    "worker": None,
    "claimed_at": None,
    "started_at": None,
    "phase": "",
    "items_done": 0,
    "items_total": None,
    "items_per_s": None,
    "is_cancel_requested": False,
}
"""What a run in the queue knows of work already done on it: nothing."""


@dataclass(frozen=True)
class Started:
    """`is_new` is False where a run of the same commit on the same version was under way."""

    run: Run
    is_new: bool


def start_run(
    *,
    model_repo: Repo,
    version: BenchmarkVersion,
    acting_user: User,
    revision: str = DEFAULT_BRANCH,
    label_map: dict[str, str | None] | None = None,
    priority: Priority = Priority.NORMAL,
    is_dry_run: bool = False,
    base: Base | None = None,
) -> Started:
    """A queued run of the model at `revision`, frozen to commits; the caller has checked access.

    Asking twice does no work twice: a run of the same commit that is still under way is returned,
    whoever started it; all who may start one may see it. A dry run is new, and its owner's alone.

    Raises:
        RevisionNotFound: the model has no such revision.
        InvalidInput: the label map cannot be used, or the model is too large for every pool.
        Conflict: a run of that commit with another label map or base is under way.
        RunLimitReached: the user has started as many as allowed within a day.
        SubmissionsClosed, SubmissionLimitReached: the benchmark's own rules.
    """
    _check_label_map(label_map)
    _require_takes_models(version)
    git = git_of(model_repo)
    commit = git.resolve(revision or DEFAULT_BRANCH)
    spec = build_spec(
        model_repo=model_repo, model_commit=commit, version=version, label_map=label_map, base=base
    )
    wanted = {
        "kind": RunKind.EVALUATE,
        "model_repo": model_repo,
        "model_commit": commit,
        "benchmark_version": version,
        "dataset": version.benchmark.dataset,
        "is_dry_run": is_dry_run,
    }
    if not is_dry_run and (active := _active_run(wanted)) is not None:
        return _joined(active, spec)
    place = _pool_for(spec, base or Base(model_repo, commit), version)
    check_start(acting_user, is_dry_run=is_dry_run)
    height = commit_height(git, commit)
    submitter = submitter_of(acting_user, model_repo)
    try:
        with transaction.atomic():
            if not is_dry_run:
                require_allowance(version, submitter, acting_user)
            run = Run.objects.create(
                **wanted, **place, owner=acting_user, submitter=submitter, priority=priority,
                spec=spec | {"dry_run": True} if is_dry_run else spec, model_height=height,
                base_repo=base.repo if base else None,
            )  # fmt: skip
            note_run("run.started", run, acting_user)
            ring_for(run)
    except IntegrityError:
        if (active := _active_run(wanted)) is None:
            raise
        return _joined(active, spec)
    return Started(run, is_new=True)


def cancel_run(*, run: Run, acting_user: User) -> Run:
    """Stops a waiting run at once, and asks the worker of a held one to stop.

    Raises: RunClosed.
    """
    now = timezone.now()
    with transaction.atomic():
        error = error_fields(ErrorFamily.CANCELLED, "cancelled", "Cancelled on request.", None)
        closed = Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(
            state=RunState.CANCELLED, state_since=now, finished_at=now, **error
        )
        asked = closed or Run.objects.filter(pk=run.pk, state__in=HELD).update(
            is_cancel_requested=True
        )
        if not asked:
            raise RunClosed
        if closed:
            drop_file(run, state=RunState.CANCELLED)
        note_run("run.cancelled" if closed else "run.cancel_requested", run, acting_user)
    run.refresh_from_db()
    return run


def requeue_run(*, run: Run, acting_user: User) -> Run:
    """An operator's second try of a failed run, with all tries before it.

    Raises: RunClosed: it is not failed. Conflict: the same is under way in another run.
    """
    try:
        with transaction.atomic():
            changed = Run.objects.filter(pk=run.pk, state=RunState.FAILED).update(
                state=RunState.QUEUED,
                state_since=timezone.now(),
                not_before=timezone.now(),
                attempt=0,
                finished_at=None,
                **error_fields("", "", "", None),
                **NOT_STARTED,
            )
            if not changed:
                raise RunClosed("Only a failed run can be tried again.")
            note_run("run.requeued", run, acting_user)
            ring_for(run)
    except IntegrityError:
        raise Conflict("The same model commit is already under way on this benchmark.") from None
    run.refresh_from_db()
    return run


def prioritize_run(*, run: Run, priority: Priority, acting_user: User) -> Run:
    """Moves a waiting run before or behind others. Raises `RunClosed` where it does not wait."""
    with transaction.atomic():
        waiting = Run.objects.filter(pk=run.pk, state=RunState.QUEUED)
        if not waiting.update(priority=priority):
            raise RunClosed("Only a run that waits can be moved.")
        note_run("run.prioritized", run, acting_user, priority=Priority(priority).name.lower())
    run.refresh_from_db()
    return run


def commit_height(git: Repository, commit_sha: str) -> int | None:
    """Number of commits up to `commit_sha` on the default branch; None if it is not on it."""
    history = git.log(git.resolve(DEFAULT_BRANCH), limit=MAX_HISTORY)
    if all(commit.sha != commit_sha for commit in history):
        return None
    return git.count_commits(commit_sha)


def error_fields(
    family: str, code: str, message: str, details: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "error_family": family,
        "error_code": code,
        "error_message": storable_text(message),
        "error_details": storable(details or {}),
    }


def _pool_for(spec: dict[str, Any], weights: Base, version: BenchmarkVersion) -> dict[str, Any]:
    """The fields of a run that waits where the weights have room. Raises InvalidInput."""
    need = evaluation_need(model=weights.repo, commit=weights.commit, task=version.spec)
    return assign_pool(spec, need)


def _active_run(wanted: dict[str, Any]) -> Run | None:
    return Run.objects.with_names().filter(**wanted, replay_of=None, state__in=ACTIVE).first()


def _joined(active: Run, spec: dict[str, Any]) -> Started:
    for name, words in {"label_map": "label map", "base": "base"}.items():
        if active.spec.get(name) != spec.get(name):
            raise Conflict(
                f"This commit is already under way on this benchmark with another {words}. "
                "Wait for that run to end, or cancel it."
            )
    return Started(active, is_new=False)


def _check_label_map(label_map: dict[str, str | None] | None) -> None:
    if label_map is not None and not 0 < len(label_map) <= MAX_LABEL_MAP:
        raise InvalidInput(f"A label map has 1 to {MAX_LABEL_MAP} entries.")


def _require_takes_models(version: BenchmarkVersion) -> None:
    require_active(version)
    if not get_task(version.spec["type"]).runner:
        raise InvalidInput(_("This benchmark takes files of predictions, not models."))


def require_active(version: BenchmarkVersion) -> None:
    """Raises InvalidInput for a benchmark that is no longer declared."""
    if not version.benchmark.is_active:
        raise InvalidInput("This benchmark is retired: its data set no longer declares it.")


def check_start(user: User, *, is_dry_run: bool) -> None:
    """Raises `RunLimitReached`; `RateLimited` for who does nothing but dry runs."""
    if is_dry_run:
        take("dry_run", user)
    else:
        check_run_limit(user)


def check_run_limit(user: User) -> None:
    """Raises `RunLimitReached` for who has started as many as allowed within a day."""
    limit = settings.RUN_DAILY_LIMIT
    if not limit or user.is_superuser:
        return
    times = list(runs_counted_against(user).values_list("queued_at", flat=True)[:limit])
    if len(times) == limit:
        wait = times[-1] + LIMIT_WINDOW - timezone.now()
        raise RunLimitReached(
            f"You have started {limit} runs within a day, which is the limit here. "
            "Runs that were cancelled or failed by our fault do not count.",
            retry_after_s=max(1, math.ceil(wait.total_seconds())),
        )


def note_run(verb: str, run: Run, actor: User | None, **details: Any) -> None:
    record(
        verb=verb, actor=actor, target=str(run.pk), repo=run.model_repo or run.dataset, **details
    )


def ring_to_publish(run: Run) -> None:
    from evaluation.tasks import publish_output  # tasks name their actions: a cycle at import

    ring(publish_output, str(run.pk))


def ring_for(run: Run) -> None:
    from evaluation.tasks import execute_run  # tasks name their actions: a cycle at import

    ring(execute_run, str(run.pk), queue=queue_of(run.pool))
