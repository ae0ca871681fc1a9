"""How small a difference n items can show, and how many items a difference needs."""

import math

from ml_core.statistics.distributions import normal_quantile
from ml_core.statistics.intervals import CONFIDENCE

POWER = 0.8
_MAX_ERRORS = 1e9


def detectable_in_errors(confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """The smallest difference that is found with `power`, in standard errors: 2.80 by default.

    z(confidence, two-sided) + z(power), normal approximation.
    Source: Cohen, Statistical Power Analysis (1988); Miller, arXiv 2411.00640, section 5.
    """
    return normal_quantile(0.5 + confidence / 2) + normal_quantile(power)


def minimum_detectable_effect(
    se: float | None, confidence: float = CONFIDENCE, power: float = POWER
) -> float | None:
    """The smallest true difference that a comparison with this error finds with `power`."""
    return None if se is None else detectable_in_errors(confidence, power) * se


def items_needed(
    n: int, se: float | None, effect: float, confidence: float = CONFIDENCE, power: float = POWER
) -> int | None:
    """How many items like these `n`, whose difference has error `se`, find `effect` with `power`.

    The error falls with the root of n; items in clusters must come in clusters of the same size.
    None for no effect or no error, or an effect too small to name a number.
    """
    if se is None or effect == 0 or n == 0:
        return None
    errors = detectable_in_errors(confidence, power) * se / abs(effect)
    return max(1, math.ceil(n * errors * errors)) if errors < _MAX_ERRORS else None


def paired_deviation(disagreement: float, difference: float = 0.0) -> float:
    """Standard deviation of the per-item difference of two models that are right or wrong.

    sqrt(share of items on which just one is right - difference²).
    """
    return math.sqrt(max(0.0, disagreement - difference * difference))


def unpaired_deviation(first: float, second: float) -> float:
    """The same for two shares of right answers on different items."""
    return math.sqrt(first * (1 - first) + second * (1 - second))
