"""The learning rate over the steps of a training."""

import math
from collections.abc import Callable

from ml_core.train.specs import Schedule


def rate_of(
    schedule: Schedule, *, n_steps: int, warmup_share: float, factor: float
) -> Callable[[int], float]:
    """The part of the full learning rate that step `n` (from 0) is made with, times `factor`.

    It rises over the warm-up in a line and then falls to 0 as the schedule says.
    """
    n_warm = math.ceil(warmup_share * n_steps)
    n_rest = max(1, n_steps - n_warm)

    def rate(step: int) -> float:
        if step < n_warm:
            return factor * (step + 1) / (n_warm + 1)
        share = min(1.0, (step - n_warm) / n_rest)
        if schedule == "constant":
            return factor
        if schedule == "cosine":
            return factor * (1 + math.cos(math.pi * share)) / 2
        return factor * (1 - share)

    return rate
