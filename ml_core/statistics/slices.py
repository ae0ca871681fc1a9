"""Scores of groups of items, the worst of them, and how far it lies from the best."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats
from ml_core.directions import Direction
from ml_core.statistics.clusters import cluster_codes, mean_covariance
from ml_core.statistics.corrections import simultaneous_confidence
from ml_core.statistics.distributions import student_two_sided_p
from ml_core.statistics.estimates import Estimate, estimate
from ml_core.statistics.intervals import CONFIDENCE, student_interval

MIN_ITEMS = 20
"""Fewer items make no worst group: one unlucky item would name it."""


@dataclass(frozen=True)
class GroupScore:
    """The score of the items of one group."""

    group: str
    score: Estimate


@dataclass(frozen=True)
class Gap:
    """The best group's score minus the worst's (or the other way where lower is better), from 0 up.

    These two were picked among `n_pairs` pairs because they are furthest apart, so the interval is
    one of those that hold for all pairs together, and `p` is multiplied by their number.
    """

    best: str
    worst: str
    difference: float
    se: float | None
    low: float | None
    high: float | None
    p: float | None
    n_pairs: int


@dataclass(frozen=True)
class Slices:
    """Scores by group, ordered by name. `gap` is None with fewer than two groups large enough.

    `n_ungrouped` items belong to no group. `small` names groups with too few items to be the best
    or the worst.
    """

    groups: tuple[GroupScore, ...]
    gap: Gap | None
    n_ungrouped: int
    small: tuple[str, ...]

    @property
    def worst(self) -> GroupScore | None:
        name = self.gap.worst if self.gap else None
        return next((found for found in self.groups if found.group == name), None)


def score_slices(
    values: Floats,
    groups: Sequence[str | None],
    *,
    clusters: Iterable[Hashable] | None = None,
    direction: Direction = "higher",
    min_items: int = MIN_ITEMS,
    confidence: float = CONFIDENCE,
) -> Slices:
    """The mean of `values` (NaN for missing) in each group, and the gap between the outermost two.

    Clusters may span groups, as where one sentence is asked about a woman and about a man: then the
    gap's error is that of the paired comparison. Ties for best and worst go to the first name.

    Raises:
        ValueError: there is not one group (or None) for each item.
    """
    if len(groups) != len(values):
        raise ValueError(f"{len(groups)} groups for {len(values)} items")
    codes = None if clusters is None else cluster_codes(clusters, len(values))

    def score_of(at: list[int]) -> Estimate:
        own = None if codes is None else codes[at].tolist()
        return estimate(values[at], clusters=own, confidence=confidence)

    def error_of(best: list[int], worst: list[int]) -> float | None:
        columns = np.full((len(values), 2), np.nan)
        for column, at in enumerate((best, worst)):
            columns[at, column] = values[at]
        units = cluster_codes(None, len(columns)) if codes is None else codes
        covariance = mean_covariance(columns, units)
        variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        return math.sqrt(max(0.0, variance)) if not math.isnan(variance) else None

    return make_slices(
        groups, score_of, error_of, direction=direction, min_items=min_items, confidence=confidence
    )


def make_slices(
    groups: Sequence[str | None],
    score_of: Callable[[list[int]], Estimate],
    error_of: Callable[[list[int], list[int]], float | None],
    *,
    direction: Direction,
    min_items: int = MIN_ITEMS,
    confidence: float = CONFIDENCE,
) -> Slices:
    """The slices of any metric.

    Args:
        groups: of each item.
        score_of: the score of the items at these places.
        error_of: the standard error of the difference between the items at two lists of places.
    """
    members: dict[str, list[int]] = {}
    for place, name in enumerate(groups):
        if name is not None:
            members.setdefault(name, []).append(place)
    scores = [GroupScore(name, score_of(at)) for name, at in sorted(members.items())]
    large = [s for s in scores if s.score.n >= max(1, min_items) and s.score.value is not None]
    small = tuple(found.group for found in scores if found not in large)
    gap = None
    if len(large) >= 2:
        best, worst = _outermost(large, direction)
        se = error_of(members[best.group], members[worst.group])
        gap = _gap(best, worst, se, len(large) * (len(large) - 1) // 2, confidence)
    n_grouped = sum(map(len, members.values()))
    return Slices(tuple(scores), gap, len(groups) - n_grouped, small)


def _outermost(scores: Sequence[GroupScore], direction: Direction) -> tuple[GroupScore, GroupScore]:
    """The best and the worst; of equal ones the first, but two different groups."""
    sign = 1.0 if direction == "higher" else -1.0
    best = max(scores, key=lambda found: sign * (found.score.value or 0.0))
    others = [found for found in scores if found is not best]
    return best, min(others, key=lambda found: sign * (found.score.value or 0.0))


def _gap(
    best: GroupScore, worst: GroupScore, se: float | None, n_pairs: int, confidence: float
) -> Gap:
    difference = abs((best.score.value or 0.0) - (worst.score.value or 0.0))
    df = min(_n_units(best.score), _n_units(worst.score)) - 1
    interval = student_interval(difference, se, df, simultaneous_confidence(n_pairs, confidence))
    p = None
    if se and df >= 1:
        p = min(1.0, n_pairs * float(student_two_sided_p(np.array([difference / se]), df)[0]))
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Gap(best.group, worst.group, difference, se, low, high, p, n_pairs)


def _n_units(score: Estimate) -> int:
    return score.n if score.n_clusters is None else score.n_clusters
