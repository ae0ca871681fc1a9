"""How far a model's similarities go with people's: correlations over pairs.

Source: Agirre et al., SemEval-2012 task 6 (Pearson); Spearman's with mean ranks for ties, as
scipy's `spearmanr` has it. Higher is better; 1 at most, -1 at least.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats
from ml_core.metrics.per_item import correlation_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import MAX_METHOD_CHARS
from ml_core.results import MetricValue
from ml_core.seeding import generator
from ml_core.statistics.intervals import percentile_interval

MAX_DRAWN = 40_000_000
"""Pairs drawn over all draws: large splits have fewer draws, for they need fewer."""
MIN_DRAWS = 200


@dataclass(frozen=True)
class Pairs:
    """The statistic: one entry a pair that was answered."""

    predicted: Floats
    right: Floats


def pearson_of(predicted: Floats, right: Floats) -> float | None:
    """Pearson's r; None for fewer than two pairs, or where one side is all the same."""
    if len(right) < 2:
        return None
    x, y = predicted - predicted.mean(), right - right.mean()
    below = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / below if below > 0 else None


def spearman_of(predicted: Floats, right: Floats) -> float | None:
    """Pearson's r of mean ranks; None where it has no value."""
    return pearson_of(mean_ranks(predicted), mean_ranks(right))


def mean_ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def spearman(pairs: Pairs, setting: Setting) -> MetricValue:
    """Spearman's rank correlation, ranks made anew in each draw."""
    return _value("spearman", spearman_of, pairs, setting, "Spearman's rank correlation")


def pearson(pairs: Pairs, setting: Setting) -> MetricValue:
    """Pearson's correlation."""
    return _value("pearson", pearson_of, pairs, setting, "Pearson's correlation")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("spearman", "Spearman", spearman, low=-1.0, per_item=correlation_of(by_rank=True)),
        Metric("pearson", "Pearson", pearson, low=-1.0, per_item=correlation_of(by_rank=False)),
    )
}


def _value(
    name: str,
    correlation: Callable[[Floats, Floats], float | None],
    pairs: Pairs,
    setting: Setting,
    what: str,
) -> MetricValue:
    n = len(pairs.right)
    value = correlation(pairs.predicted, pairs.right)
    n_draws = min(setting.n_draws, max(MIN_DRAWS, MAX_DRAWN // max(n, 1)))
    rng = generator(setting.seed)
    found: list[float] = []
    for _ in range(n_draws if value is not None else 0):
        rows = rng.integers(0, n, size=n)
        drawn = correlation(pairs.predicted[rows], pairs.right[rows])
        if drawn is not None:
            found.append(drawn)
    draws = np.array(found)
    se = float(np.std(draws, ddof=1)) if len(draws) >= 2 else None
    interval = percentile_interval(draws) if se is not None else None
    low, high = (interval.low, interval.high) if interval else (None, None)
    method = f"{what}; percentile bootstrap over pairs, {len(draws)} draws, seed {setting.seed}"
    return MetricValue(
        name,
        value,
        "higher",
        n,
        setting.n_missing,
        se,
        low,
        high,
        method[:MAX_METHOD_CHARS],
    )
