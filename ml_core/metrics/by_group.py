"""Any metric by group of items, with the gap between the outermost two."""

from collections.abc import Sequence

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.directions import Direction
from ml_core.metrics.per_item import ItemScores, Means, draws_of
from ml_core.statistics.bootstrap import DRAWS
from ml_core.statistics.estimates import Estimate
from ml_core.statistics.samples import Sample
from ml_core.statistics.slices import Slices, make_slices, score_slices


def slices_of(
    items: ItemScores,
    groups: Sequence[str | None],
    *,
    clusters: Ints | None = None,
    direction: Direction = "higher",
    n_draws: int = DRAWS,
    seed: int = 0,
) -> Slices:
    """The metric in each group: means in closed form, others drawn within the group.

    The error of the gap of a metric that is no mean is that of its draws, both groups in each.
    """
    if isinstance(items, Means):
        return score_slices(items.values, groups, clusters=clusters, direction=direction)

    def codes_of(at: Ints) -> Ints | None:
        return None if clusters is None else clusters[at]

    def score_of(at: list[int]) -> Estimate:
        rows = np.array(at, dtype=np.int64)
        return items.at(rows).estimate(codes_of(rows), n_draws=n_draws, seed=seed)

    def error_of(best: list[int], worst: list[int]) -> float | None:
        rows = np.array([*best, *worst], dtype=np.int64)
        is_best = np.arange(len(rows)) < len(best)
        both = items.at(rows)

        def gap(counts: Floats) -> Floats:
            return both.of_counts(counts * is_best) - both.of_counts(counts * ~is_best)

        sample = Sample.of(np.zeros(len(rows)), codes_of(rows))
        draws = draws_of(gap, sample, n_draws=n_draws, seed=seed)
        return float(np.std(draws, ddof=1)) if len(draws) >= 2 else None

    return make_slices(groups, score_of, error_of, direction=direction)
