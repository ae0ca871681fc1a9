"""One run from claim to end, whatever its kind."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from evaluation.actions import leases
from evaluation.actions.leases import Outcome, Progress
from evaluation.cage import Limits
from evaluation.child import Child, start_child
from evaluation.errors import JobFailed, LeaseLost, RunCancelled, RunInterrupted
from evaluation.models import ErrorFamily, Run, RunKind, RunState, Worker
from evaluation.runner import watch_child
from evaluation.submitted_files import file_key
from evaluation.verdicts import Outcome as JobOutcome
from evaluation.worker import workspace
from evaluation.worker.cache import trim_cache_now_and_then
from evaluation.worker.converting import Converting
from evaluation.worker.evaluating import Evaluation
from evaluation.worker.finetuning import Finetuning
from evaluation.worker.lease import LeaseKeeper
from evaluation.worker.presence import this_worker
from evaluation.worker.submitted import Submitted
from evaluation.worker.work import Desk, Work, as_failure, claim_folder
from evaluation.worker.workspace import Standby, Workspace
from hub.site import store
from hub.storage.errors import StorageError
from ml_core.errors import CoreError

logger = logging.getLogger(__name__)

WORKS: dict[str, type[Work]] = {
    RunKind.EVALUATE: Evaluation,
    RunKind.FINETUNE: Finetuning,
    RunKind.PREDICTIONS: Submitted,
    RunKind.CONVERT: Converting,
}
"""What is particular to each kind; all else is the same for all."""


def execute_next_run(*, worker: Worker | None = None) -> Run | None:
    """Claims the next run by fair share and executes it; None where nothing waits."""
    run = leases.claim_run(worker=worker or this_worker())
    if run is None:
        return None
    execute_run(run=run)
    trim_cache_now_and_then(
        settings.WORKER_DIR / "cache", limit_bytes=settings.WORKER_CACHE_LIMIT_BYTES
    )
    return run


def execute_run(*, run: Run) -> None:
    """Executes a claimed run and closes it, however it ends."""
    logger.info("run %s: attempt %s on %s", run.pk, run.attempt, run.worker)
    try:
        try:
            with LeaseKeeper(run) as keeper:
                outcome = _carry_out(run, keeper)
            close_old_connections()
            folder = claim_folder(run)
            leases.finish_run(run=run, outcome=outcome)
            _forget_lost_claims(run, but=folder)
        except LeaseLost:
            raise
        except RunCancelled:
            leases.fail_run(
                run=run, family=ErrorFamily.CANCELLED, code="cancelled", message="Cancelled."
            )
        except RunInterrupted:
            leases.release_run(run=run)
        except JobFailed as error:
            logger.info("run %s: %s %s", run.pk, error.family, error.code)
            leases.fail_run(
                run=run,
                family=error.family,
                code=error.code,
                message=error.message,
                details=_jsonable(error.details),
            )
        except Exception as error:
            logger.exception("run %s failed unexpectedly", run.pk)
            leases.fail_run(
                run=run,
                family=ErrorFamily.SYSTEM,
                code="internal",
                message=f"Unexpected {type(error).__name__}.",
            )
    except LeaseLost:
        logger.warning("run %s: the lease was lost, its work is thrown away", run.pk)
        _forget_claim(run)
    finally:
        workspace.try_stand_by()


def _carry_out(run: Run, keeper: LeaseKeeper) -> Outcome:
    """Everything from fetching to storing. Raises what ends a run."""
    kind = WORKS[run.kind]
    token = leases.issue_token(run=run)
    limits = workspace.limits_of(run.spec)
    standby = workspace.take_standby(kind.verb, limits)
    space = standby.space if standby else Workspace.make()
    late: threading.Thread | None = None
    try:
        work = kind(Desk(run, space, keeper, token))
        try:
            work.prepare()
            leases.start_job(run=run)
            child = _started(kind.verb, space, standby, limits)
            started = time.monotonic()
            ended = watch_child(
                child,
                space.job(kind.verb),
                on_event=work.relay,
                should_cancel=keeper.should_stop,
                parse=work.parse,
            )
            keeper.raise_if_stopped()
            _require_success(run, ended)
            keeper.report(Progress(phase="scoring"))
            return work.conclude(ended, time.monotonic() - started)
        finally:
            late = work.end()
    finally:
        if standby:
            standby.child.end()
        _remove(space, late)


def _started(verb: str, space: Workspace, standby: Standby | None, limits: Limits) -> Child:
    """The job at work: the warm child if it still waits, else a fresh one."""
    try:
        child = (
            standby.child
            if standby and standby.is_waiting
            else start_child(space.job(verb), cage=workspace.cage(), limits=limits)
        )
    except CoreError as error:
        raise as_failure(error) from error
    if child.process.stdin is not None:
        child.go()
    return child


def _remove(space: Workspace, late: threading.Thread | None) -> None:
    """The folders go, at once or when nobody needs them any more."""
    if late is None:
        space.remove()
        return

    def wait() -> None:
        late.join()
        space.remove()

    threading.Thread(target=wait, name="late", daemon=True).start()


def _require_success(run: Run, ended: JobOutcome) -> None:
    if ended.family is None:
        return
    if ended.stderr_tail and ended.family == "system":
        logger.warning("run %s: the job's last words: %s", run.pk, ended.stderr_tail[-2000:])
    raise JobFailed(ended.family, ended.code, ended.message, **ended.details)


def _forget_claim(run: Run) -> None:
    """Removes what a lost claim stored, unless the run was finished by this very claim."""
    folder = claim_folder(run)
    if Run.objects.filter(pk=run.pk, state=RunState.FINISHED, claimed_at=run.claimed_at).exists():
        return
    try:
        for stored in list(store().list(f"{folder}/")):
            store().delete(stored.key)
    except StorageError:
        logger.warning("run %s: what its lost claim stored is left behind", run.pk)


def _forget_lost_claims(run: Run, *, but: str) -> None:
    """Removes what earlier claims stored whose workers were lost, and leaves the folder `but` and
    what was handed in; checkpoints have rows, by which they are swept."""
    if run.attempt < 2:  # the first try is the only one
        return
    kept = (f"{but}/", file_key(run), *(f"{c.folder}/" for c in run.checkpoints.all()))
    try:
        for stored in list(store().list(f"runs/{run.pk}/")):
            if not stored.key.startswith(kept):
                store().delete(stored.key)
    except StorageError:
        logger.warning("run %s: what lost claims stored is left behind", run.pk)


def _jsonable(details: Any) -> dict[str, Any]:
    """`details` as JSON can hold them."""
    return dict(json.loads(json.dumps(dict(details), default=str)))
