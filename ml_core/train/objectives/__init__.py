"""What a recipe's module gives: the rows to train on, their loss, and the answers to judge by.

One module a recipe, each with a `prepare` of the type `Prepare`; the table is
`ml_core.train.recipes`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_core.arrays import Ints
from ml_core.data.schema import Items
from ml_core.load.checkpoint import Checkpoint
from ml_core.train.specs import FinetuneSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ml_core.evaluate.batching import Rows
    from ml_core.evaluate.engine import Inputs
    from ml_core.evaluate.job import Prepared
    from ml_core.load.model import LoadedModel


@dataclass(frozen=True)
class Request:
    """What an objective's module gets: everything checked that can be checked without torch.

    `truth` is that of `items` as the answer kind reads it, None where the recipe has none. Random
    draws come from torch's generator, which is seeded.
    """

    spec: FinetuneSpec
    items: Items
    truth: Any
    labels: tuple[str, ...]
    validation: Items
    checkpoint: Checkpoint
    staged: Path
    device: "torch.device"


@dataclass(frozen=True)
class Objective:
    """What it gives back.

    Args:
        loaded: the model in float32, its head new where the recipe gives it one.
        classes, purpose: with which `load_model` loads it again from where it was saved.
        fresh: names of its weights that began at random.
        lengths: slots of each training row (tokens, or 1 an image), at least 1.
        units: what the loss of a row counts, such as 1 an example or its labelled tokens.
        inputs: row numbers and the number of the epoch (from 0) to the tensors that `loss` takes,
            on the host.
        loss: the model and what `inputs` made, on the device, to the loss summed over all units.
        answer: a model of the same shape to the forward pass over the validation items, as an
            evaluation wants it.
        save: writes tokenizer or image processor into a folder.
        budget, max_rows: bounds on what is computed at once where the spec names none.
    """

    loaded: "LoadedModel"
    classes: Mapping[type, Any]  # transformers' own lazy mapping type is private
    purpose: str
    fresh: tuple[str, ...]
    lengths: Ints
    units: Ints
    inputs: "Callable[[Rows, int], Inputs]"
    loss: "Callable[[nn.Module, Inputs], torch.Tensor]"
    answer: "Callable[[LoadedModel], Prepared]"
    save: Callable[[Path], None]
    budget: int
    max_rows: int | None
    max_length: int | None
    n_truncated: int
    notes: tuple[str, ...] = ()


Prepare = Callable[[Request], Objective]
