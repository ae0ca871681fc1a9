"""One score from the values of its items: value, error, interval, and how they came about.

In every array of values NaN is a missing item: it is in none of the numbers and is counted.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats
from ml_core.statistics.intervals import (
    CONFIDENCE,
    Interval,
    student_interval,
    wilson_interval,
)
from ml_core.statistics.samples import Sample


@dataclass(frozen=True)
class Estimate:
    """A score with its uncertainty. What does not exist is None, never 0.

    `n_clusters` is None where items do not come in clusters.
    """

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    n: int
    n_missing: int
    n_clusters: int | None
    method: str


def estimate(
    values: Floats,
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """`estimate_share` where all values are 0 or 1, else `estimate_mean`."""
    method = estimate_share if Sample.of(values).is_binary else estimate_mean
    return method(values, clusters=clusters, confidence=confidence)


def estimate_mean(
    values: Floats,
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Mean of the items' values with Student's interval, clustered where clusters are given.

    Fewer than two items (or clusters) have a mean but no error. The interval is not cut at a
    metric's bounds; equal values have error 0.
    """
    sample = Sample.of(values, clusters)
    value, se = sample.mean, sample.standard_error()
    interval = None
    if value is not None:
        interval = student_interval(value, se, sample.n_units - 1, confidence)
    return _estimate(sample, se, interval, "mean", "Student's interval")


def estimate_share(
    values: Floats,
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Share of ones among zeros and ones with Wilson's interval.

    Clustered items count as their effective number (`Sample.effective_n`).

    Raises:
        ValueError: a value is neither 0 nor 1.
    """
    sample = Sample.of(values, clusters)
    if not sample.is_binary:
        raise ValueError("a share is of zeros and ones")
    n = sample.effective_n()
    interval = wilson_interval((sample.mean or 0.0) * n, n, confidence)
    return _estimate(sample, sample.standard_error(), interval, "share", "Wilson's interval")


@dataclass(frozen=True)
class RepeatedEstimate:
    """A score of items that were each tried several times, and where its variance comes from.

    `between_items` is the variance of the items' own means without what chance within an item adds
    to it, `within_items` the mean variance of the tries at one item.
    """

    estimate: Estimate
    between_items: float | None
    within_items: float | None


def estimate_repeats(
    values: Floats,
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> RepeatedEstimate:
    """Mean over items of the mean over tries (or seeds); `values` has shape `(items, tries)`.

    Tries at one item are not independent items: they are averaged first, and the error is that of
    the items' means. Without an item tried twice, or with fewer than two items, the variances are
    None.

    Source: Miller, arXiv 2411.00640, section 3.
    """
    present = ~np.isnan(values)
    tries = present.sum(axis=1)
    means = np.where(present, values, 0.0).sum(axis=1) / np.where(tries, tries, np.nan)
    found = estimate_mean(means, clusters=clusters, confidence=confidence)
    repeated = tries > 1
    if not repeated.any() or found.n < 2:
        return RepeatedEstimate(found, None, None)
    squares = np.where(present, (values - means[:, np.newaxis]) ** 2, 0.0).sum(axis=1)
    within = float(np.mean(squares[repeated] / (tries[repeated] - 1)))
    spread = float(np.var(means[tries > 0], ddof=1))
    noise = float(np.mean(within / tries[tries > 0]))
    return RepeatedEstimate(found, max(0.0, spread - noise), within)


def _estimate(
    sample: Sample, se: float | None, interval: Interval | None, what: str, interval_name: str
) -> Estimate:
    low, high = (interval.low, interval.high) if interval else (None, None)
    is_plain = sample.codes is None
    error = "sd/sqrt(n)" if is_plain else f"clustered, {sample.n_clusters} clusters"
    return Estimate(
        sample.mean,
        se,
        low,
        high,
        sample.n,
        sample.n_missing,
        sample.n_clusters,
        f"{what}; se {error}; {interval_name}",
    )
