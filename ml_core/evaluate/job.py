"""The contract between the job and a task's module."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml_core.data.schema import Items
from ml_core.load.checkpoint import Checkpoint
from ml_core.specs import EvaluationSpec

if TYPE_CHECKING:
    import torch

    from ml_core.evaluate.batching import Rows
    from ml_core.evaluate.engine import Forward, MakeInputs


@dataclass(frozen=True)
class Request:
    """What a task's module gets: everything checked that can be checked without torch."""

    spec: EvaluationSpec
    items: Items
    checkpoint: Checkpoint
    staged: Path
    device: "torch.device"
    dtype: "torch.dtype"


@dataclass(frozen=True)
class Prepared:
    """What it gives back: a loaded model behind `forward`, and the rows it will be asked for.

    `lengths` are slots by row (tokens, or 1 an image), `truncated` says which rows were cut.
    `inputs`, `forward` and `slots` are as `run_batches` wants them. `default_budget` bounds a batch
    where the spec does not.
    """

    inputs: "MakeInputs"
    forward: "Forward"
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


Prepare = Callable[[Request], Prepared]
