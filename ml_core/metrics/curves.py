"""Metrics of probabilities: the area under the ROC curve, and the loss of the right label.

Equal to scikit-learn's `roc_auc_score` (of several labels the plain mean of one against the rest)
and `log_loss`. Both have no value where the answers came without probabilities.
"""

from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Bools, Floats, Ints
from ml_core.directions import Direction
from ml_core.metrics.cells import Cells
from ml_core.metrics.per_item import Columns, ItemScores, PerItem, mean_of
from ml_core.metrics.registry import METRICS as OF_LABELS
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.comparison import Comparison, Question
from ml_core.statistics.estimates import Estimate, estimate_mean
from ml_core.statistics.paired import compare_rows, count_pairs
from ml_core.statistics.paired_tests import PairedRows

MIN_PROBABILITY = float(np.finfo(np.float32).eps)
"""A probability of 0 counts as this, as scikit-learn takes it for float32."""
NO_PROBABILITIES = "no probabilities were given"


@dataclass(frozen=True)
class Sure:
    """The statistic: the cells of the matrix, and for each answered item the number of its right
    label and the probabilities, shape `(items, labels)` or `(items, 0)`."""

    cells: Cells
    truth: Ints
    probabilities: Floats


def log_losses(probabilities: Floats, truth: Ints) -> Floats:
    """Minus the natural logarithm of the right label's probability, of each item."""
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    right = np.take_along_axis(shares, truth[:, None], axis=1)[:, 0]
    losses: Floats = -np.log(np.clip(right, MIN_PROBABILITY, 1.0))
    return losses


def log_loss(sure: Sure, setting: Setting) -> MetricValue:
    """Mean loss of the right label, in nats."""
    if not sure.probabilities.shape[1]:
        return _nothing("log_loss", sure, setting, "lower")
    found = estimate_mean(log_losses(sure.probabilities, sure.truth))
    return metric_value("log_loss", found, setting, what="mean log loss", direction="lower")


def roc_auc(sure: Sure, setting: Setting) -> MetricValue:
    """Area under the ROC curve; None where a label is right for no item, or for all."""
    if not sure.probabilities.shape[1]:
        return _nothing("roc_auc", sure, setting, "higher")
    found = Areas(sure.truth, sure.probabilities).estimate(
        n_draws=setting.n_draws, seed=setting.seed
    )
    what = "area under the ROC curve, mean of one label against the rest"
    return metric_value("roc_auc", found, setting, what=what)


@dataclass(frozen=True)
class Areas(ItemScores):
    """ROC AUC of probabilities; an item without an answer has a row of NaN."""

    truth: Ints
    probabilities: Floats

    @property
    def values(self) -> Floats:  # type: ignore[override]
        """The probability of the right label: the area of one item alone does not exist."""
        return np.take_along_axis(self.probabilities, self.truth[:, None], axis=1)[:, 0]

    def at(self, rows: Ints) -> "Areas":
        return Areas(self.truth[rows], self.probabilities[rows])

    def of_counts(self, counts: Floats) -> Floats:
        there = np.flatnonzero(self.present)
        kept, weights = self.at(there), counts[:, there]
        n_labels = kept.probabilities.shape[1]
        columns = [1] if n_labels == 2 else range(n_labels)
        areas = [area_of(kept.probabilities[:, at], kept.truth == at, weights) for at in columns]
        return np.mean(areas, axis=0) if areas else np.full(len(counts), np.nan)

    def compare(
        self, candidate: ItemScores, question: Question, clusters: Ints | None
    ) -> Comparison:
        assert isinstance(candidate, Areas)
        kept = np.flatnonzero(self.present & candidate.present)
        base, other = self.at(kept), candidate.at(kept)

        def of_both(base_rows: Floats | None, candidate_rows: Floats | None) -> Floats:
            # Drawn apart and put side by side: a sign flip gives an item the other's answer.
            rows = [r for r in (base_rows, candidate_rows) if r is not None]
            sides = [s for s, r in ((base, base_rows), (other, candidate_rows)) if r is not None]
            joined = Areas(
                np.concatenate([s.truth for s in sides]),
                np.concatenate([s.probabilities for s in sides]),
            )
            return joined.of_counts(np.hstack(rows))

        counted = count_pairs(self.values, candidate.values, clusters)
        codes = None
        if clusters is not None:
            codes = cluster_codes(clusters.tolist(), len(clusters))[kept]
            codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
        rows = PairedRows(of_both, np.ones(len(kept), dtype=np.int64), codes)
        is_equal = bool(np.array_equal(base.probabilities, other.probabilities))
        return compare_rows(rows, counted, question, is_equal=is_equal)


def area_of(scores: Floats, is_right: Bools, counts: Floats) -> Floats:
    """P(score of a right item > that of a wrong one) + half of ties, each item counted so often.

    Args:
        counts: shape `(draws, items)`; NaN where one side is empty.
    """
    _, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    if not len(starts):
        return np.full(len(counts), np.nan)
    right = np.add.reduceat((counts * is_right)[:, order], starts, axis=1)
    wrong = np.add.reduceat((counts * ~is_right)[:, order], starts, axis=1)
    below = np.cumsum(wrong, axis=1) - wrong / 2
    pairs = right.sum(axis=1) * wrong.sum(axis=1)
    won = (right * below).sum(axis=1)
    return np.where(pairs == 0, np.nan, won / np.where(pairs == 0, 1.0, pairs))


def areas_of_rows() -> PerItem:
    """Read from the columns `target_index` and `likelihood`."""

    def read(columns: Columns) -> ItemScores:
        rows = columns["likelihood"]
        truth = np.array(columns["target_index"], dtype=np.int64)
        fewest = int(truth.max(initial=0)) + 1
        width = max((len(row) for row in rows if row is not None), default=fewest)
        empty = [np.nan] * width
        values = np.array([empty if row is None else row for row in rows], dtype=np.float64)
        return Areas(truth, values.reshape(-1, width))

    return PerItem(("target_index", "likelihood"), read)


def _nothing(name: str, sure: Sure, setting: Setting, direction: Direction) -> MetricValue:
    n = len(sure.truth)
    found = Estimate(None, None, None, None, n, 0, None, NO_PROBABILITIES)
    return metric_value(name, found, setting, what=name, direction=direction)


def _of_cells(metric: Metric) -> Metric:
    """A metric of labels alone, in this statistic."""

    def compute(sure: Sure, setting: Setting) -> MetricValue:
        return metric.compute(sure.cells, setting)

    return Metric(metric.name, metric.title, compute, per_item=metric.per_item)


METRICS: dict[str, Metric] = {
    **{name: _of_cells(metric) for name, metric in OF_LABELS.items()},
    "roc_auc": Metric("roc_auc", "ROC AUC", roc_auc, per_item=areas_of_rows()),
    "log_loss": Metric(
        "log_loss", "Log loss", log_loss, "lower", high=None, per_item=mean_of("log_loss")
    ),
}
