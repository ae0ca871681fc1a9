"""All that is said of a run's answers, with the clusters and groups of the data. No torch."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ml_core.answers.kind import AnswerKind
from ml_core.arrays import Ints
from ml_core.data.marks import Marks
from ml_core.data.predictions import Predictions
from ml_core.evalfile.submissions import Halves, halves_of
from ml_core.metrics import Metric, Setting
from ml_core.metrics.by_group import slices_of
from ml_core.metrics.calibration import calibration
from ml_core.metrics.per_item import ItemScores
from ml_core.metrics.values import MAX_METHOD_CHARS
from ml_core.results import MetricSlices, MetricValue, Scores
from ml_core.statistics.clusters import cluster_codes

MAX_PROBABILITIES = 20_000_000
"""More of them (items times labels) are not looked at for calibration: it takes gigabytes."""


@dataclass(frozen=True)
class Assessment:
    """Scores, and the rows that are published: one an item, with its cluster and group."""

    scores: Scores
    samples: pa.Table


def assess(
    kind: AnswerKind[Any, Any, Any],
    predictions: Any,
    truth: Any,
    marks: Marks,
    *,
    metrics: Sequence[str],
    setting: Setting,
    halves: Halves | None = None,
) -> Assessment:
    """Scores of `predictions`, each error clustered where the items are.

    Args:
        halves: how the items are parted into a public and a private half, where they are.

    Raises:
        UserError: `metric_unknown`.
    """
    scores = kind.score(predictions, truth, metrics=metrics, setting=setting)
    samples = marks.beside(kind.samples(predictions, truth))
    is_sure = isinstance(predictions, Predictions) and predictions.probabilities.size
    if is_sure and predictions.probabilities.size <= MAX_PROBABILITIES:
        found = calibration(predictions.probabilities, truth.label_index)
        scores = dataclasses.replace(scores, calibration=found if found.n else None)
    if marks.clusters is None and marks.groups is None and halves is None:
        return Assessment(scores, samples)
    items = items_of(samples, kind.metrics, metrics)
    codes = None
    if marks.clusters is not None:
        codes = cluster_codes(marks.clusters, samples.num_rows)
        clustered = (_clustered(v, items.get(v.name), codes, setting) for v in scores.metrics)
        scores = dataclasses.replace(scores, metrics=tuple(clustered))
    if marks.groups is not None:
        slices = _by_group(kind, items, marks.groups, codes, setting)
        scores = dataclasses.replace(scores, slices=slices)
    if halves is not None:
        sides = halves_of(truth.item_ids, halves)
        scores = dataclasses.replace(scores, halves=_by_group(kind, items, sides, codes, setting))
    return Assessment(scores, samples)


def _by_group(
    kind: AnswerKind[Any, Any, Any],
    items: Mapping[str, ItemScores],
    groups: Sequence[str | None],
    codes: Ints | None,
    setting: Setting,
) -> tuple[MetricSlices, ...]:
    return tuple(
        MetricSlices(
            name,
            slices_of(
                found,
                groups,
                clusters=codes,
                direction=kind.metric(name).direction,
                n_draws=setting.n_draws,
                seed=setting.seed,
            ),
        )
        for name, found in items.items()
    )


def items_of(
    samples: pa.Table, known: Mapping[str, Metric], metrics: Sequence[str]
) -> dict[str, ItemScores]:
    """Each metric item by item, without those that the rows do not tell."""
    found = {}
    for name in metrics:
        form = known[name].of_items
        if set(form.columns) <= set(samples.column_names):
            found[name] = form.read(samples.select(list(form.columns)).to_pydict())
    return found


def _clustered(
    value: MetricValue, items: ItemScores | None, codes: Ints, setting: Setting
) -> MetricValue:
    """`value` with the error of whole clusters, where it can be told."""
    if items is None or value.value is None:
        return value
    found = items.estimate(codes, n_draws=setting.n_draws, seed=setting.seed)
    if found.value is None or not np.isclose(found.value, value.value, rtol=1e-9, atol=1e-12):
        return value
    what = value.method.partition(";")[0]
    return dataclasses.replace(
        value,
        se=found.se,
        ci_low=found.low,
        ci_high=found.high,
        method=f"{what}; {found.method}"[:MAX_METHOD_CHARS],
        n_clusters=found.n_clusters,
    )
