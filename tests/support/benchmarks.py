"""Benchmarks, runs and workers made through the actions that users and workers reach."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from django.utils import timezone

from evaluation.actions.benchmarks import refresh_benchmarks
from evaluation.actions.leases import Outcome, claim_run, finish_run, start_job
from evaluation.actions.records import Measured, SampleFile, build_record, sign_record
from evaluation.actions.runs import start_run
from evaluation.models import Benchmark, Run, Score, Worker
from evaluation.replays import replay_facts
from hub.models import Organization, Repo, User
from hub.site import store
from tests.support.factories import make_repo

if TYPE_CHECKING:
    from ml_core.assessment import Assessment

_numbers = itertools.count(1)

EVAL_YAML = """\
name: Film reviews
description: Is a review of a film friendly?
evaluation_framework: modelguild
tasks:
  - id: sentiment
    type: text-classification
    split: test
    labels: [negative, positive]
    metrics: [accuracy, macro_f1]
    chance: 0.5
    baselines:
      - name: Always positive
        accuracy: 0.5
"""
CSV = (
    "item_id,text,label\n"
    "a,a good film with a fine story,positive\n"
    "b,a bad film with a dull story,negative\n"
    "c,this was a very long and very good day,positive\n"
    "d,nobody liked the end of it,negative\n"
)


def make_benchmark(
    owner: User | Organization,
    name: str | None = None,
    *,
    is_private: bool = False,
    eval_yaml: str = EVAL_YAML,
    csv: str = CSV,
) -> Benchmark:
    """The one benchmark of a new data set."""
    dataset = make_repo(
        owner,
        name or f"reviews{next(_numbers)}",
        repo_type="dataset",
        is_private=is_private,
        files={"eval.yaml": eval_yaml, "test.csv": csv},
    )
    refresh_benchmarks(dataset=dataset)
    return Benchmark.objects.select_related("current", "dataset__namespace").get(dataset=dataset)


def make_model(owner: User | Organization, name: str | None = None, **kwargs: Any) -> Repo:
    """A model repository with a file; nothing that could be loaded."""
    files = {"config.json": "{}"} if "files" not in kwargs else kwargs.pop("files")
    return make_repo(owner, name or f"model{next(_numbers)}", files=files, **kwargs)


def make_run(
    benchmark: Benchmark, model: Repo, user: User, *, revision: str = "main", **kwargs: Any
) -> Run:
    """A queued run."""
    assert benchmark.current is not None
    return start_run(
        model_repo=model,
        version=benchmark.current,
        acting_user=user,
        revision=revision,
        **kwargs,
    ).run


def make_worker(name: str | None = None, *, slots: int = 1, is_alive: bool = True) -> Worker:
    """A row of a worker; no process stands behind it."""
    now = timezone.now()
    return Worker.objects.create(
        name=name or f"evaluate@host{next(_numbers)}",
        pools=["cpu"],
        slots=slots,
        device="2 × test",
        started_at=now,
        heartbeat_at=now if is_alive else now - timedelta(hours=1),
    )


def outcome(value: float | None = 0.75, *, half_width: float = 0.1, n: int = 100) -> Outcome:
    """What a worker would commit for a run with this accuracy."""
    low, high = (None, None) if value is None else (value - half_width, value + half_width)
    score = Score(
        metric="accuracy", position=0, value=value, n=n, ci_low=low, ci_high=high, se=half_width / 2
    )
    record = {"schema": "test", "samples": {"sha256": "0" * 64}, "value": value}
    signed = sign_record(record=record)
    return Outcome(
        scores=[score],
        record=record,
        record_digest=signed.digest,
        signature=signed.signature,
        key_id=signed.key_id,
        predictions_key="runs/test/predictions.parquet",
        predictions_sha256="0" * 64,
        predictions_size_bytes=1,
        confusion=None,
    )


def finish(run: Run, value: float | None = 0.75, *, half_width: float = 0.1) -> Run:
    """Brings a queued run to its end with this accuracy, as a worker would."""
    held = claim_run(worker=Worker.objects.first() or make_worker())
    assert held is not None
    assert held.pk == run.pk
    start_job(run=held)
    finish_run(run=held, outcome=outcome(value, half_width=half_width))
    held.refresh_from_db()
    return held


def finished_run(
    benchmark: Benchmark, model: Repo, user: User, value: float | None = 0.75, **kwargs: Any
) -> Run:
    half_width = kwargs.pop("half_width", 0.1)
    return finish(make_run(benchmark, model, user, **kwargs), value, half_width=half_width)


def measured_run(
    benchmark: Benchmark,
    model: Repo,
    user: User,
    said: Sequence[str | None],
    right: Sequence[str],
    **more: Any,
) -> Run:
    """A finished run with these answers to these items, its rows in the store."""
    return measure(make_run(benchmark, model, user), said, right, **more)


def measure(
    run: Run,
    said: Sequence[str | None],
    right: Sequence[str],
    *,
    clusters: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
    sure: float = 0.8,
    execution: dict[str, Any] | None = None,
) -> Run:
    """Brings a queued run to its end with these answers, as a worker would."""
    from ml_core.answers.label import KIND
    from ml_core.assessment import assess
    from ml_core.data.labels import Truth
    from ml_core.data.marks import Marks
    from ml_core.data.predictions import MISSING, Predictions
    from ml_core.metrics import Setting

    labels = tuple(sorted(set(right)))
    places = {None: MISSING} | {label: at for at, label in enumerate(labels)}
    index = np.array([places[each] for each in said])
    rows = np.where(np.arange(len(labels)) == index[:, None], sure, (1 - sure) / (len(labels) - 1))
    rows[index == MISSING] = np.nan
    n, ids = len(said), tuple(f"item-{at}" for at in range(len(said)))
    predictions = Predictions(
        ids, labels, index, rows.astype(np.float32), np.zeros(n, bool), (None,) * n
    )
    truth = Truth(ids, np.array([places[each] for each in right]), labels)
    marks = Marks(tuple(clusters) if clusters else None, tuple(groups) if groups else None)
    assert run.benchmark_version is not None
    found = assess(
        KIND,
        predictions,
        truth,
        marks,
        metrics=run.benchmark_version.metrics,
        setting=Setting(predictions.n_missing, 200, 0),
    )
    held = claim_after(run)
    outcome = _measured_outcome(held, found, ids, labels, execution or {})
    finish_run(run=held, outcome=outcome)
    held.refresh_from_db()
    return held


def claim_after(run: Run) -> Run:
    """The queued run as a worker holds it that has begun."""
    held = claim_run(worker=Worker.objects.first() or make_worker())
    assert held is not None
    assert held.pk == run.pk
    start_job(run=held)
    return held


def _measured_outcome(
    run: Run,
    found: Assessment,
    ids: tuple[str, ...],
    labels: tuple[str, ...],
    execution: dict[str, Any],
) -> Outcome:
    from evaluation.worker.evaluating import _confusion, _results, score_rows
    from ml_core.verify.recomputing import items_digest

    key = f"runs/{run.pk}/measured/predictions.parquet"

    buffer = io.BytesIO()
    pq.write_table(found.samples, buffer)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    store().put_bytes(key, data)
    samples = SampleFile(digest, len(data), len(ids), found.samples.column_names)
    measured = Measured(
        model={}, model_files={}, data_files={}, items_sha256=items_digest(ids),
        labels=list(labels), label_map={}, execution=execution, environment={},
        results=_results(found.scores), samples=samples, worker={},
    )  # fmt: skip
    record = build_record(run=run, measured=measured, created=timezone.now().isoformat())
    if run.replay_of is not None:
        record["replay"] = replay_facts(run=run, samples=found.samples, found=record)
    signed = sign_record(record=record)
    return Outcome(
        replay_verdict=record.get("replay", {}).get("verdict", ""),
        scores=score_rows(found.scores),
        record=record,
        record_digest=signed.digest,
        signature=signed.signature,
        key_id=signed.key_id,
        predictions_key=key,
        predictions_sha256=digest,
        predictions_size_bytes=len(data),
        confusion=_confusion(found.scores.confusion),
    )
