"""One number for several tasks, from scores that chance alone would not give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ml_core.statistics.distributions import normal_quantile
from ml_core.statistics.intervals import CONFIDENCE


@dataclass(frozen=True)
class TaskScore:
    """A score on one task. `chance` is what guessing gives, `ceiling` the best there is."""

    task: str
    value: float | None
    se: float | None
    chance: float = 0.0
    ceiling: float = 1.0

    def __post_init__(self) -> None:
        if self.chance == self.ceiling:
            raise ValueError(f"{self.task}: guessing already gives the best score there is")

    @property
    def normalised(self) -> float | None:
        """(value - chance) / (ceiling - chance): 0 for guessing, 1 for the best."""
        if self.value is None:
            return None
        return (self.value - self.chance) / (self.ceiling - self.chance)

    @property
    def normalised_se(self) -> float | None:
        return None if self.se is None else self.se / abs(self.ceiling - self.chance)


@dataclass(frozen=True)
class MacroMean:
    """The unweighted mean over tasks. None where a task has no value: a mean over the others would
    be that of another set of tasks. `missing` names them."""

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    n_tasks: int
    missing: tuple[str, ...]


def macro_mean(tasks: Sequence[TaskScore], *, confidence: float = CONFIDENCE) -> MacroMean:
    """Mean of chance-normalised scores, error sqrt(sum of squared errors) / tasks, normal interval.

    For tasks of different items. It is a summary and no order: models are ranked by task.

    Source: normalisation as on the Open LLM Leaderboard (docs "Score normalization"), but a score
    below chance stays below 0: cut off at 0 the mean would rise with noise and its error be wrong.
    """
    missing = tuple(task.task for task in tasks if task.value is None)
    values = [task.normalised for task in tasks if task.normalised is not None]
    errors = [task.normalised_se for task in tasks if task.normalised_se is not None]
    n = len(tasks)
    if missing or n == 0:
        return MacroMean(None, None, None, None, n, missing)
    value = math.fsum(values) / n
    if len(errors) < n:
        return MacroMean(value, None, None, None, n, missing)
    se = math.sqrt(math.fsum(error * error for error in errors)) / n
    half = normal_quantile(0.5 + confidence / 2) * se
    return MacroMean(value, se, value - half, value + half, n, missing)
