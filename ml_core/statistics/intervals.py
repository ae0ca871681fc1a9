"""Standard errors and 95 % intervals of one score, and nothing that knows what the score means."""

import math
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.statistics.clusters import mean_covariance
from ml_core.statistics.distributions import normal_quantile, student_quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def mean_standard_error(values: Floats) -> float | None:
    """Sample standard deviation over the root of n; None for fewer than two values."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def clustered_standard_error(values: Floats, codes: Ints) -> float | None:
    """Standard error of the mean of items that come in clusters; None for fewer than two clusters.

    sqrt(G / (G - 1) * sum over clusters of (sum of residuals)²) / n, for G clusters. With one item
    a cluster it is `mean_standard_error`. See `mean_covariance` for the source.
    """
    variance = float(mean_covariance(values[:, np.newaxis], codes)[0, 0]) if len(values) else 0.0
    return math.sqrt(variance) if len(values) and not math.isnan(variance) else None


def share_standard_error(successes: int, n: int) -> float | None:
    """`mean_standard_error` of n zeros and ones; None for n below 2."""
    if n < 2:
        return None
    share = successes / n
    return math.sqrt(share * (1 - share) / (n - 1))


def wilson_interval(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's score interval of a share, right for small n and near 0 and 1; None for n = 0.

    Neither number need be whole: clustered items count as fewer.

    Source: E. B. Wilson, JASA 22 (1927), without continuity correction.
    """
    if n == 0:
        return None
    if not 0 <= successes <= n:
        raise ValueError("successes must be from 0 to n")
    z = normal_quantile(0.5 + confidence / 2)
    share, z2 = successes / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def student_interval(
    value: float, se: float | None, df: float, confidence: float = CONFIDENCE
) -> Interval | None:
    """`value` plus and minus Student's quantile times `se`; None where there is no error.

    Source: Student, Biometrika 6 (1908); for clustered errors with one degree of freedom less than
    there are clusters, Cameron and Miller, J. Human Resources 50 (2015), section VI.
    """
    if se is None or df < 1:
        return None
    half = student_quantile(confidence, df) * se
    return Interval(value - half, value + half)


def interval_error(length: float, confidence: float = CONFIDENCE) -> float:
    """The standard error of which a normal interval at `confidence` is `length` long."""
    return length / (2 * normal_quantile(0.5 + confidence / 2))


def percentile_interval(draws: Floats, confidence: float = CONFIDENCE) -> Interval | None:
    """The middle `confidence` of bootstrap draws; None where there are none.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    if len(draws) == 0:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))
