"""Many questions at once: p values and confidence that stay honest."""

import numpy as np

from ml_core.arrays import Floats
from ml_core.statistics.intervals import CONFIDENCE


def holm(p_values: Floats) -> Floats:
    """p values adjusted so that the chance of any false positive among them stays at its level.

    Ordered upwards, the k-th of m is multiplied by m - k + 1, never falls below the one before it
    and never exceeds 1. Holds under any dependence. Equal p values stay equal; nothing gives
    nothing.

    Source: Holm, Scandinavian J. of Statistics 6 (1979).
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def simultaneous_confidence(n_comparisons: int, confidence: float = CONFIDENCE) -> float:
    """The confidence each of `n_comparisons` intervals needs for all to hold with `confidence`.

    Bonferroni: 1 - (1 - confidence) / n.
    """
    return 1 - (1 - confidence) / max(1, n_comparisons)
