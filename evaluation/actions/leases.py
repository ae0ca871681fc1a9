"""The worker's side of a run's life: claim, renew, end. And what happens when the worker does not.

Every change is one conditional update on the lease under which the run was claimed, so that a race
has one winner, and a worker that comes back late can write nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from evaluation.actions.leaderboards import place_run
from evaluation.actions.records import keep_key
from evaluation.actions.runs import NOT_STARTED, error_fields, note_run, ring_for, ring_to_publish
from evaluation.clock import shared_now
from evaluation.errors import JobFailed, LeaseLost
from evaluation.keepers import keeper_of
from evaluation.models import (
    HELD,
    ErrorFamily,
    Output,
    Run,
    RunKind,
    RunState,
    Score,
    Worker,
    states_before,
)
from evaluation.queries import next_run_ids
from evaluation.submitted_files import drop_file
from hub.actions.tokens import Grant, create_token
from hub.models import AccessToken, TokenScope, User

BACK_OFF_S = (5, 30, 120)
"""Pause before the second, third, … try after a fault of ours."""
CLAIM_TRIES = 10
TOKEN_MARGIN_S = 3600
"""How much longer than the job its token lives: fetching comes before, storing after."""
_RELEASED: dict[str, Any] = {"lease_token": "", "lease_expires_at": None, "access_token": None}


@dataclass(frozen=True)
class Progress:
    """How far a job has come. None leaves a value as it is."""

    phase: str | None = None
    items_done: int | None = None
    items_total: int | None = None
    items_per_s: float | None = None


@dataclass(frozen=True)
class Beat:
    """What the worker learns when it renews its lease."""

    is_cancel_requested: bool
    is_worker_stopping: bool


@dataclass(frozen=True)
class MadeFiles:
    """Files that a run has made, as they lie in the store (see `models.Output`)."""

    folder: str
    files: list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """All that a finished run leaves, committed together."""

    scores: list[Score]
    record: dict[str, Any]
    record_digest: str
    signature: str
    key_id: str = ""
    replay_verdict: str = ""
    predictions_key: str = ""
    predictions_sha256: str = ""
    predictions_size_bytes: int | None = None
    confusion: dict[str, Any] | None = None
    made: MadeFiles | None = None


def claim_run(*, worker: Worker) -> Run | None:
    """The next run by fair share, held by `worker` under a fresh lease.

    None if nothing waits in its pools, or the worker is to take nothing new.
    """
    if not Worker.objects.filter(
        pk=worker.pk, stopping_at__isnull=True, draining_at__isnull=True
    ).exists():
        return None
    for _ in range(CLAIM_TRIES):
        candidates = list(islice(next_run_ids(worker.pools), 3))
        if not candidates:
            return None
        for run_id in candidates:
            if (run := _claim(run_id, worker)) is not None:
                return run
    return None


def issue_token(*, run: Run) -> str:
    """A token with which the worker of `run` reads what the run reads.

    It dies with the lease. Raises `LeaseLost`; `JobFailed` where nobody owns the run any more.
    """
    reader = _reader_of(run)
    if reader is None:
        raise JobFailed(ErrorFamily.USER, "no_access", "The person who started the run is gone.")
    lifetime_s = run.spec["limits"]["wall_s"] + TOKEN_MARGIN_S
    with transaction.atomic():
        made = create_token(
            user=reader,
            name=f"run {run.pk}",
            scope=TokenScope.FINE_GRAINED,
            grants=[Grant(repo) for repo in run.read_repos],
            expires_at=shared_now() + timedelta(seconds=lifetime_s),
            is_internal=True,
        )
        if not _held(run).update(access_token=made.token):
            raise LeaseLost(str(run.pk))
    return made.text


def _reader_of(run: Run) -> User | None:
    """In whose name the worker reads.

    Predictions may come from somebody whom the gate of the data keeps out: who declared that the
    benchmark takes them lets it be read for that.
    """
    if run.kind == RunKind.PREDICTIONS and run.dataset is not None:
        return keeper_of(run.dataset)
    return run.owner


def start_job(*, run: Run) -> None:
    """The job itself begins. Raises `LeaseLost`."""
    now = shared_now()
    _change(run, RunState.RUNNING, started_at=now, heartbeat_at=now, lease_expires_at=_lease(now))


def heartbeat_run(*, run: Run, progress: Progress | None = None) -> Beat:
    """Renews the lease and notes progress. Raises `LeaseLost`."""
    now = shared_now()
    news = {k: v for k, v in vars(progress or Progress()).items() if v is not None}
    changed = _held(run).update(heartbeat_at=now, lease_expires_at=_lease(now), **news)
    if not changed:
        raise LeaseLost(str(run.pk))
    row = Run.objects.values(
        "is_cancel_requested", "worker__stopping_at", "worker__hands_back"
    ).get(pk=run.pk)
    is_stopping = row["worker__stopping_at"] is not None or bool(row["worker__hands_back"])
    return Beat(row["is_cancel_requested"], is_stopping)


def finish_run(*, run: Run, outcome: Outcome) -> None:
    """Commits all the run has to show, once. Raises `LeaseLost`, and then nothing is kept."""
    with transaction.atomic():
        _drop_token(run)
        _change(
            run,
            RunState.FINISHED,
            finished_at=shared_now(),
            record=outcome.record,
            record_digest=outcome.record_digest,
            signature=outcome.signature,
            key_id=outcome.key_id,
            replay_verdict=outcome.replay_verdict,
            predictions_key=outcome.predictions_key,
            predictions_sha256=outcome.predictions_sha256,
            predictions_size_bytes=outcome.predictions_size_bytes,
            confusion=outcome.confusion,
            phase="",
            **_RELEASED,
        )
        for score in outcome.scores:
            score.run = run
        Score.objects.bulk_create(outcome.scores)
        keep_key(key_id=outcome.key_id)
        place_run(run=run)
        drop_file(run, state=RunState.FINISHED)
        if outcome.made is not None:
            Output.objects.create(run=run, **vars(outcome.made))
            ring_to_publish(run)
        note_run("run.finished", run, None)


def fail_run(
    *, run: Run, family: str, code: str, message: str, details: dict[str, Any] | None = None
) -> None:
    """Closes the run with a reason; a fault of ours puts it back in the queue while tries remain.

    A run that somebody has asked to stop ends as cancelled, whatever else happened to it.

    Raises: LeaseLost.
    """
    with transaction.atomic():
        _drop_token(run)
        run.refresh_from_db(fields=["is_cancel_requested"])
        _end(run, _held(run), ErrorReason(family, code, message, details or {}))


def release_run(*, run: Run) -> None:
    """Puts the run back because its worker is told to stop; that try does not count.

    A run that somebody has asked to stop ends as cancelled: the queue knows nothing of that wish.

    Raises: LeaseLost.
    """
    with transaction.atomic():
        require_held(run)
        _drop_token(run)
        run.refresh_from_db(fields=["is_cancel_requested"])
        if run.is_cancel_requested:
            _end(run, _held(run), CANCELLED)
            return
        _change(run, RunState.QUEUED, attempt=F("attempt") - 1, **NOT_STARTED, **_RELEASED)
        note_run("run.released", run, None)
        ring_for(run)


def requeue_expired_runs(*, now: datetime | None = None) -> int:
    """Takes runs from workers that have not renewed their lease; returns how many."""
    now = now or shared_now()
    expired = Run.objects.filter(state__in=HELD, lease_expires_at__lt=now)
    return sum(_take_back(run, now) for run in expired.select_related("model_repo"))


@dataclass(frozen=True)
class ErrorReason:
    family: str
    code: str
    message: str
    details: dict[str, Any]

    def fields(self) -> dict[str, Any]:
        return error_fields(self.family, self.code, self.message, self.details)


CANCELLED = ErrorReason(ErrorFamily.CANCELLED, "cancelled", "Cancelled on request.", {})


def _take_back(run: Run, now: datetime) -> bool:
    """Whether the lease of `run` was still the expired one, and the run was taken."""
    reason = ErrorReason(
        ErrorFamily.SYSTEM, "worker_lost", "The worker stopped answering.", {"tries": run.attempt}
    )
    try:
        with transaction.atomic():
            _drop_token(run)
            _end(run, _held(run).filter(lease_expires_at__lt=now), reason)
    except LeaseLost:
        return False
    return True


def _end(run: Run, held: QuerySet[Run], reason: ErrorReason) -> None:
    """Takes the run from its worker: back to the queue where another try may help, else closed."""
    now = shared_now()
    if run.is_cancel_requested:
        reason = CANCELLED
    changes: dict[str, Any] = {"state_since": now, **reason.fields(), **_RELEASED}
    is_retried = reason.family == ErrorFamily.SYSTEM and run.attempt < settings.RUN_MAX_ATTEMPTS
    if is_retried:
        pause = timedelta(seconds=BACK_OFF_S[min(run.attempt, len(BACK_OFF_S)) - 1])
        changes |= {"state": RunState.QUEUED, "not_before": now + pause, **NOT_STARTED}
    else:
        is_cancelled = reason.family == ErrorFamily.CANCELLED
        state = RunState.CANCELLED if is_cancelled else RunState.FAILED
        changes |= {"state": state, "finished_at": now}
        drop_file(run, state=state, family=reason.family)
    if not held.filter(state__in=states_before(changes["state"])).update(**changes):
        raise LeaseLost(str(run.pk))
    note_run(f"run.{changes['state']}", run, None, code=reason.code, attempt=run.attempt)
    if is_retried:
        ring_for(run)


def _claim(run_id: Any, worker: Worker) -> Run | None:
    now = shared_now()
    changed = Run.objects.filter(pk=run_id, state=RunState.QUEUED, not_before__lte=now).update(
        state=RunState.PREPARING,
        state_since=now,
        worker=worker,
        lease_token=secrets.token_hex(16),
        lease_expires_at=_lease(now),
        heartbeat_at=now,
        claimed_at=now,
        attempt=F("attempt") + 1,
        phase="fetching",
        **error_fields("", "", "", None),
    )
    return Run.objects.with_names().get(pk=run_id) if changed else None


def _change(run: Run, state: RunState, **changes: Any) -> None:
    """Moves a run that is still held under its lease to `state`. Raises `LeaseLost`."""
    allowed = _held(run).filter(state__in=states_before(state))
    if not allowed.update(state=state, state_since=shared_now(), **changes):
        raise LeaseLost(str(run.pk))
    run.refresh_from_db()


def require_held(run: Run) -> None:
    """Locks the row for the caller's transaction. Raises `LeaseLost` where it is another's."""
    if not _held(run).select_for_update().exists():
        raise LeaseLost(str(run.pk))


def require_claim(run: Run) -> None:
    """As `require_held`, or the run was stopped on request while this claim held it, and nobody
    has gone on with it since. Raises `LeaseLost`."""
    stopped = Run.objects.filter(
        pk=run.pk, state=RunState.CANCELLED, claimed_at=run.claimed_at, claimed_at__isnull=False
    )
    if not (_held(run) | stopped).select_for_update().exists():
        raise LeaseLost(str(run.pk))


def _held(run: Run) -> QuerySet[Run]:
    """The row, as long as the lease is the one under which `run` was read."""
    return Run.objects.filter(pk=run.pk, state__in=HELD, lease_token=run.lease_token or "-")


def _drop_token(run: Run) -> None:
    held = _held(run).values("access_token_id")
    AccessToken.objects.filter(pk__in=held, is_internal=True).delete()


def _lease(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.RUN_LEASE_S)
