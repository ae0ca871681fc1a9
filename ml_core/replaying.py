"""One evaluation measured a second time: do the two agree? numpy alone; the platform reads it.

With the same engine in float32 every item must score the same. Anything else (another engine,
device or dtype) may round differently: then a benchmark says which share of the items may change,
and the second score must lie inside the interval of the first.

Source: for what batch shapes do to near ties, lm-evaluation-harness issues 704 and 1645.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml_core.arrays import Bools, Floats
from ml_core.data.roles import CLUSTER_ROLE, ID_ROLE
from ml_core.directions import Direction
from ml_core.metrics.per_item import Columns, ItemScores
from ml_core.metrics.registry import Metric
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.comparison import Question

Verdict = Literal["agree", "differ", "cannot_tell"]
Rule = Literal["equal", "within"]
Reason = Literal["", "other_items", "items_changed", "outside_interval", "no_metric"]

EQUAL = 1e-6
"""Relative difference below which two float32 numbers are equal: threads add in another order."""
NEAR = 0.05
"""Under the rule `within` an item has changed that moved by more than this share of the spread of
all items; what is right or wrong has changed when it turned."""
DEFAULT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Terms:
    """What the second measurement is held against.

    Args:
        is_same_engine: same program, libraries and device, in float32.
        tolerance: share of items that may change, where the engine is another.
        low, high: the interval of the first measurement; None where it has none.
    """

    is_same_engine: bool
    tolerance: float = DEFAULT_TOLERANCE
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class MetricChange:
    """One metric in both. `max_difference` is the widest over items; None: rows do not tell."""

    metric: str
    base: float | None
    replay: float | None
    max_difference: float | None
    n_changed: int | None


@dataclass(frozen=True)
class Replayed:
    """The verdict and what it rests on; `difference` to `high` are of the main metric, paired."""

    verdict: Verdict
    rule: Rule
    reason: Reason
    tolerance: float
    n: int
    n_changed: int
    n_answers_changed: int | None
    max_difference: float | None
    difference: float | None
    low: float | None
    high: float | None
    metrics: tuple[MetricChange, ...]

    @property
    def share_changed(self) -> float:
        return self.n_changed / self.n if self.n else 0.0


def replayed(
    base: Columns,
    again: Columns,
    metrics: dict[str, Metric],
    terms: Terms,
    values: dict[str, tuple[float | None, float | None]],
) -> Replayed:
    """Rows of a second measurement against those of the first.

    Args:
        base, again: published rows as columns.
        metrics: those of the benchmark, the main one first.
        values: both published scores by metric.
    """
    rule: Rule = "equal" if terms.is_same_engine else "within"
    ids = list(base.get(ID_ROLE, ()))
    if ids != list(again.get(ID_ROLE, ())):
        return _nothing("differ", rule, "other_items", terms, len(ids))
    pairs = {name: _read(metric, base, again) for name, metric in metrics.items()}
    known = {name: pair for name, pair in pairs.items() if pair is not None}
    if not known:
        return _nothing("cannot_tell", rule, "no_metric", terms, len(ids))
    changed = np.zeros(len(ids), dtype=bool)
    found = []
    for name in metrics:
        pair = known.get(name)
        if pair is None:
            found.append(MetricChange(name, *values[name], None, None))
            continue
        moved = _moved(pair[0].values, pair[1].values, is_exact=rule == "equal")
        changed |= moved
        widest = _widest(pair[0].values, pair[1].values)
        found.append(MetricChange(name, *values[name], widest, int(moved.sum())))
    main = next(iter(metrics))
    paired = known.get(main)
    difference = _paired(main, metrics[main].direction, paired, base) if paired else (None,) * 3
    reason = _reason(changed, terms, rule, values[main])
    widths = [one.max_difference for one in found if one.max_difference is not None]
    return Replayed(
        "differ" if reason else "agree",
        rule,
        reason,
        terms.tolerance,
        len(ids),
        int(changed.sum()),
        _answers_changed(base, again),
        max(widths, default=None),
        *difference,
        tuple(found),
    )


def _reason(
    changed: Bools, terms: Terms, rule: Rule, value: tuple[float | None, float | None]
) -> Reason:
    if rule == "equal":
        return "items_changed" if changed.any() else ""
    if changed.mean() > terms.tolerance:
        return "items_changed"
    again = value[1]
    if again is None or terms.low is None or terms.high is None:
        return "" if value[0] == again else "outside_interval"
    return "" if terms.low <= again <= terms.high else "outside_interval"


def _read(metric: Metric, base: Columns, again: Columns) -> tuple[ItemScores, ItemScores] | None:
    form = metric.of_items
    if not (set(form.columns) <= set(base) and set(form.columns) <= set(again)):
        return None
    return form.read(base), form.read(again)


def _moved(base: Floats, again: Floats, *, is_exact: bool) -> Bools:
    """Which items score another value; an answer that came or went is another, too."""
    was, now = np.isnan(base), np.isnan(again)
    a, b = np.nan_to_num(base), np.nan_to_num(again)
    width = EQUAL * np.maximum(1.0, np.abs(a))
    if not is_exact:
        there = a[~was]
        is_binary = bool(np.isin(there, (0.0, 1.0)).all())
        if not is_binary and len(there):
            width = np.maximum(width, NEAR * float(there.std()))
    moved: Bools = (was != now) | (~was & ~now & (np.abs(a - b) > width))
    return moved


def _widest(base: Floats, again: Floats) -> float | None:
    gaps = np.abs(base - again)
    both = gaps[~np.isnan(gaps)]
    return float(both.max()) if len(both) else None


def _paired(
    name: str, direction: Direction, pair: tuple[ItemScores, ItemScores], base: Columns
) -> tuple[float | None, float | None, float | None]:
    clusters = base.get(CLUSTER_ROLE)
    codes = None if clusters is None else cluster_codes(clusters, len(base[ID_ROLE]))
    found = pair[0].compare(pair[1], Question(name, direction, n_draws=500), codes)
    return found.difference, found.low, found.high


def _answers_changed(base: Columns, again: Columns) -> int | None:
    """How many answers read otherwise, right or wrong; None where rows hold none."""
    if "prediction" not in base or "prediction" not in again:
        return None
    pairs = list(zip(base["prediction"], again["prediction"], strict=True))
    if any(isinstance(side, float) for pair in pairs for side in pair):
        return None
    return len([pair for pair in pairs if pair[0] != pair[1]])


def _nothing(verdict: Verdict, rule: Rule, reason: Reason, terms: Terms, n: int) -> Replayed:
    none = (None,) * 5
    return Replayed(verdict, rule, reason, terms.tolerance, n, 0, *none, metrics=())
