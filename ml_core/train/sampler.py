"""Which rows a step of the optimizer sees: shuffled, of like length, as many tokens each.

An epoch is shuffled and cut into pools; a pool is sorted by length and cut into steps of at most
`step_slots` tokens, padding not counted; the steps of all pools are shuffled again. So rows of a
step pad little, yet no two epochs have the same steps. What a machine computes at once is a part of
a step and changes nothing of which rows are in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Ints
from ml_core.evaluate.batching import Rows, cut

POOL_STEPS = 32
"""Steps of one pool: more pad less, fewer mix lengths more freely over an epoch."""


@dataclass(frozen=True)
class StepPlan:
    """The rows of every step of a training, in order.

    `lengths` are the slots of each row, `units` what its loss counts (1 an example, or its labelled
    tokens). `epoch_ends` are the numbers of steps after which an epoch is complete.
    `units_per_step` is the mean over the first epoch: dividing each step's summed loss by it, and
    not by the units of that step, makes every example count alike whatever company it is in.
    """

    steps: tuple[Rows, ...]
    epoch_ends: tuple[int, ...]
    lengths: Ints
    units: Ints
    units_per_step: float

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Rows]:
        return iter(self.steps)

    def epoch(self, step: int) -> float:
        """How many passes over the data `step` steps are."""
        whole = int(np.searchsorted(self.epoch_ends, step, side="right"))
        if whole == len(self.epoch_ends):
            return float(whole)
        start = self.epoch_ends[whole - 1] if whole else 0
        return whole + (step - start) / (self.epoch_ends[whole] - start)


def plan_steps(
    lengths: Ints,
    units: Ints,
    *,
    step_slots: int,
    epochs: int,
    seed: int,
    max_steps: int | None = None,
) -> StepPlan:
    """The steps of `epochs` passes over the rows, each with each row once, `max_steps` at most.

    Args:
        lengths: slots of each row, at least 1; a row longer than `step_slots` is a step by itself.
    """
    steps: list[Rows] = []
    ends: list[int] = []
    for epoch in range(epochs):
        steps += _epoch(lengths, step_slots, np.random.default_rng((seed, epoch)))
        ends.append(len(steps))
        if max_steps is not None and len(steps) >= max_steps:
            break
    units_per_step = max(1.0, float(units.sum())) / ends[0]
    return StepPlan(tuple(steps[:max_steps]), tuple(ends), lengths, units, units_per_step)


def _epoch(lengths: Ints, step_slots: int, rng: np.random.Generator) -> list[Rows]:
    order = rng.permutation(len(lengths))
    slots = np.cumsum(lengths[order])
    pool_of = (slots - 1) // (POOL_STEPS * step_slots)
    edges = np.flatnonzero(np.diff(pool_of)) + 1
    steps = []
    for pool in np.split(order, edges):
        steps += _cut(pool[np.argsort(-lengths[pool], kind="stable")], lengths, step_slots)
    return [steps[at] for at in rng.permutation(len(steps))]


def _cut(rows: Rows, lengths: Ints, step_slots: int) -> list[Rows]:
    """`rows` in their order, in steps of at most `step_slots` slots, or of one row."""
    ends = np.cumsum(lengths[rows])
    steps, start, seen = [], 0, 0
    while start < len(rows):
        end = max(start + 1, int(np.searchsorted(ends, seen + step_slots, side="right")))
        steps.append(rows[start:end])
        start, seen = end, int(ends[end - 1])
    return steps


def parts_of(rows: Rows, lengths: Ints, *, budget: int, max_rows: int | None) -> list[Rows]:
    """The rows of a step in parts that are computed one after the other, each within `budget`."""
    by_length = rows[np.argsort(-lengths[rows], kind="stable")]
    return list(cut(by_length, lengths, bound=budget, max_rows=max_rows))
