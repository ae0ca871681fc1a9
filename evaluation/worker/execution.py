"""One run from claim to record."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from evaluation.actions import leases
from evaluation.actions.leases import Outcome, Progress
from evaluation.actions.records import Measured, build_record, sign_record
from evaluation.child import start_child
from evaluation.errors import JobFailed, LeaseLost, RunCancelled, RunInterrupted
from evaluation.models import ErrorFamily, Run, Score, Worker
from evaluation.runner import watch_child
from evaluation.verdicts import Outcome as JobOutcome
from evaluation.worker import workspace
from evaluation.worker.background import Background
from evaluation.worker.cache import trim_cache_now_and_then
from evaluation.worker.fetch import Source, fetch_model
from evaluation.worker.inputs import Job, as_failure, prepare_job
from evaluation.worker.lease import LeaseKeeper
from evaluation.worker.presence import this_worker
from evaluation.worker.samples import items_digest, write_samples
from evaluation.worker.workspace import Workspace
from hub.site import store
from hub.storage.errors import StorageError
from ml_core.answers.kind import Answered
from ml_core.assessment import assess
from ml_core.data.rows import open_plain_file, sha256_of
from ml_core.errors import CoreError
from ml_core.evaluate.evaluation import (
    PREDICTIONS_FILE,
    RESULT_FILE,
    refuse_too_many_errors,
    setting_of,
)
from ml_core.records import to_json
from ml_core.results import Confusion, EvaluationResult, Scores

logger = logging.getLogger(__name__)

MAX_RESULT_BYTES = 64 << 20
MAX_CONFUSION_LABELS = 40


def execute_next_run(*, worker: Worker | None = None) -> Run | None:
    """Claims the next run by fair share and executes it; None where nothing waits."""
    worker = worker or this_worker()
    if worker.stopping_at is not None:
        return None
    run = leases.claim_run(worker=worker)
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
                outcome = _evaluate(run, keeper)
            close_old_connections()
            leases.finish_run(run=run, outcome=outcome)
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
        _forget_samples(run)
    finally:
        workspace.try_stand_by()


def _evaluate(run: Run, keeper: LeaseKeeper) -> Outcome:
    """Everything from fetching to storing. Raises what ends a run."""
    token = leases.issue_token(run=run)
    limits = workspace.limits_of(run.spec)
    standby = workspace.take_standby(limits)
    space = standby.space if standby else Workspace.make()
    try:
        job = _prepare(run, token, space, keeper)
        digests = Background(partial(_digests, space, job))
        leases.start_job(run=run)
        job.withheld.spec.write(space.spec)
        try:
            child = (
                standby.child
                if standby and standby.is_waiting
                else start_child(space.job(), cage=workspace.cage(), limits=limits)
            )
        except CoreError as error:
            raise as_failure(error) from error
        if child.process.stdin is not None:
            child.go()
        started = time.monotonic()
        ended = watch_child(
            child,
            space.job(),
            on_event=partial(_relay, keeper),
            should_cancel=keeper.should_stop,
        )
        keeper.raise_if_stopped()
        _require_success(run, ended)
        keeper.report(Progress(phase="scoring"))
        return _conclude(run, space, job, ended, digests, keeper, time.monotonic() - started)
    finally:
        if standby:
            standby.end()
        space.remove()


def _prepare(run: Run, token: str, space: Workspace, keeper: LeaseKeeper) -> Job:
    """Model and inputs in place, while the run can still be cancelled."""
    keeper.report(Progress(phase="fetching"))
    source = partial(
        Source,
        endpoint=settings.HUB_URL,
        token=token,
        cache_dir=settings.WORKER_DIR / "cache",
    )
    spec = run.spec
    model = source(spec["model"]["repo"], "model", spec["model"]["commit"])
    dataset = source(spec["dataset"]["repo"], "dataset", spec["dataset"]["commit"])

    def prepare() -> Job:
        fetch_model(model, space.model)
        keeper.report(Progress(phase="preparing"))
        return prepare_job(
            spec,
            dataset=dataset,
            model=space.model,
            inputs=space.inputs,
            hidden=space.hidden,
            memory=settings.WORKER_DIR / "splits",
        )

    return Background(prepare).wait(check=keeper.raise_if_stopped)


def _relay(keeper: LeaseKeeper, event: dict[str, Any]) -> None:
    """What the job says, as progress of the run."""
    if event.get("event") == "phase" and event.get("phase") in ("loading", "running", "scoring"):
        keeper.report(Progress(phase=str(event["phase"])))
    elif event.get("event") == "progress":
        done, total, rate = (event.get(name) for name in ("done", "total", "per_second"))
        if isinstance(done, int) and isinstance(total, int) and 0 <= done <= total < 2**31:
            is_rate = isinstance(rate, (int, float)) and 0 < rate < 1e12
            keeper.report(
                Progress(
                    items_done=done,
                    items_total=total,
                    items_per_s=float(rate) if is_rate else None,  # type: ignore[arg-type]
                )
            )


def _require_success(run: Run, ended: JobOutcome) -> None:
    if ended.family is None:
        return
    if ended.stderr_tail and ended.family == "system":
        logger.warning("run %s: the job's last words: %s", run.pk, ended.stderr_tail[-2000:])
    raise JobFailed(ended.family, ended.code, ended.message, **ended.details)


def _conclude(
    run: Run,
    space: Workspace,
    job: Job,
    ended: JobOutcome,
    digests: Background[tuple[dict[str, str], dict[str, str]]],
    keeper: LeaseKeeper,
    job_s: float,
) -> Outcome:
    """From the job's files to the outcome: nothing in them is believed unchecked."""
    kind, truth = job.kind, job.withheld.truth
    try:
        predictions = kind.read(space.out / PREDICTIONS_FILE, truth)
        refuse_too_many_errors(predictions, job.spec.max_error_share)
        setting = setting_of(job.spec, predictions)
        found = assess(
            kind, predictions, truth, job.withheld.marks, metrics=job.spec.metrics, setting=setting
        )
        result = _read_result(space)
    except CoreError as error:
        raise as_failure(error) from error
    scores = found.scores
    samples_path = space.hidden / "samples.parquet"
    samples = write_samples(found.samples, samples_path)
    keeper.report(Progress(phase="storing"))
    model_files, data_files = digests.wait(check=keeper.raise_if_stopped)
    parts = result.to_json()
    measured = Measured(
        model=dict(parts["model"]),  # type: ignore[call-overload]  # a JSON object
        model_files=model_files,
        data_files=data_files,
        items_sha256=items_digest(truth.item_ids),
        labels=list(kind.label_names(truth)),
        label_map=dict(result.label_map),
        execution=_execution(parts, predictions, ended, job_s),
        environment=dict(result.environment),
        results=_results(scores),
        samples=samples,
        worker=_worker_facts(run),
    )
    record = build_record(run=run, measured=measured, created=timezone.now().isoformat())
    signed = sign_record(record=record)
    keeper.raise_if_stopped()
    _store_samples(run, samples_path)
    return Outcome(
        scores=_score_rows(scores),
        record=record,
        record_digest=signed.digest,
        signature=signed.signature,
        predictions_key=samples_key(run),
        predictions_sha256=samples.sha256,
        predictions_size_bytes=samples.size_bytes,
        confusion=_confusion(scores.confusion),
    )


def _results(scores: Scores) -> dict[str, Any]:
    """What the record says of the scores; the matrix lies beside it."""
    results = dict(to_json(scores))
    del results["confusion"]
    return results


def samples_key(run: Run) -> str:
    """Where this claim stores its samples: each its own place, so that none spoils another's."""
    return f"runs/{run.pk}/{run.lease_token[:8]}/predictions.parquet"


def _read_result(space: Workspace) -> EvaluationResult:
    try:
        with open_plain_file(space.out / RESULT_FILE, max_bytes=MAX_RESULT_BYTES) as stream:
            return EvaluationResult.from_json(json.load(stream))
    except (OSError, ValueError, RecursionError) as error:
        text = "The job ended well but left no usable result."
        raise JobFailed("system", "result_invalid", text) from error


def _execution(
    parts: dict[str, Any], predictions: Answered, ended: JobOutcome, job_s: float
) -> dict[str, Any]:
    return {
        **parts["execution"],
        "n_missing": predictions.n_missing,
        "job": {
            "wall_s": round(job_s, 3),
            "cpu_s": ended.cpu_s,
            "peak_memory_bytes": ended.peak_memory_bytes,
            "confinement": dict(ended.confinement),
        },
    }


def _worker_facts(run: Run) -> dict[str, Any]:
    worker = run.worker
    return {
        "worker": worker.name if worker else "",
        "device": worker.device if worker else "",
        "versions": dict(worker.versions) if worker else {},
    }


def _digests(space: Workspace, job: Job) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of the model's files and of the split's, by path in their repositories."""
    model = {
        path.relative_to(space.model).as_posix(): sha256_of(path)
        for path in sorted(space.model.rglob("*"))
        if path.is_file() and path.stat().st_size
    }
    return model, {name: sha256_of(path) for name, path in job.files.items()}


def _store_samples(run: Run, path: Any) -> None:
    try:
        store().put_file(samples_key(run), path)
    except StorageError as error:
        text = "The per-sample file could not be stored."
        raise JobFailed("system", "storage_unavailable", text) from error


def _forget_samples(run: Run) -> None:
    """Removes what a lost attempt stored, unless the run was finished by this very attempt."""
    kept = Run.objects.filter(pk=run.pk, predictions_key=samples_key(run)).exists()
    if not kept:
        with suppress(StorageError):
            store().delete(samples_key(run))


def _score_rows(scores: Scores) -> list[Score]:
    return [
        Score(
            metric=metric.name,
            position=position,
            value=metric.value,
            direction=metric.direction,
            n=metric.n,
            n_missing=metric.n_missing,
            se=metric.se,
            ci_low=metric.ci_low,
            ci_high=metric.ci_high,
            method=metric.method[:200],
        )
        for position, metric in enumerate(scores.metrics)
    ]


def _confusion(confusion: Confusion | None) -> dict[str, Any] | None:
    """The whole matrix where it can be looked at; beyond that the samples hold it."""
    if confusion is None or len(confusion.labels) > MAX_CONFUSION_LABELS:
        return None
    n_labels = len(confusion.labels)
    counts = [[0] * n_labels for _ in range(n_labels)]
    for row, column, count in confusion.cells:
        counts[row][column] = count
    return {"labels": list(confusion.labels), "counts": counts}


def _jsonable(details: Any) -> dict[str, Any]:
    """`details` as JSON can hold them."""
    return dict(json.loads(json.dumps(dict(details), default=str)))
