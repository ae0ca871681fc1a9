"""A metric, item by item: read again from the published rows of a run.

From these come what one number cannot say: errors of items that come in clusters, scores of groups,
and paired comparisons. Columns are sequences by name, as `pyarrow.Table.to_pydict` gives them; an
item without an answer has None there, and NaN here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_core.arrays import Bools, Floats, Ints
from ml_core.metrics.cells import Cells
from ml_core.metrics.classification import macro_f1_of_counts, paired_macro_f1
from ml_core.statistics.bootstrap import DRAWS, SumMetric, draw_counts, estimate_sums
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.comparison import Comparison, Question
from ml_core.statistics.estimates import Estimate, estimate
from ml_core.statistics.intervals import percentile_interval
from ml_core.statistics.paired import (
    compare_means,
    compare_rows,
    compare_shares,
    compare_sums,
    count_pairs,
)
from ml_core.statistics.paired_tests import PairedRows
from ml_core.statistics.samples import Sample

Columns = Mapping[str, Sequence[Any]]


class ItemScores(ABC):
    """What one metric makes of the items of one run, in the order of its rows."""

    values: Floats
    """What the metric is of each item alone, shape `(items,)`; NaN where there is no answer."""

    @property
    def present(self) -> Bools:
        """Which items have an answer."""
        present: Bools = np.logical_not(np.isnan(self.values))
        return present

    @abstractmethod
    def at(self, rows: Ints) -> "ItemScores":
        """The same of these items alone, in this order."""

    @abstractmethod
    def of_counts(self, counts: Floats) -> Floats:
        """The metric where each item counts so often: `(draws, items)` to `(draws,)`.

        Items without an answer count nothing.
        """

    @abstractmethod
    def compare(
        self, candidate: "ItemScores", question: Question, clusters: Ints | None
    ) -> Comparison:
        """`candidate`, of the same items, against these."""

    def estimate(
        self, clusters: Ints | None = None, *, n_draws: int = DRAWS, seed: int = 0
    ) -> Estimate:
        """The metric with a bootstrap over items, or over whole clusters."""
        sample = Sample.of(np.where(self.present, 0.0, np.nan), clusters)
        there = self.at(np.flatnonzero(self.present))
        value = _finite(float(there.of_counts(np.ones((1, sample.n)))[0])) if sample.n else None
        draws = draws_of(there.of_counts, sample, n_draws=n_draws, seed=seed)
        is_known = value is not None and len(draws) >= 2
        interval = percentile_interval(draws) if is_known else None
        of = "items" if sample.n_clusters is None else f"{sample.n_clusters} clusters"
        return Estimate(
            value,
            float(np.std(draws, ddof=1)) if is_known else None,
            interval.low if interval else None,
            interval.high if interval else None,
            sample.n,
            sample.n_missing,
            sample.n_clusters,
            f"percentile bootstrap over {of}, {len(draws)} draws, seed {seed}",
        )


def draws_of(
    metric: Callable[[Floats], Floats], sample: Sample, *, n_draws: int, seed: int
) -> Floats:
    """`metric` of draws of whole clusters (or items), without those in which it has no value.

    Args:
        metric: of counts of the items that `sample` holds.
    """
    if sample.n_units < 2 or n_draws == 0:
        return np.empty(0)
    units = np.ones(sample.n_units, dtype=np.int64)
    rng = np.random.default_rng(seed)
    blocks = draw_counts(units, n_draws=n_draws, rng=rng, width=2 * sample.n)
    codes = slice(None) if sample.codes is None else sample.codes
    drawn: Floats = np.concatenate([metric(counts[:, codes]) for counts in blocks])
    known: Floats = drawn[~np.isnan(drawn)]
    return known


@dataclass(frozen=True)
class Means(ItemScores):
    """The mean of one value an item."""

    values: Floats

    def at(self, rows: Ints) -> "Means":
        return Means(self.values[rows])

    def of_counts(self, counts: Floats) -> Floats:
        total = counts @ self.present.astype(np.float64)
        return _ratio(counts @ np.nan_to_num(self.values), total)

    def estimate(
        self, clusters: Ints | None = None, *, n_draws: int = DRAWS, seed: int = 0
    ) -> Estimate:
        """The closed form; nothing is drawn."""
        return estimate(self.values, clusters=clusters)

    def compare(
        self, candidate: ItemScores, question: Question, clusters: Ints | None
    ) -> Comparison:
        both = np.concatenate([self.values, candidate.values])
        if Sample.of(both).is_binary:
            return compare_shares(self.values, candidate.values, question, clusters=clusters)
        span = float(np.abs(np.nan_to_num(both)).max(initial=1.0))
        return compare_means(self.values, candidate.values, question, clusters=clusters, span=span)


@dataclass(frozen=True)
class Sums(ItemScores):
    """A metric of sums over items; `rows` has shape `(items, columns)`."""

    rows: Floats
    metric: SumMetric

    @property
    def values(self) -> Floats:  # type: ignore[override]
        present = ~np.isnan(self.rows).any(axis=1)
        return np.where(present, np.nan_to_num(self.metric(np.nan_to_num(self.rows))), np.nan)

    def at(self, rows: Ints) -> "Sums":
        return Sums(self.rows[rows], self.metric)

    def of_counts(self, counts: Floats) -> Floats:
        present = ~np.isnan(self.rows).any(axis=1)
        return self.metric((counts * present) @ np.nan_to_num(self.rows))

    def estimate(
        self, clusters: Ints | None = None, *, n_draws: int = DRAWS, seed: int = 0
    ) -> Estimate:
        return estimate_sums(self.rows, self.metric, n_draws=n_draws, seed=seed, clusters=clusters)

    def compare(
        self, candidate: ItemScores, question: Question, clusters: Ints | None
    ) -> Comparison:
        assert isinstance(candidate, Sums)
        return compare_sums(self.rows, candidate.rows, self.metric, question, clusters=clusters)


@dataclass(frozen=True)
class Labels(ItemScores):
    """Macro-F1 of labels, as numbers of `names`; a predicted number below 0 is no answer."""

    truth: Ints
    predicted: Ints
    names: tuple[str, ...]

    @property
    def values(self) -> Floats:  # type: ignore[override]
        """Right or wrong: F1 of one item alone says no more."""
        right = (self.truth == self.predicted).astype(np.float64)
        return np.where(self.predicted < 0, np.nan, right)

    def at(self, rows: Ints) -> "Labels":
        return Labels(self.truth[rows], self.predicted[rows], self.names)

    def named(self, names: tuple[str, ...]) -> "Labels":
        """The same as numbers of `names`, which hold all of its own."""
        if names == self.names:
            return self
        numbers = {name: at for at, name in enumerate(names)}
        places = np.array([*(numbers[name] for name in self.names), -1], dtype=np.int64)
        return Labels(places[self.truth], places[self.predicted], names)

    def of_counts(self, counts: Floats) -> Floats:
        there = np.flatnonzero(self.predicted >= 0)
        kept = self.at(there)
        ones = np.ones(len(there), dtype=np.int64)
        cells = Cells(kept.truth, kept.predicted, ones, len(self.names))
        return macro_f1_of_counts(counts[:, there], cells)

    def compare(
        self, candidate: ItemScores, question: Question, clusters: Ints | None
    ) -> Comparison:
        assert isinstance(candidate, Labels)
        counted = count_pairs(self.values, candidate.values, clusters)
        kept = np.flatnonzero(self.present & candidate.present)
        names = tuple(sorted({*self.names, *candidate.names}))
        base, other = (side.at(kept).named(names) for side in (self, candidate))
        rows = paired_macro_f1(
            base.truth, base.predicted, other.predicted, len(names), _codes(clusters, kept)
        )
        is_equal = bool(np.array_equal(base.predicted, other.predicted))
        return compare_rows(rows, counted, question, is_equal=is_equal)


@dataclass(frozen=True)
class Correlations(ItemScores):
    """Pearson's r of predictions and truth, or with `by_rank` Spearman's."""

    predicted: Floats
    truth: Floats
    by_rank: bool

    @property
    def values(self) -> Floats:  # type: ignore[override]
        """Minus the distance of the item's two standing points, in standard deviations."""
        x, y = (np.full(len(self.truth), np.nan) for _ in range(2))
        there = ~np.isnan(self.predicted)
        for target, given in ((x, self.predicted[there]), (y, self.truth[there])):
            spread = given.std() if len(given) else 0.0
            target[there] = (given - given.mean()) / spread if spread > 0 else 0.0
        distances: Floats = np.abs(x - y)
        return -distances

    def at(self, rows: Ints) -> "Correlations":
        return Correlations(self.predicted[rows], self.truth[rows], self.by_rank)

    def of_counts(self, counts: Floats) -> Floats:
        there = ~np.isnan(self.predicted)
        weights = counts[:, there]
        x, y = self.predicted[there], self.truth[there]
        if self.by_rank:
            return _weighted_pearson(
                weights, _weighted_ranks(weights, x), _weighted_ranks(weights, y)
            )
        shape = weights.shape
        return _weighted_pearson(weights, np.broadcast_to(x, shape), np.broadcast_to(y, shape))

    def compare(
        self, candidate: ItemScores, question: Question, clusters: Ints | None
    ) -> Comparison:
        assert isinstance(candidate, Correlations)
        kept = np.flatnonzero(self.present & candidate.present)
        base, other = self.at(kept), candidate.at(kept)
        joined = Correlations(
            np.concatenate([base.predicted, other.predicted]),
            np.concatenate([base.truth, other.truth]),
            self.by_rank,
        )

        def of_both(base_rows: Floats | None, candidate_rows: Floats | None) -> Floats:
            given = candidate_rows if base_rows is None else base_rows
            none = np.zeros_like(given)
            sides = [none if side is None else side for side in (base_rows, candidate_rows)]
            return joined.of_counts(np.hstack(sides))

        counted = count_pairs(self.values, candidate.values, clusters)
        ones = np.ones(len(kept), dtype=np.int64)
        rows = PairedRows(of_both, ones, _codes(clusters, kept))
        is_equal = bool(np.array_equal(base.predicted, other.predicted))
        return compare_rows(rows, counted, question, is_equal=is_equal)


@dataclass(frozen=True)
class PerItem:
    """Which columns of the published rows a metric is read from, and how."""

    columns: tuple[str, ...]
    read: Callable[[Columns], ItemScores]


def mean_of(column: str) -> PerItem:
    """The mean of one column of numbers or of true and false."""
    return PerItem((column,), lambda columns: Means(numbers_of(columns[column])))


def sums_of(*columns: str, metric: SumMetric) -> PerItem:
    """A metric of the sums of these columns of numbers."""

    def read(found: Columns) -> ItemScores:
        return Sums(np.stack([numbers_of(found[name]) for name in columns], axis=1), metric)

    return PerItem(columns, read)


def macro_f1_of_labels() -> PerItem:
    """Macro-F1 of the columns `target` and `prediction`."""

    def read(columns: Columns) -> ItemScores:
        names = sorted({*columns["target"], *columns["prediction"]} - {None})
        places = {name: at for at, name in enumerate(names)} | {None: -1}
        truth, predicted = (
            np.array([places[name] for name in columns[side]], dtype=np.int64)
            for side in ("target", "prediction")
        )
        return Labels(truth, predicted, tuple(names))

    return PerItem(("target", "prediction"), read)


def correlation_of(*, by_rank: bool) -> PerItem:
    """The correlation of the columns `prediction` and `target`."""

    def read(columns: Columns) -> ItemScores:
        predicted, truth = (numbers_of(columns[side]) for side in ("prediction", "target"))
        return Correlations(predicted, truth, by_rank)

    return PerItem(("prediction", "target"), read)


def numbers_of(values: Sequence[Any]) -> Floats:
    """Numbers, true as 1 and false as 0, None as NaN."""
    return np.array([np.nan if value is None else float(value) for value in values])


def _codes(clusters: Ints | None, kept: Ints) -> Ints | None:
    if clusters is None:
        return None
    codes = cluster_codes(clusters.tolist(), len(clusters))[kept]
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _weighted_ranks(weights: Floats, values: Floats) -> Floats:
    """Mean ranks of `values` where each counts `weights` times, shape of `weights`."""
    _, place = np.unique(values, return_inverse=True)
    sums = np.stack([np.bincount(place, weights=row) for row in weights])
    ranks: Floats = (np.cumsum(sums, axis=1) - (sums - 1) / 2)[:, place]
    return ranks


def _weighted_pearson(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Pearson's r of each row; NaN where one side is all the same."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    above = (weights * x * y).sum(axis=1)
    below = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    return _ratio(above, np.where(below > 1e-12, below, 0.0))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below == 0, np.nan, above / np.where(below == 0, 1.0, below))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
