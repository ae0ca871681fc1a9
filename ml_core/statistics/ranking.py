"""Ranks as ranges and tie groups: from draws that all models share, or from intervals alone."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Bools, Floats, Ints
from ml_core.directions import Direction
from ml_core.statistics.bootstrap import CHUNK_VALUES, DRAWS, distinct_rows, draw_counts
from ml_core.statistics.clusters import cluster_codes, mean_covariance, sum_by_cluster
from ml_core.statistics.distributions import student_quantile
from ml_core.statistics.intervals import CONFIDENCE, percentile_interval


@dataclass(frozen=True)
class Ranked:
    """Where a model stands. All but the name and the counts is None for one without a value.

    `best` and `worst` are the ranks the data allow: 1 + models that are surely better, and all
    models but those surely worse. Models of one `group`, numbered from 1, cannot be told from the
    best of that group; they share its first place as `rank` and are ordered by name.
    """

    name: str
    value: float | None
    se: float | None
    low: float | None
    high: float | None
    rank: int | None
    best: int | None
    worst: int | None
    group: int | None
    n: int
    n_missing: int


def rank_models(
    scores: Floats,
    names: Sequence[str],
    *,
    direction: Direction = "higher",
    clusters: Iterable[Hashable] | None = None,
    n_draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[Ranked, ...]:
    """Models by the mean of `scores`, shape `(items, models)`, over draws of items they all share.

    NaN is an item that a model did not answer: its mean is over the others. The ranges of ranks
    hold all together with `confidence`. A model without any item comes last and has no rank.
    """
    codes = cluster_codes(clusters, len(scores))
    rng = np.random.default_rng(seed)
    means, draws, n_units = bootstrap_means(scores, codes=codes, n_draws=n_draws, rng=rng)
    n = (~np.isnan(scores)).sum(axis=0)
    return rank_draws(
        means,
        draws,
        names,
        n=n,
        n_missing=len(scores) - n,
        n_units=n_units,
        covariance=mean_covariance(scores, codes),
        direction=direction,
        confidence=confidence,
    )


def rank_draws(
    values: Floats,
    draws: Floats,
    names: Sequence[str],
    *,
    n: Ints,
    n_missing: Ints,
    n_units: int,
    covariance: Floats | None = None,
    direction: Direction = "higher",
    confidence: float = CONFIDENCE,
) -> tuple[Ranked, ...]:
    """The same for any metric: `values` one a model (NaN for none), `draws` `(draws, models)`.

    `covariance` of the values comes from the draws where it is not known otherwise.
    """
    if not len(names) == len(values) == draws.shape[1]:
        raise ValueError("there must be one name, one value and one column of draws for each model")
    valued = np.flatnonzero(~np.isnan(values)).tolist()
    gains = values[valued] if direction == "higher" else -values[valued]
    if covariance is None:
        covariance = _covariance(draws)
    higher = separate(
        values[valued],
        draws[:, valued],
        covariance[np.ix_(valued, valued)],
        n_units=n_units,
        confidence=confidence,
    )
    better = higher if direction == "higher" else higher.T
    best, worst = 1 + better.sum(axis=0), len(valued) - better.sum(axis=1)
    groups, ranks = tie_groups(gains, better)
    errors = np.sqrt(np.diagonal(covariance))
    ranked = []
    for at, model in enumerate(valued):
        interval = percentile_interval(draws[:, model], confidence) if n_units > 1 else None
        ranked.append(
            Ranked(
                name=names[model],
                value=float(values[model]),
                se=float(errors[model]) if errors[model] >= 0 else None,
                low=interval.low if interval else None,
                high=interval.high if interval else None,
                rank=int(ranks[at]),
                best=int(best[at]),
                worst=int(worst[at]),
                group=int(groups[at]),
                n=int(n[model]),
                n_missing=int(n_missing[model]),
            )
        )
    absent = [
        Ranked(names[m], *(None,) * 8, int(n[m]), int(n_missing[m]))
        for m in np.flatnonzero(np.isnan(values)).tolist()
    ]
    ranked.sort(key=lambda r: (r.group or 0, r.name))
    return (*ranked, *sorted(absent, key=lambda r: r.name))


def bootstrap_means(
    scores: Floats,
    *,
    codes: Ints,
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, int]:
    """Means by model, means in `(draws, models)`, and how many items or clusters were drawn.

    A model without an item in a draw keeps its mean there.
    """
    n_models = scores.shape[1]
    present = ~np.isnan(scores)
    filled = np.where(present, scores, 0.0)
    columns = np.hstack([filled, present]) if not present.all() else filled
    ones = np.ones((len(scores), 1))
    sums = sum_by_cluster(np.hstack([columns, ones]), codes)
    n = np.where(present.any(axis=0), present.sum(axis=0), np.nan)
    means = filled.sum(axis=0) / n
    rows, weights = distinct_rows(sums)
    blocks = []
    for counts in draw_counts(weights, n_draws=n_draws, rng=rng, width=rows.shape[1]):
        drawn = counts @ rows
        sizes = drawn[:, n_models:-1] if drawn.shape[1] > n_models + 1 else drawn[:, -1:]
        blocks.append(np.where(sizes == 0, means, drawn[:, :n_models] / np.maximum(sizes, 1)))
    draws = np.concatenate(blocks) if blocks else np.empty((0, n_models))
    return means, draws, len(sums)


def separate(
    values: Floats,
    draws: Floats,
    covariance: Floats,
    *,
    n_units: int,
    confidence: float = CONFIDENCE,
) -> Bools:
    """Who is surely higher than whom: `[i, j]` where i is above j, all pairs held at once.

    A pair is separated where its difference exceeds c errors. To the square of the error of a
    difference (2 difference / units)² is added, what one unit that went the other way
    would do, so that a handful of items separates nobody. c is the quantile over the draws of the
    largest deviation among all pairs, and at least Student's for one pair. With fewer than two
    units or no draws nobody is separated.

    Source: Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91 (2024): ranges of
    ranks from simultaneous intervals of all differences.
    """
    n_models = len(values)
    if n_units < 2 or len(draws) < 2 or n_models < 2:
        return np.zeros((n_models, n_models), dtype=np.bool_)
    variances = np.diagonal(covariance)
    gaps = values[:, np.newaxis] - values
    square = variances[:, np.newaxis] + variances - 2 * covariance
    noise = 1e-12 * (variances[:, np.newaxis] + variances)
    errors = np.sqrt(np.where(square > noise, square, 0.0) + (2 * gaps / n_units) ** 2)
    reach = max(
        student_quantile(confidence, n_units - 1),
        _largest_deviation(draws - values, errors, confidence),
    )
    return gaps > reach * errors


def tie_groups(gains: Floats, better: Bools) -> tuple[Ints, Ints]:
    """Group number and first place of each model; a group ends before the first model that is
    surely worse than its best one."""
    groups, ranks = np.zeros(len(gains), np.int64), np.zeros(len(gains), np.int64)
    leader = group = rank = 0
    for place, model in enumerate(np.argsort(-gains, kind="stable"), start=1):
        if place == 1 or better[leader, model]:
            leader, group, rank = int(model), group + 1, place
        groups[model], ranks[model] = group, rank
    return groups, ranks


def interval_ranges(lows: Floats, highs: Floats) -> tuple[Ints, Ints]:
    """Best and worst rank of each score, higher being better, from intervals alone.

    Two are separated where their intervals do not overlap. That is cautious: a paired comparison on
    the items may tell models apart whose intervals overlap.
    """
    better = len(lows) - np.searchsorted(np.sort(lows), highs, side="right")
    worse = np.searchsorted(np.sort(highs), lows, side="left")
    return better + 1, len(lows) - worse


def interval_groups(lows: Floats, highs: Floats) -> Ints:
    """Group number, from 1, of scores ordered best first: a new one where the interval lies below
    that of the group's first."""
    groups, group = np.zeros(len(lows), np.int64), 0
    floor = np.inf
    for at, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        if high < floor:
            floor, group = low, group + 1
        groups[at] = group
    return groups


def _largest_deviation(deviations: Floats, errors: Floats, confidence: float) -> float:
    """The quantile over draws of the largest studentised deviation among all pairs."""
    first, second = np.triu_indices(errors.shape[0], 1)
    scales = errors[first, second]
    known = scales > 0
    first, second, scales = first[known], second[known], scales[known]
    if len(scales) == 0:
        return 0.0
    step = max(1, CHUNK_VALUES // len(scales))
    largest = [
        (np.abs(block[:, first] - block[:, second]) / scales).max(axis=1)
        for block in (deviations[at : at + step] for at in range(0, len(deviations), step))
    ]
    return float(np.quantile(np.concatenate(largest), confidence))


def _covariance(draws: Floats) -> Floats:
    n_models = draws.shape[1]
    if len(draws) < 2:
        return np.full((n_models, n_models), np.nan)
    return np.cov(draws, rowvar=False).reshape(n_models, n_models)
