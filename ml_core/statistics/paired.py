"""Two models on the same items: the comparison of shares, of means and of corpus metrics.

All take the items in one order; NaN is an item without an answer, and an item that either model did
not answer is left out and counted. Base and candidate may change places: difference and interval
then change sign, and p stays.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from ml_core.arrays import Bools, Floats
from ml_core.statistics.bootstrap import SumMetric, distinct_rows
from ml_core.statistics.clusters import cluster_codes, sum_by_cluster
from ml_core.statistics.comparison import Comparison, Measured, Question, conclude
from ml_core.statistics.distributions import student_two_sided_p
from ml_core.statistics.intervals import Interval, percentile_interval, student_interval
from ml_core.statistics.paired_tests import (
    PairedRows,
    bonett_price_interval,
    laplace_difference,
    mcnemar_p,
    paired_bootstrap,
    swap_p,
)
from ml_core.statistics.samples import Sample

Clusters = Iterable[Hashable] | None


def compare_shares(
    base: Floats, candidate: Floats, question: Question, *, clusters: Clusters = None
) -> Comparison:
    """Right and wrong answers (1 and 0): exact McNemar and Bonett and Price's interval.

    Where items come in clusters, p is Student's on the clustered error with one degree of freedom
    less than there are clusters, and the interval is that of the effective number of items.

    Raises:
        ValueError: the lengths differ, or a value is neither 0 nor 1.
    """
    pair = _Pair.of(base, candidate, clusters)
    if not (Sample.of(pair.base).is_binary and Sample.of(pair.candidate).is_binary):
        raise ValueError("a share is of zeros and ones")
    if pair.gaps.n == 0:
        return conclude(pair.measured("exact McNemar"), question)
    scale = pair.gaps.effective_n() / pair.gaps.n
    losses, wins = pair.n_higher(-1), pair.n_higher(1)
    args = (losses * scale, wins * scale, pair.gaps.n * scale)
    p = mcnemar_p(losses, wins) if pair.gaps.codes is None else pair.student_p()
    test = "exact McNemar" if pair.gaps.codes is None else "Student on clustered differences"
    measured = replace(
        pair.measured(f"{test}; Bonett-Price interval"),
        planning_se=laplace_difference(*args)[1],
        interval=bonett_price_interval(*args, question.confidence),
        p=p,
    )
    return conclude(measured, question)


def compare_means(
    base: Floats,
    candidate: Floats,
    question: Question,
    *,
    clusters: Clusters = None,
    span: float = 1.0,
) -> Comparison:
    """A mean of per-item values: error of the differences, Student's p and interval.

    Where the two differ by the same amount on every item (mostly: by nothing) no spread is seen.
    The interval is then what may have been missed: a share of at most 1 - (alpha / 2)^(1 / units)
    of the items, each off by up to `span`; p is that of the signs alone.

    Source: Miller, arXiv 2411.00640, section 4.
    """
    pair = _Pair.of(base, candidate, clusters)
    measured = pair.measured("Student on paired differences")
    mean = pair.gaps.mean
    if mean is not None and pair.gaps.n_units >= 2:
        if pair.gaps.has_spread:
            df = pair.gaps.n_units - 1
            interval = student_interval(mean, measured.se, df, question.confidence)
            measured = replace(measured, interval=interval, p=pair.student_p())
        else:
            measured = pair.without_spread(measured, mean, span, question)
    return conclude(measured, question)


def compare_sums(
    base: Floats,
    candidate: Floats,
    metric: SumMetric,
    question: Question,
    *,
    clusters: Clusters = None,
    item_values: tuple[Floats, Floats] | None = None,
    span: float = 1.0,
) -> Comparison:
    """A corpus metric, recomputed from sums: paired bootstrap for the interval, sign flips for p.

    Args:
        base, candidate: statistics of each item, shape `(items, columns)`.
        item_values: what to hold against each other on one item; by default the metric of the item.
        span: as in `compare_means`.
    """
    if base.shape != candidate.shape or base.ndim != 2:
        raise ValueError("both models need one row of statistics for each item")
    present = ~(np.isnan(base).any(axis=1) | np.isnan(candidate).any(axis=1))
    per_item = item_values or (metric(base), metric(candidate))
    values = [np.where(present, np.nan_to_num(side), np.nan) for side in per_item]
    codes = None if clusters is None else cluster_codes(clusters, len(base))
    pair = _Pair.of(values[0], values[1], codes)
    both = np.hstack([base, candidate])[present]
    units = both if pair.gaps.codes is None else sum_by_cluster(both, pair.gaps.codes)
    rows, weights = distinct_rows(units)
    of_base, of_candidate = np.hsplit(rows, 2)

    def of_counts(base_rows: Floats | None, candidate_rows: Floats | None) -> Floats:
        sums = [
            counts @ statistics
            for counts, statistics in ((base_rows, of_base), (candidate_rows, of_candidate))
            if counts is not None
        ]
        return metric(sum(sums[1:], start=sums[0]))

    is_equal = bool((of_base == of_candidate).all())
    paired = PairedRows(of_counts, weights)
    return compare_rows(paired, pair.measured(""), question, is_equal=is_equal, span=span)


def compare_rows(
    rows: PairedRows, items: Measured, question: Question, *, is_equal: bool, span: float = 1.0
) -> Comparison:
    """A comparison of the metric of `rows`; what is counted of single items comes from `items`.

    `is_equal`: both models answered every item alike.
    """
    base, candidate = rows.values() if items.n else (math.nan, math.nan)
    n_draws, units = question.n_draws, rows.n_units
    of = "items" if items.n_clusters is None else f"{items.n_clusters} clusters"
    method = f"paired bootstrap and swaps of {of}; {n_draws} draws, seed {question.seed}"
    measured = replace(
        items, base=_finite(base), candidate=_finite(candidate), se=None, method=method
    )
    if measured.base is None or measured.candidate is None or units < 2:
        return conclude(measured, question)
    if is_equal:
        return conclude(_unseen(measured, 0.0, units, span, question), question)
    rng = np.random.default_rng(question.seed)
    draws = paired_bootstrap(rows, n_draws=n_draws, rng=rng)
    p = swap_p(rows, n_draws=n_draws, rng=rng)
    se = float(np.std(draws, ddof=1)) if len(draws) >= 2 else None
    interval = percentile_interval(draws, question.confidence)
    measured = replace(measured, se=se, planning_se=se, interval=interval, p=p)
    return conclude(measured, question)


def count_pairs(base: Floats, candidate: Floats, clusters: Clusters = None) -> Measured:
    """What is counted of single items: how many, missing, in clusters, on which one is higher."""
    return _Pair.of(base, candidate, clusters).measured("")


@dataclass(frozen=True)
class _Pair:
    """The values of the items that both models answered, and their differences."""

    base: Floats
    candidate: Floats
    gaps: Sample

    @classmethod
    def of(cls, base: Floats, candidate: Floats, clusters: Clusters) -> "_Pair":
        base, candidate = np.asarray(base, np.float64), np.asarray(candidate, np.float64)
        if base.shape != candidate.shape:
            raise ValueError("both models need one value for each item")
        gaps = Sample.of(candidate - base, clusters)
        present: Bools = ~(np.isnan(base) | np.isnan(candidate))
        return cls(base[present], candidate[present], gaps)

    def n_higher(self, sign: int) -> int:
        """Items on which the candidate (1) or the base (-1) has the higher value."""
        return int((np.sign(self.gaps.values) == sign).sum())

    def student_p(self) -> float | None:
        se, mean, units = self.gaps.standard_error(), self.gaps.mean, self.gaps.n_units
        if se is None or mean is None:
            return None
        if not self.gaps.has_spread:
            return _signs_p(mean, units)
        if se == 0:
            return 1.0
        return float(student_two_sided_p(np.array([mean / se]), units - 1)[0])

    def correlation(self) -> float | None:
        if len(self.base) < 2 or not np.ptp(self.base) or not np.ptp(self.candidate):
            return None
        return float(np.corrcoef(self.base, self.candidate)[0, 1])

    def without_spread(
        self, measured: Measured, mean: float, span: float, question: Question
    ) -> Measured:
        return _unseen(measured, mean, self.gaps.n_units, span, question)

    def measured(self, method: str) -> Measured:
        """All but interval and p, with the means as values."""
        se = self.gaps.standard_error()
        clusters = self.gaps.n_clusters
        return Measured(
            base=float(self.base.mean()) if len(self.base) else None,
            candidate=float(self.candidate.mean()) if len(self.base) else None,
            se=se,
            planning_se=se,
            interval=None,
            p=None,
            n=self.gaps.n,
            n_missing=self.gaps.n_missing,
            n_clusters=clusters,
            base_higher=self.n_higher(-1),
            candidate_higher=self.n_higher(1),
            correlation=self.correlation(),
            method=method if clusters is None else f"{method}, {clusters} clusters",
        )


def _unseen(
    measured: Measured, mean: float, units: int, span: float, question: Question
) -> Measured:
    """The interval of differences that were all the same: what the sample may have missed."""
    tail = (1 - question.confidence) / 2
    missed = span * (1 - tail ** (1 / units))
    return replace(
        measured,
        se=0.0,
        planning_se=span * math.sqrt(2) / (units + 2),
        interval=Interval(mean - missed, mean + missed),
        p=_signs_p(mean, units),
        method=f"{measured.method}; all differences equal, interval of what may have been missed",
    )


def _signs_p(mean: float, units: int) -> float:
    """Exact p of `units` differences that all point one way; 1 where they are all 0."""
    return min(1.0, 2.0 ** (1 - units)) if mean else 1.0


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
