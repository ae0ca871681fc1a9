"""How good a model is on the rows held back, and whether it is better than another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ml_core.answers.kind import AnswerKind, Collected
from ml_core.answers.tags import TagPredictions, TagTruth
from ml_core.arrays import Floats
from ml_core.comparing import compare
from ml_core.data.labels import LabelMap, Truth
from ml_core.data.rows import write_rows
from ml_core.data.schema import Items
from ml_core.directions import Direction
from ml_core.metrics import Setting
from ml_core.metrics.spans import count_tags, f1_of, iob2_scheme
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue, PredictionsFile, Scores
from ml_core.statistics.bootstrap import estimate_sums, ratio_of_sums
from ml_core.statistics.comparison import Comparison, Question
from ml_core.statistics.paired import compare_means, compare_sums

LOSSES = pa.schema([("item_id", pa.string()), ("loss", pa.float64()), ("units", pa.int64())])


@dataclass(frozen=True)
class Judged:
    """What a model answered, and what that is worth. `answers` are the judge's own."""

    scores: Scores
    answers: Any

    def value(self, metric: str) -> MetricValue:
        """Raises KeyError."""
        return {m.name: m for m in self.scores.metrics}[metric]


class Judge(Protocol):
    """Scores collected answers, and holds two sets of them against each other.

    `metrics` come the main one first.
    """

    @property
    def metrics(self) -> tuple[str, ...]: ...
    @property
    def direction(self) -> Direction: ...
    def judge(self, collected: Collected, *, n_draws: int) -> Judged: ...
    def compare(self, base: Judged, candidate: Judged, *, n_draws: int) -> Comparison: ...
    def write(self, judged: Judged, path: Path) -> PredictionsFile: ...


@dataclass(frozen=True)
class KindJudge:
    """By the answer kind and the metrics of a family of tasks."""

    kind: AnswerKind[Any, Any, LabelMap]
    items: Items
    truth: Any
    fit: LabelMap
    metrics: tuple[str, ...]
    seed: int

    @property
    def direction(self) -> Direction:
        return self.kind.metric(self.metrics[0]).direction

    def judge(self, collected: Collected, *, n_draws: int) -> Judged:
        predictions = self.kind.predictions(collected, self.items, self.fit)
        setting = Setting(predictions.n_missing, n_draws, self.seed)
        scores = self.kind.score(predictions, self.truth, metrics=self.metrics, setting=setting)
        return Judged(scores, predictions)

    def compare(self, base: Judged, candidate: Judged, *, n_draws: int) -> Comparison:
        question = Question(self.metrics[0], self.direction, seed=self.seed, n_draws=n_draws)
        if isinstance(self.truth, Truth):
            return compare(base.answers, candidate.answers, self.truth, question)
        return compare_tags(base.answers, candidate.answers, self.truth, question)

    def write(self, judged: Judged, path: Path) -> PredictionsFile:
        return self.kind.write(judged.answers, path)


@dataclass(frozen=True)
class LossJudge:
    """By the loss itself, a mean over what it counts. A value collected is (summed loss, units).

    An item is a row that was computed, numbered from 0: texts may have been packed.
    """

    seed: int
    metrics: tuple[str, ...] = ("loss",)
    direction: Direction = "lower"

    def judge(self, collected: Collected, *, n_draws: int) -> Judged:
        nothing = np.full(2, np.nan)
        rows = np.stack([nothing if v is None else v for v in collected.values]).astype(np.float64)
        there = rows[~np.isnan(rows).any(axis=1)]
        estimate = estimate_sums(there, ratio_of_sums, n_draws=n_draws, seed=self.seed)
        setting = Setting(len(rows) - len(there), n_draws, self.seed)
        value = metric_value(
            "loss", estimate, setting, what="mean cross-entropy in nats", direction="lower"
        )
        return Judged(Scores((value,)), rows)

    def compare(self, base: Judged, candidate: Judged, *, n_draws: int) -> Comparison:
        question = Question("loss", "lower", seed=self.seed, n_draws=n_draws)
        return compare_sums(base.answers, candidate.answers, ratio_of_sums, question)

    def write(self, judged: Judged, path: Path) -> PredictionsFile:
        rows = judged.answers
        units = [None if np.isnan(n) else int(n) for n in rows[:, 1]]
        losses = [None if np.isnan(loss) else float(loss) for loss in rows[:, 0]]
        return write_rows(path, LOSSES, [[str(at) for at in range(len(rows))], losses, units])


def compare_tags(
    base: TagPredictions, candidate: TagPredictions, truth: TagTruth, question: Question
) -> Comparison:
    """Two models' tags: entity F1 from sums over items, any other metric by the words' tags."""
    scheme = iob2_scheme(truth.labels)
    if scheme is None or question.metric != "entity_f1":
        return compare_means(_words_right(base, truth), _words_right(candidate, truth), question)
    sides: list[Floats] = []
    for side in (base, candidate):
        rows = np.full((len(truth.tags), 3), np.nan)
        there = [at for at, tags in enumerate(side.tags) if tags is not None]
        said = [tags for tags in side.tags if tags is not None]
        counts = count_tags([truth.tags[at] for at in there], said, scheme)
        assert counts.entities is not None
        rows[there] = counts.entities.sum(axis=1)
        sides.append(rows)
    # A sentence without an entity, in which none is answered, is wholly right.
    values = [
        np.nan_to_num(np.where(rows[:, 1:].sum(axis=1) == 0, 1.0, f1_of(rows))) for rows in sides
    ]
    return compare_sums(sides[0], sides[1], f1_of, question, item_values=(values[0], values[1]))


def _words_right(side: TagPredictions, truth: TagTruth) -> Floats:
    """Share of the words of each item that are tagged rightly, NaN without an answer."""
    pairs = zip(side.tags, truth.tags, strict=True)
    return np.array([np.nan if s is None else float((s == t).mean()) for s, t in pairs])
