"""Bootstrap over items, from counts and sums: no item is touched twice, no metric is averaged.

Drawing n items with replacement is drawing how often each occurs. A metric that depends on items
only through sums over them (errors and words, hits and predictions per label, n-gram matches) is
recomputed in each draw from the sums of that draw. Rows that are equal are drawn as one.

Draws depend on the seed, the number of items and which rows are equal, not on what the columns
hold: models compared on the same items meet the same draws, and A against B mirrors B against A.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 6; clusters are drawn
whole as in Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.statistics.clusters import cluster_codes, sum_by_cluster
from ml_core.statistics.estimates import Estimate
from ml_core.statistics.intervals import CONFIDENCE, percentile_interval

CHUNK_VALUES = 500_000
DRAWS = 2000
MIN_ITEMS_A_PATTERN = 25
"""Drawing the count of a pattern takes as long as drawing about so many single items."""

SumMetric = Callable[[Floats], Floats]
"""A metric of sums over items: `(draws, columns)` to `(draws,)`, NaN where it has no value."""


def draw_counts(
    weights: Ints, *, n_draws: int, rng: np.random.Generator, width: int = 0
) -> Iterator[Floats]:
    """How often each row is drawn, in blocks of shape `(some draws, rows)`, `n_draws` in all.

    Counts are whole numbers as floats, ready for a matrix product.

    Args:
        weights: how many items each row stands for; a draw has as many items as there are.
        width: values that the caller keeps a draw, so that blocks stay small.
    """
    n, n_rows = int(weights.sum()), len(weights)
    if n == 0:
        return
    step = max(1, CHUNK_VALUES // (n_rows + width))
    is_plain = n == n_rows
    shares = weights / n
    for start in range(0, n_draws, step):
        size = min(step, n_draws - start)
        if is_plain:
            yield np.stack([_plain_counts(n, rng) for _ in range(size)])
        else:
            yield rng.multinomial(n, shares, size=size).astype(np.float64)


def bootstrap_sums(
    statistics: Floats,
    metric: SumMetric,
    *,
    n_draws: int,
    rng: np.random.Generator,
    clusters: Iterable[Hashable] | None = None,
) -> Floats:
    """The metric of `n_draws` resamples of the items (or clusters), a row of `statistics` each."""
    sums = sum_by_cluster(statistics, cluster_codes(clusters, len(statistics)))
    rows, weights = distinct_rows(sums)
    blocks = draw_counts(weights, n_draws=n_draws, rng=rng, width=rows.shape[1])
    drawn = [metric(counts @ rows) for counts in blocks]
    return np.concatenate(drawn) if drawn else np.empty(0)


def estimate_sums(
    statistics: Floats,
    metric: SumMetric,
    *,
    n_draws: int = DRAWS,
    seed: int = 0,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """A corpus metric with the spread and the percentile interval of a bootstrap over items.

    Items of which a statistic is NaN are missing. Fewer than two items (or clusters) have no error;
    draws in which the metric has no value are left out of the spread.
    """
    present = ~np.isnan(statistics).any(axis=1)
    codes = None if clusters is None else cluster_codes(clusters, len(statistics))[present]
    n_clusters = None if codes is None else len(np.unique(codes))
    n = int(present.sum())
    units = n if n_clusters is None else n_clusters
    kept = statistics[present]
    value = _finite(metric(kept.sum(axis=0, keepdims=True))[0]) if n else None
    rng = np.random.default_rng(seed)
    n_draws = n_draws if units >= 2 else 0
    draws = bootstrap_sums(kept, metric, n_draws=n_draws, rng=rng, clusters=codes)
    draws = draws[~np.isnan(draws)]
    se = float(np.std(draws, ddof=1)) if len(draws) >= 2 and value is not None else None
    interval = percentile_interval(draws, confidence) if se is not None else None
    low, high = (interval.low, interval.high) if interval else (None, None)
    of = "items" if n_clusters is None else f"{n_clusters} clusters"
    method = f"metric of sums; percentile bootstrap over {of}, {len(draws)} draws, seed {seed}"
    return Estimate(value, se, low, high, n, int((~present).sum()), n_clusters, method)


def distinct_rows(values: Floats) -> tuple[Floats, Ints]:
    """The different rows in the order they first appear, and how often each does.

    Every row once, with weight 1, where too few are equal for this to pay. Which it is, and the
    order, do not change when columns change places.
    """
    n = len(values)
    codes = np.zeros(n, dtype=np.int64)
    for column in values.T:
        found, inverse = np.unique(column, return_inverse=True)
        codes = np.unique(codes * len(found) + inverse, return_inverse=True)[1]
        if codes.max(initial=0) * MIN_ITEMS_A_PATTERN > n:
            return values, np.ones(n, dtype=np.int64)
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    if len(first) == n:
        return values, np.ones(n, dtype=np.int64)
    order = np.argsort(first)
    return values[first[order]], counts[order].astype(np.int64)


def ratio_of_sums(sums: Floats) -> Floats:
    """First column over second: errors over words, a mean as sum over count. NaN over nothing."""
    return _divide(sums[:, 0], sums[:, 1])


def _divide(above: Floats, below: Floats) -> Floats:
    return np.where(below == 0, np.nan, above / np.where(below == 0, 1.0, below))


def _plain_counts(n: int, rng: np.random.Generator) -> Floats:
    return np.bincount(rng.integers(0, n, size=n), minlength=n).astype(np.float64)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
