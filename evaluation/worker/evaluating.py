"""Runs that evaluate: inputs without what is right go in, answers come out and are scored here."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from django.conf import settings
from django.utils import timezone

from evaluation.actions.leases import Outcome, Progress
from evaluation.actions.records import (
    Measured,
    SampleFile,
    build_dry_record,
    build_record,
    sign_record,
)
from evaluation.errors import JobFailed
from evaluation.models import Run, Score
from evaluation.replays import replay_facts
from evaluation.stream import Event, parse_event
from evaluation.verdicts import Outcome as JobOutcome
from evaluation.worker.background import Background
from evaluation.worker.fetch import fetch_model
from evaluation.worker.inputs import Job, prepare_job
from evaluation.worker.samples import input_digests, with_inputs, write_samples
from evaluation.worker.work import (
    Desk,
    as_failure,
    claim_folder,
    digests_below,
    job_facts,
    relay_progress,
    worker_facts,
)
from evaluation.worker.workspace import Workspace
from ml_core.answers.kind import Answered
from ml_core.assessment import assess
from ml_core.data.rows import open_plain_file, sha256_of
from ml_core.data.withhold import INPUTS_FILE
from ml_core.errors import CoreError
from ml_core.evalfile import Halves
from ml_core.evalfile.submissions import PRIVATE, PUBLIC
from ml_core.evaluate.evaluation import (
    PREDICTIONS_FILE,
    RESULT_FILE,
    refuse_too_many_errors,
    setting_of,
)
from ml_core.records import from_json, to_json
from ml_core.results import Confusion, EvaluationResult, MetricSlices, Scores
from ml_core.verify.recomputing import items_digest

MAX_RESULT_BYTES = 64 << 20
MAX_CONFUSION_LABELS = 40
DRY_ROWS = 8
"""Items that a model answers in a dry run."""


@dataclass(frozen=True)
class Said:
    """What a job says of the model and of how it ran, as JSON values for the record."""

    model: dict[str, Any]
    label_map: dict[str, Any]
    execution: dict[str, Any]
    environment: dict[str, str]


@dataclass(frozen=True)
class _Scored:
    """What was made of a job's answers."""

    predictions: Answered
    scores: Scores
    samples: SampleFile
    rows: pa.Table


class Evaluation:
    """A model on a benchmark version."""

    verb: ClassVar[str] = "evaluate"

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.job: Job | None = None
        self.digests: Background[Digests] | None = None

    @staticmethod
    def parse(line: bytes) -> Event | None:
        return parse_event(line)

    def prepare(self) -> None:
        desk, space, spec = self.desk, self.desk.space, self.desk.run.spec
        desk.keeper.report(Progress(phase="fetching"))
        model, dataset = desk.source("model"), desk.source("dataset")
        base = desk.source("base") if "base" in spec else None

        def prepare() -> Job:
            fetch_model(model, space.model)
            if base is not None:
                space.base.mkdir()
                fetch_model(base, space.base)
            desk.keeper.report(Progress(phase="preparing"))
            return prepare_job(
                spec,
                dataset=dataset,
                model=space.model,
                inputs=space.inputs,
                hidden=space.hidden,
                memory=settings.WORKER_DIR / "splits",
                base=None if base is None else space.base,
            )

        self.job = desk.beside(prepare)
        self.digests = Background(partial(digests_of, space, self.job))
        asked = self.job.withheld.spec
        if desk.run.is_dry_run:
            asked = replace(asked, data=replace(asked.data, limit=DRY_ROWS))
        asked.write(space.spec)

    def relay(self, event: dict[str, Any]) -> None:
        relay_progress(self.desk.keeper, event)

    def end(self) -> None:
        """Nothing is left under way."""

    def conclude(self, ended: JobOutcome, job_s: float) -> Outcome:
        assert self.job is not None
        desk, job, space = self.desk, self.job, self.desk.space
        if desk.run.is_dry_run:
            return self._dry_outcome()
        samples_path = space.hidden / "samples.parquet"
        try:
            scored = desk.beside(partial(_score, job, space, samples_path, _halves(desk.run)))
            said = self.said()
        except CoreError as error:
            raise as_failure(error) from error
        scores = scored.scores
        desk.keeper.report(Progress(phase="storing"))
        execution = {
            **said.execution,
            "n_missing": scored.predictions.n_missing,
            "job": job_facts(ended, job_s),
        }
        measured = self._measured(said, scores, execution, scored.samples)
        created = timezone.now().isoformat()
        record = build_record(run=desk.run, measured=measured, created=created)
        if desk.run.replay_of is not None:
            record["replay"] = replay_facts(run=desk.run, samples=scored.rows, found=record)
        signed = sign_record(record=record)
        desk.keeper.raise_if_stopped()
        samples_key = f"{claim_folder(desk.run)}/predictions.parquet"
        desk.put_file(samples_key, samples_path)
        return Outcome(
            scores=score_rows(scores),
            record=record,
            record_digest=signed.digest,
            signature=signed.signature,
            key_id=signed.key_id,
            replay_verdict=record.get("replay", {}).get("verdict", ""),
            predictions_key=samples_key,
            predictions_sha256=scored.samples.sha256,
            predictions_size_bytes=scored.samples.size_bytes,
            confusion=_confusion(scores.confusion),
        )

    def said(self) -> Said:
        """What the job says of itself. Raises `JobFailed`."""
        result = _read_result(self.desk.space)
        facts: Any = result.to_json()  # a JSON object
        return Said(
            facts["model"],
            dict(result.label_map),
            facts["execution"],
            dict(result.environment),
        )

    def _dry_outcome(self) -> Outcome:
        """A job that ended well has passed every check; nothing is scored."""
        record = build_dry_record(run=self.desk.run, created=timezone.now().isoformat())
        signed = sign_record(record=record)
        return Outcome([], record, signed.digest, signed.signature, signed.key_id)

    def _measured(
        self, said: Said, scores: Scores, execution: dict[str, Any], samples: SampleFile
    ) -> Measured:
        assert self.job is not None
        assert self.digests is not None
        kind, truth = self.job.kind, self.job.withheld.truth
        digests = self.digests.wait(check=self.desk.keeper.raise_if_stopped)
        return Measured(
            model=said.model,
            model_files=digests.model,
            base_files=digests.base,
            data_files=digests.data,
            items_sha256=items_digest(truth.item_ids),
            labels=list(kind.label_names(truth)),
            label_map=said.label_map,
            execution=execution,
            environment=said.environment,
            results=_results(scores),
            samples=samples,
            worker=worker_facts(self.desk.run),
            examples=[example.item_id for example in self.job.spec.examples],
        )


def _halves(run: Run) -> Halves | None:
    given = run.spec["task"].get("halves")
    return from_json(Halves, given) if given else None


def _score(job: Job, space: Workspace, samples_path: Path, halves: Halves | None) -> _Scored:
    """The answers read, checked and held against what is right. Raises `CoreError`."""
    kind, truth = job.kind, job.withheld.truth
    predictions = kind.read(space.out / PREDICTIONS_FILE, truth)
    refuse_too_many_errors(predictions, job.spec.max_error_share)
    found = assess(
        kind,
        predictions,
        truth,
        job.withheld.marks,
        metrics=job.spec.metrics,
        setting=setting_of(job.spec, predictions),
        halves=halves,
    )
    rows, inputs = found.samples, space.inputs / INPUTS_FILE
    if inputs.is_file():
        rows = with_inputs(rows, input_digests(inputs))
    samples = write_samples(rows, samples_path)
    return _Scored(predictions, found.scores, samples, rows)


def score_rows(scores: Scores) -> list[Score]:
    """Rows for the metrics, the main one first."""
    halves = {entry.metric: _sides(entry) for entry in scores.halves}
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
            public_value=halves.get(metric.name, {}).get(PUBLIC),
            private_value=halves.get(metric.name, {}).get(PRIVATE),
        )
        for position, metric in enumerate(scores.metrics)
    ]


def _sides(entry: MetricSlices) -> dict[str, float | None]:
    return {group.group: group.score.value for group in entry.slices.groups}


def _read_result(space: Workspace) -> EvaluationResult:
    try:
        with open_plain_file(space.out / RESULT_FILE, max_bytes=MAX_RESULT_BYTES) as stream:
            return EvaluationResult.from_json(json.load(stream))
    except (OSError, ValueError, RecursionError) as error:
        text = "The job ended well but left no usable result."
        raise JobFailed("system", "result_invalid", text) from error


def _results(scores: Scores) -> dict[str, Any]:
    """What the record says of the scores; the matrix lies beside it."""
    results = dict(to_json(scores))
    del results["confusion"]
    return results


@dataclass(frozen=True)
class Digests:
    """SHA-256 of files by path in their repositories."""

    model: dict[str, str]
    base: dict[str, str]
    data: dict[str, str]


def digests_of(space: Workspace, job: Job) -> Digests:
    return Digests(
        digests_below(space.model),
        digests_below(space.base),
        {name: sha256_of(path) for name, path in job.files.items()},
    )


def _confusion(confusion: Confusion | None) -> dict[str, Any] | None:
    """The whole matrix where it can be looked at; beyond that the samples hold it."""
    if confusion is None or len(confusion.labels) > MAX_CONFUSION_LABELS:
        return None
    n_labels = len(confusion.labels)
    counts = [[0] * n_labels for _ in range(n_labels)]
    for row, column, count in confusion.cells:
        counts[row][column] = count
    return {"labels": list(confusion.labels), "counts": counts}
