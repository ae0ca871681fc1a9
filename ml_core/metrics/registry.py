"""The metrics by name: how each becomes a value with its error and interval."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_core.directions import Direction
from ml_core.errors import Code, UserError
from ml_core.metrics.cells import Cells
from ml_core.metrics.classification import accuracy, bootstrap_macro_f1, macro_f1
from ml_core.metrics.per_item import PerItem, macro_f1_of_labels, mean_of
from ml_core.results import MetricValue
from ml_core.seeding import generator
from ml_core.statistics.intervals import (
    Interval,
    percentile_interval,
    share_standard_error,
    wilson_interval,
)


@dataclass(frozen=True)
class Setting:
    """What a metric needs besides the cells."""

    n_missing: int
    n_draws: int
    seed: int


def accuracy_value(cells: Cells, setting: Setting) -> MetricValue:
    """Accuracy with its standard error and Wilson's interval."""
    interval = wilson_interval(cells.n_correct, cells.n)
    se = share_standard_error(cells.n_correct, cells.n)
    method = "share of right predictions; se sd/sqrt(n); Wilson 95 % interval"
    return _value("accuracy", accuracy(cells), cells, setting, se, interval, method)


def top5_value(cells: Cells, setting: Setting) -> MetricValue:
    """Share of items whose right label is among the five likeliest, as `accuracy_value` has it;
    None for five labels or fewer."""
    if cells.n_top5 is None or not cells.n:
        return _value("top5_accuracy", None, cells, setting, None, None, "no more than five labels")
    interval = wilson_interval(cells.n_top5, cells.n)
    se = share_standard_error(cells.n_top5, cells.n)
    method = "share in the five likeliest; se sd/sqrt(n); Wilson 95 % interval"
    return _value("top5_accuracy", cells.n_top5 / cells.n, cells, setting, se, interval, method)


def macro_f1_value(cells: Cells, setting: Setting) -> MetricValue:
    """Macro-F1 with the spread of a seeded bootstrap over items; fewer than two items have none."""
    n_draws = setting.n_draws if cells.n >= 2 else 0
    draws = bootstrap_macro_f1(cells, n_draws=n_draws, rng=generator(setting.seed))
    se = float(np.std(draws, ddof=1)) if len(draws) >= 2 else None
    method = (
        "mean F1 over labels seen in truth or predictions; percentile bootstrap over items, "
        f"{n_draws} draws, seed {setting.seed}, 95 % interval"
    )
    interval = percentile_interval(draws)
    return _value("macro_f1", macro_f1(cells), cells, setting, se, interval, method)


@dataclass(frozen=True)
class Metric:
    """A named metric. To add one: a function like those above and a line in `METRICS`.

    `compute` takes the sufficient statistic of the answer kind that the metric belongs to.
    Values lie between `low` and `high`, None for no bound. `per_item` reads it from the published
    rows; without it the metric is the mean of a column of its own name, if there is one. Where
    `is_slow`, holding two runs against each other may take many seconds.
    """

    name: str
    title: str
    compute: Callable[[Any, Setting], MetricValue]  # each answer kind has a statistic of its own
    direction: Direction = "higher"
    high: float | None = 1.0
    low: float | None = 0.0
    per_item: PerItem | None = None
    is_slow: bool = False

    @property
    def of_items(self) -> PerItem:
        """How it is read from the published rows; their columns may be lacking."""
        return self.per_item or mean_of(self.name)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", accuracy_value, per_item=mean_of("correct")),
        Metric("top5_accuracy", "Top-5 accuracy", top5_value, per_item=mean_of("in_top5")),
        Metric("macro_f1", "Macro F1", macro_f1_value, per_item=macro_f1_of_labels()),
    )
}


def get_metric(name: str) -> Metric:
    """The metric called `name`. Raises UserError `metric_unknown`."""
    if name not in METRICS:
        known = ", ".join(sorted(METRICS))
        raise UserError(
            Code.METRIC_UNKNOWN, f"There is no metric {name!r}; there are {known}.", metric=name
        )
    return METRICS[name]


def _value(
    name: str,
    value: float | None,
    cells: Cells,
    setting: Setting,
    se: float | None,
    interval: Interval | None,
    method: str,
) -> MetricValue:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return MetricValue(name, value, "higher", cells.n, setting.n_missing, se, low, high, method)
