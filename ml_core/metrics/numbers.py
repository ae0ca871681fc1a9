"""How far predicted numbers are from the right ones.

RMSE is the root of the mean square, MAE the mean distance, R² one minus the ratio of the squares
left to those around the mean. They equal scikit-learn's `root_mean_squared_error`,
`mean_absolute_error` and `r2_score`.
"""

from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats
from ml_core.metrics.per_item import mean_of, sums_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.bootstrap import estimate_sums
from ml_core.statistics.estimates import estimate_mean


@dataclass(frozen=True)
class Residuals:
    """The statistic: one entry an item that was answered. `centre` is the mean of all right
    numbers: squares are taken from there, so that large numbers lose no digits."""

    predicted: Floats
    right: Floats
    centre: float

    @property
    def squares(self) -> Floats:
        squares: Floats = (self.predicted - self.right) ** 2
        return squares


def rmse(residuals: Residuals, setting: Setting) -> MetricValue:
    """Root of the mean square; in the unit of the target."""
    rows = np.stack([residuals.squares, np.ones(len(residuals.right))], axis=1)
    found = estimate_sums(rows, root_of_mean, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value("rmse", found, setting, what="root mean square error", direction="lower")


def mae(residuals: Residuals, setting: Setting) -> MetricValue:
    """Mean distance; in the unit of the target."""
    found = estimate_mean(np.abs(residuals.predicted - residuals.right))
    return metric_value("mae", found, setting, what="mean absolute error", direction="lower")


def r2(residuals: Residuals, setting: Setting) -> MetricValue:
    """Share of the variance explained; None where all right numbers are the same."""
    from_centre = residuals.right - residuals.centre
    ones = np.ones(len(from_centre))
    rows = np.stack([residuals.squares, from_centre, from_centre**2, ones], axis=1)
    found = estimate_sums(rows, explained, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value("r2", found, setting, what="coefficient of determination")


def root_of_mean(sums: Floats) -> Floats:
    """`(draws, [squares, items])` to the root of the mean."""
    return np.sqrt(_ratio(sums[:, 0], sums[:, 1]))


def explained(sums: Floats) -> Floats:
    """`(draws, [squares left, distances from a point, their squares, items])` to R²."""
    around = sums[:, 2] - _ratio(sums[:, 1] ** 2, sums[:, 3])
    return 1 - _ratio(sums[:, 0], np.where(around > 1e-12 * sums[:, 2], around, 0.0))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below == 0, np.nan, above / np.where(below == 0, 1.0, below))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "rmse",
            "RMSE",
            rmse,
            "lower",
            high=None,
            per_item=sums_of("squared_error", "one", metric=root_of_mean),
        ),
        Metric("mae", "MAE", mae, "lower", high=None, per_item=mean_of("absolute_error")),
        Metric(
            "r2",
            "R²",
            r2,
            low=None,
            per_item=sums_of("squared_error", "spread", "squared_spread", "one", metric=explained),
        ),
    )
}
