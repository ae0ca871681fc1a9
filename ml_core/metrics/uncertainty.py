"""Standard errors and intervals of one score, and nothing that knows what the score means."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ml_core.metrics.cells import Floats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def mean_standard_error(values: Floats) -> float | None:
    """Sample standard deviation over the root of n; None for fewer than two values."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def share_standard_error(successes: int, n: int) -> float | None:
    """`mean_standard_error` of n zeros and ones; None for n below 2."""
    if n < 2:
        return None
    share = successes / n
    return math.sqrt(share * (1 - share) / (n - 1))


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson's score interval of a share, right for small n and near 0 and 1; None for n = 0.

    Source: E. B. Wilson, JASA 22 (1927), without continuity correction.
    """
    if n == 0:
        return None
    if not 0 <= successes <= n:
        raise ValueError("successes must be from 0 to n")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, z2 = successes / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def percentile_interval(draws: Floats, confidence: float = CONFIDENCE) -> Interval | None:
    """The middle `confidence` of bootstrap draws; None where there are none."""
    if len(draws) == 0:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))
