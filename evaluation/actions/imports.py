"""Importing a log: its scores become claims of a model on a benchmark."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from django.db import IntegrityError, transaction

from evaluation.exports.metric_names import our_name
from evaluation.imports import Logged, LoggedTask, LogUnreadable, read_log
from evaluation.models import Benchmark, Claim, ImportedLog
from hub.actions.audit import record
from hub.errors import Conflict, InvalidInput
from hub.models import Repo, User
from hub.quotas import require_room
from hub.site import git_of, store

MAX_LOGS_OF_MODEL = 200


def import_log(
    *,
    model: Repo,
    revision: str,
    benchmark: Benchmark,
    raw: bytes,
    filename: str,
    acting_user: User,
    task: str = "",
    metrics: Mapping[str, str] | None = None,
) -> ImportedLog:
    """Keeps the log and claims its scores; the caller has checked access to model and benchmark.

    Args:
        task: which of the log's tasks; it may be left out where there is one.
        metrics: from names in the log to the benchmark's; else those of like names are taken.

    Raises:
        RevisionNotFound: the model has no such revision.
        InvalidInput: the log cannot be read, or says nothing about the benchmark.
        Conflict: the same log is imported already, or there are too many.
    """
    commit = git_of(model).resolve(revision or "main")
    try:
        logged = read_log(raw)
    except LogUnreadable as error:
        raise InvalidInput(str(error)) from error
    chosen = _chosen(logged, task)
    scores = _scores(chosen, benchmark, metrics or {})
    if ImportedLog.objects.filter(model_repo=model).count() >= MAX_LOGS_OF_MODEL:
        raise Conflict(f"A model has at most {MAX_LOGS_OF_MODEL} imported logs; remove some.")
    require_room(model.namespace, len(raw))
    digest = hashlib.sha256(raw).hexdigest()
    log = ImportedLog(
        model_repo=model,
        model_commit=commit,
        benchmark=benchmark,
        importer=acting_user,
        program=logged.program,
        program_version=logged.version,
        logged_model=logged.model,
        logged_task=chosen.name,
        scores=scores,
        filename=re.sub(r"[^\w.-]+", "-", filename).strip("-.")[:150] or "log",
        sha256=digest,
        size_bytes=len(raw),
    )
    log.key = f"imports/{log.pk}"
    store().put_bytes(log.key, raw)
    try:
        with transaction.atomic():
            log.save(force_insert=True)
            Claim.objects.bulk_create(_claims(log, logged))
            record(verb="claims.imported", actor=acting_user, target=str(log.pk), repo=model)
    except IntegrityError:
        store().delete(log.key)
        raise Conflict("This log is imported already for that commit and benchmark.") from None
    return log


def remove_log(*, log: ImportedLog, acting_user: User) -> None:
    """Takes the log and what it claims away; the caller has checked access."""
    key, target = log.key, str(log.pk)
    with transaction.atomic():
        record(verb="claims.removed", actor=acting_user, target=target, repo=log.model_repo)
        log.delete()
        transaction.on_commit(lambda: store().delete(key))


def _chosen(logged: Logged, name: str) -> LoggedTask:
    """The task that the importer means."""
    with_scores = [task for task in logged.tasks if task.scores]
    if name:
        found = [task for task in with_scores if task.name == name]
        if found:
            return found[0]
    elif len(with_scores) == 1:
        return with_scores[0]
    names = ", ".join(task.name for task in with_scores[:20])
    raise InvalidInput(f"Say which task of the log is meant: {names}.")


def _scores(
    task: LoggedTask, benchmark: Benchmark, wanted: Mapping[str, str]
) -> list[dict[str, object]]:
    """The scores that are of the benchmark's metrics, each metric once."""
    assert benchmark.current is not None
    known = benchmark.current.metrics
    strange = sorted(set(wanted.values()) - set(known))
    if strange:
        raise InvalidInput(f"This benchmark measures {', '.join(known)}, not {strange[0][:80]}.")
    missing = sorted(set(wanted) - {score.name for score in task.scores})
    if missing:
        raise InvalidInput(f"The log has no score called {missing[0][:80]}.")
    found: dict[str, dict[str, object]] = {}
    for score in task.scores:
        metric = wanted.get(score.name) if wanted else our_name(_plain(score.name), known)
        if metric is not None and metric not in found:
            found[metric] = {
                "metric": metric,
                "logged_as": score.name,
                "value": score.value,
                "se": score.se,
                "n": task.n,
            }
    if not found:
        names = ", ".join(score.name for score in task.scores[:20])
        ours = ", ".join(known)
        raise InvalidInput(f"The log scores {names}; here it is {ours}. Say which is which.")
    return [found[metric] for metric in known if metric in found]


def _plain(name: str) -> str:
    """`acc` of `acc,none`, and `accuracy` of `match/accuracy`."""
    return name.partition(",")[0].rpartition("/")[2]


def _claims(log: ImportedLog, logged: Logged) -> list[Claim]:
    program = f"{log.program} {log.program_version}".strip()
    return [
        Claim(
            model_repo=log.model_repo,
            imported=log,
            filename=log.filename,
            dataset_name=log.benchmark.dataset.full_name.lower(),
            task_id=log.benchmark.task_id,
            metric=str(score["metric"]),
            value=score["value"],
            source={"name": program[:200]},
            notes=f"{score['logged_as']} of {log.logged_task}"[:1000],
            claimed_at=logged.created[:40],
        )
        for score in log.scores
    ]
