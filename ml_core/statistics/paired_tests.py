"""The parts of a paired comparison: McNemar's test, paired bootstrap, sign flips, an interval.

A metric of many items is computed here from counts: how often each row of equal items enters, and
with which model's answer.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.statistics.bootstrap import CHUNK_VALUES, draw_counts
from ml_core.statistics.distributions import binomial_cdf, normal_quantile
from ml_core.statistics.intervals import CONFIDENCE, Interval

MAX_UNITS_ENUMERATED = 12
_ROUNDING = 1e-12

CountMetric = Callable[[Floats | None, Floats | None], Floats]
"""A metric of how often each row enters with the base's answer and with the candidate's; each is
`(draws, rows)`, or None for not at all; the result `(draws,)`."""


def mcnemar_p(only_base: int, only_candidate: int) -> float:
    """Exact two-sided p of McNemar's test from the items on which just one model is right.

    min(1, 2 P(X <= smaller)) for X binomial with half a chance each; 1 where they never differ.
    Source: McNemar, Psychometrika 12 (1947), in its exact form.
    """
    n = only_base + only_candidate
    return min(1.0, 2 * binomial_cdf(min(only_base, only_candidate), n, 0.5)) if n else 1.0


def bonett_price_interval(
    only_base: float, only_candidate: float, n: float, confidence: float = CONFIDENCE
) -> Interval | None:
    """Interval of the difference (candidate minus base) of two paired shares; None for n = 0.

    With one item added to either kind of disagreement, p = (count + 1) / (n + 2):
    p2 - p1 +- z sqrt((p1 + p2 - (p2 - p1)²) / (n + 2)), cut at -1 and 1. It has a width even where
    the two never disagree.

    Source: Bonett and Price, J. Educational and Behavioral Statistics 37 (2012); recommended by
    Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014).
    """
    if n == 0:
        return None
    difference, se = laplace_difference(only_base, only_candidate, n)
    half = normal_quantile(0.5 + confidence / 2) * se
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def laplace_difference(only_base: float, only_candidate: float, n: float) -> tuple[float, float]:
    """Difference of two paired shares and its error, one disagreement of either kind added."""
    first, second = (only_base + 1) / (n + 2), (only_candidate + 1) / (n + 2)
    difference = second - first
    return difference, math.sqrt((first + second - difference**2) / (n + 2))


@dataclass(frozen=True)
class PairedRows:
    """Rows of items with the answers of both models, and the metric of how often each counts.

    Either `weights` says how many items each row stands for, each of which may be drawn alone, or
    `unit_of_row` says in which cluster each row lies, and clusters are drawn whole.
    """

    metric: CountMetric
    weights: Ints
    unit_of_row: Ints | None = None

    @property
    def unit_weights(self) -> Ints:
        if self.unit_of_row is None:
            return self.weights
        return np.ones(int(self.unit_of_row.max(initial=-1)) + 1, dtype=np.int64)

    @property
    def n_units(self) -> int:
        return int(self.unit_weights.sum())

    def spread_over_rows(self, counts: Floats) -> Floats:
        """Counts of units, shape `(draws, units)`, as counts of rows."""
        return counts if self.unit_of_row is None else counts[:, self.unit_of_row]

    def values(self) -> tuple[float, float]:
        """The metric of the base and of the candidate on all items."""
        whole = self.weights[np.newaxis].astype(np.float64)
        return float(self.metric(whole, None)[0]), float(self.metric(None, whole)[0])


def paired_bootstrap(rows: PairedRows, *, n_draws: int, rng: np.random.Generator) -> Floats:
    """The difference (candidate minus base) in draws of items, each taken with both its answers.

    Draws in which either metric has no value are left out.
    Source: Koehn, EMNLP 2004; Efron and Tibshirani (1993), chapter 8.
    """
    width = len(rows.weights)
    drawn = [np.empty(0)]
    for counts in draw_counts(rows.unit_weights, n_draws=n_draws, rng=rng, width=width):
        drawn_rows = rows.spread_over_rows(counts)
        drawn.append(rows.metric(None, drawn_rows) - rows.metric(drawn_rows, None))
    differences = np.concatenate(drawn)
    return differences[~np.isnan(differences)]


def swap_p(rows: PairedRows, *, n_draws: int, rng: np.random.Generator) -> float | None:
    """Two-sided p of swapping the two models' answers on random units; for means, sign flips.

    If the models are alike every swap is as likely. All swaps are tried for at most 12 units; else
    p = (1 + draws at least as far apart as seen) / (1 + draws). None where the metric has no value.

    Source: Noreen, Computer Intensive Methods for Testing Hypotheses (1989); the 1 above and below
    after Phipson and Smyth, Stat. Appl. in Genetics and Molecular Biology 9 (2010).
    """
    base, candidate = rows.values()
    seen = abs(candidate - base) * (1 - _ROUNDING)
    if math.isnan(seen):
        return None
    is_exact = rows.n_units <= MAX_UNITS_ENUMERATED
    n_extreme = n = 0
    for swapped, n_ways in _swaps(rows, None if is_exact else n_draws, rng):
        other = rows.spread_over_rows(swapped)
        own = (rows.weights if rows.unit_of_row is None else 1) - other
        apart = np.abs(rows.metric(other, own) - rows.metric(own, other))
        is_extreme = ~(apart < seen)
        n_extreme += int(n_ways[is_extreme].sum())
        n += int(n_ways.sum())
    return n_extreme / n if is_exact else (1 + n_extreme) / (1 + n)


def _swaps(
    rows: PairedRows, n_draws: int | None, rng: np.random.Generator
) -> Iterator[tuple[Floats, Ints]]:
    """How many items of each unit are swapped, and how many ways lead there; None draws: all."""
    weights = rows.unit_weights
    if n_draws is None:
        choices = np.meshgrid(*(np.arange(w + 1) for w in weights), indexing="ij")
        swapped = np.stack([choice.ravel() for choice in choices], axis=1)
        ways = [math.prod(map(math.comb, weights.tolist(), row)) for row in swapped.tolist()]
        yield swapped.astype(np.float64), np.array(ways, dtype=np.int64)
        return
    step = max(1, CHUNK_VALUES // (3 * len(rows.weights)))
    for start in range(0, n_draws, step):
        shape = (min(step, n_draws - start), len(weights))
        is_plain = bool((weights == 1).all())
        drawn = rng.integers(0, 2, shape) if is_plain else rng.binomial(weights, 0.5, shape)
        yield drawn.astype(np.float64), np.ones(len(drawn), dtype=np.int64)
