"""Benchmarks, runs and workers made through the actions that users and workers reach."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from evaluation.actions.benchmarks import refresh_benchmarks
from evaluation.actions.leases import Outcome, claim_run, finish_run, start_job
from evaluation.actions.records import sign_record
from evaluation.actions.runs import start_run
from evaluation.models import Benchmark, Run, Score, Worker
from hub.models import Organization, Repo, User
from tests.support.factories import make_repo

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
