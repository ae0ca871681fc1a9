"""From an estimate to the value of a metric."""

from ml_core.directions import Direction
from ml_core.metrics.registry import Setting
from ml_core.results import MetricValue
from ml_core.statistics.estimates import Estimate

MAX_METHOD_CHARS = 200
"""As much of the words about a method as a leaderboard keeps."""


def metric_value(
    name: str,
    estimate: Estimate,
    setting: Setting,
    *,
    what: str,
    direction: Direction = "higher",
) -> MetricValue:
    """The value of `estimate`; `what` says which number it is, before how its error came about.

    Items that are missing were left out before: their number is that of `setting`.
    """
    return MetricValue(
        name,
        estimate.value,
        direction,
        estimate.n,
        setting.n_missing,
        estimate.se,
        estimate.low,
        estimate.high,
        f"{what}; {estimate.method}"[:MAX_METHOD_CHARS],
    )
