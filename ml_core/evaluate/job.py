"""The contract between the job and a family's module."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml_core.answers.kind import Collected
from ml_core.data.schema import Items
from ml_core.evaluate.batching import SHARES, plan_batches
from ml_core.load.checkpoint import Checkpoint
from ml_core.results import ScoringPath
from ml_core.specs import EvaluationSpec

if TYPE_CHECKING:
    import torch

    from ml_core.evaluate.batching import Plan, Rows
    from ml_core.evaluate.engine import Given, Outputs
    from ml_core.generation import GenerationFacts


@dataclass(frozen=True)
class Request:
    """What a family's module gets: everything checked that can be checked without torch.

    `fit` is what the answer kind settled about the model, such as the map of its labels.
    """

    spec: EvaluationSpec
    items: Items
    fit: Any
    checkpoint: Checkpoint
    staged: Path
    device: "torch.device"
    dtype: "torch.dtype"


@dataclass(frozen=True)
class Prepared:
    """What it gives back: a loaded model behind `forward`, and the rows it will be asked for.

    `lengths` are slots by row (tokens, or 1 an image), `truncated` says which items were cut.
    `inputs`, `forward` and `slots` are as `run_batches` wants them. `default_budget` bounds a batch
    where the spec does not. `collect` makes the value of each item, as the answer kind wants it,
    from the rows that came out; by default a row is an item. `shares` is as `plan_batches` wants
    it; `generation` says how texts came about, once all rows are through. `plan` makes the batches
    for a budget where sorting by length would tear apart what belongs together.
    """

    inputs: "Callable[[Rows], Any]"  # whatever `forward` takes
    forward: "Callable[[Any], Given]"
    slots: "Callable[[Rows], int]"
    lengths: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    default_budget: int
    max_rows: int | None
    max_length: int | None
    architecture: str
    n_parameters: int
    attention: str | None
    notes: tuple[str, ...] = ()
    path: ScoringPath | None = None
    plan: "Callable[[int], Plan] | None" = None
    collect: "Callable[[Outputs], Collected] | None" = None
    shares: int = SHARES
    generation: "Callable[[], GenerationFacts] | None" = None

    def planned(self, token_budget: int | None) -> "Plan":
        """The batches of the job, within `token_budget` where one is asked for."""
        budget = token_budget or self.default_budget
        if self.plan is not None:
            return self.plan(budget)
        return plan_batches(self.lengths, budget=budget, max_rows=self.max_rows, shares=self.shares)

    def collected(self, outputs: "Outputs") -> Collected:
        """What came out, by item."""
        if self.collect is not None:
            return self.collect(outputs)
        return Collected(outputs.rows, outputs.errors, self.truncated)


Prepare = Callable[[Request], Prepared]
