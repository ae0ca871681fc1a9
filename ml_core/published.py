"""Published rows of two runs held against each other. numpy alone: the platform reads it.

Rows are columns by name, as `pyarrow.Table.to_pydict` gives them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_core.arrays import Ints
from ml_core.data.roles import CLUSTER_ROLE, GROUP_ROLE, ID_ROLE
from ml_core.directions import Direction
from ml_core.errors import Code, UserError
from ml_core.metrics.per_item import Columns, ItemScores
from ml_core.metrics.registry import Metric
from ml_core.records import from_json, to_json
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.comparison import Comparison, Question, with_margin

MAX_CONFUSION_LABELS = 40
SHOWN = ("target", "prediction")
"""Columns that say what is right and what was answered, where a kind has them."""


@dataclass(frozen=True)
class GroupComparison:
    """The comparison over the items of one group."""

    group: str
    comparison: Comparison


@dataclass(frozen=True)
class ConfusionChange:
    """How much more often the candidate took a label (row) for a label (column) than the base."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class RunsCompared:
    """Two runs by one metric. `n_apart` rows are of items that only one of the two was asked."""

    comparison: Comparison
    groups: tuple[GroupComparison, ...]
    confusion: ConfusionChange | None
    n_apart: int

    def with_margin(self, margin: float) -> "RunsCompared":
        """The same numbers, asked with another margin."""
        groups = (replace(g, comparison=with_margin(g.comparison, margin)) for g in self.groups)
        whole = with_margin(self.comparison, margin)
        return replace(self, comparison=whole, groups=tuple(groups))

    def to_json(self) -> dict[str, Any]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "RunsCompared":
        """Raises RecordError (a ValueError) for a value that is no such comparison."""
        return from_json(cls, value)


@dataclass(frozen=True)
class Changed:
    """An item on which the two differ: its row in the base's file, and what either is worth."""

    row: int
    item_id: str
    target: Any
    base_said: Any
    candidate_said: Any
    base_value: float
    candidate_value: float


@dataclass(frozen=True)
class Samples:
    """Published rows of a run as plain columns, and one metric of each of them."""

    columns: Columns
    items: ItemScores

    @classmethod
    def of(cls, columns: Columns, metric: Metric) -> "Samples":
        """Raises UserError `metric_unknown` where the rows do not tell the metric."""
        form = metric.of_items
        lacking = [name for name in form.columns if name not in columns]
        if lacking:
            raise UserError(
                Code.METRIC_UNKNOWN,
                f"{metric.title} cannot be read item by item from the published rows.",
                metric=metric.name,
            )
        return cls(columns, form.read(columns))

    @property
    def ids(self) -> list[str]:
        return list(self.columns[ID_ROLE])

    def at(self, rows: Ints) -> "Samples":
        """These rows alone, in this order."""
        places = rows.tolist()
        if places == list(range(len(self.ids))):
            return self
        kept = {name: [column[at] for at in places] for name, column in self.columns.items()}
        return Samples(kept, self.items.at(rows))


def columns_needed(metric: Metric) -> tuple[str, ...]:
    """What a comparison reads of the rows, as far as they have it."""
    wanted = (ID_ROLE, CLUSTER_ROLE, GROUP_ROLE, *SHOWN, *metric.of_items.columns)
    return tuple(dict.fromkeys(wanted))


def in_common(base: Samples, candidate: Samples) -> tuple[Samples, Samples, int]:
    """Both on the items that both were asked, in the base's order; and how many rows are not."""
    places = {item: at for at, item in enumerate(candidate.ids)}
    rows = [at for at, item in enumerate(base.ids) if item in places]
    theirs = [places[base.ids[at]] for at in rows] if len(rows) < len(base.ids) else None
    theirs = theirs if theirs is not None else [places[item] for item in base.ids]
    n_apart = len(base.ids) + len(candidate.ids) - 2 * len(rows)
    return base.at(np.array(rows, np.int64)), candidate.at(np.array(theirs, np.int64)), n_apart


def compare_samples(base: Samples, candidate: Samples, question: Question) -> RunsCompared:
    """`candidate` against `base` from their published rows, over the items that both answered.

    Clusters and groups are those of the base's rows.
    """
    base, candidate, n_apart = in_common(base, candidate)
    clusters = base.columns.get(CLUSTER_ROLE)
    codes = None if clusters is None else cluster_codes(clusters, len(base.ids))
    groups: dict[str, list[int]] = {}
    for at, name in enumerate(base.columns.get(GROUP_ROLE) or ()):
        if name is not None:
            groups.setdefault(name, []).append(at)

    def within(at: list[int]) -> Comparison:
        rows = np.array(at, dtype=np.int64)
        own = None if codes is None else codes[rows]
        return base.items.at(rows).compare(candidate.items.at(rows), question, own)

    return RunsCompared(
        base.items.compare(candidate.items, question, codes),
        tuple(GroupComparison(name, within(at)) for name, at in sorted(groups.items())),
        confusion_change(base, candidate),
        n_apart,
    )


def confusion_change(base: Samples, candidate: Samples) -> ConfusionChange | None:
    """The change over items that both answered; None where answers are no labels, or too many."""
    rows = [
        (target, before, after)
        for target, before, after in zip(
            base.columns.get("target", ()),
            base.columns.get("prediction", ()),
            candidate.columns.get("prediction", ()),
            strict=False,
        )
        if before is not None and after is not None
    ]
    if not rows or not all(isinstance(value, str) for row in rows for value in row):
        return None
    labels = sorted({value for row in rows for value in row})
    if len(labels) > MAX_CONFUSION_LABELS:
        return None
    places = {label: at for at, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for target, before, after in rows:
        counts[places[target]][places[after]] += 1
        counts[places[target]][places[before]] -= 1
    return ConfusionChange(tuple(labels), tuple(map(tuple, counts)))


def changed_items(
    base: Samples, candidate: Samples, direction: Direction, *, is_gain: bool
) -> list[Changed]:
    """Items on which the candidate is better (or else the base), the widest difference first.

    Ties are in the order of the data.
    """
    rows_of = {item: at for at, item in enumerate(base.ids)}
    base, candidate, _ = in_common(base, candidate)
    gains = candidate.items.values - base.items.values
    if direction == "lower":
        gains = -gains
    wanted = np.flatnonzero(gains > 0 if is_gain else gains < 0)
    order = wanted[np.argsort(-np.abs(gains[wanted]), kind="stable")]
    nothing = [None] * len(base.ids)
    target = base.columns.get("target", nothing)
    before, after = (side.columns.get("prediction", nothing) for side in (base, candidate))
    return [
        Changed(
            rows_of[base.ids[at]],
            base.ids[at],
            target[at],
            before[at],
            after[at],
            float(base.items.values[at]),
            float(candidate.items.values[at]),
        )
        for at in order.tolist()
    ]
