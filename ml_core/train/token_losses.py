"""The loss of language models: cross-entropy of labelled tokens, summed, or for each row."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ml_core.arrays import Ints
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.causal import default_budget
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared
from ml_core.evaluate.transfer import send
from ml_core.load.model import LoadedModel

IGNORED = -100
"""The label of a token that is not learnt."""

RowLosses = Callable[[nn.Module, Inputs], torch.Tensor]


def token_losses(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """Cross-entropy of each token that `labels` names, 0 where it names none; `(rows, width)`."""
    given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    logits: torch.Tensor = model(**given).logits
    flat = logits.float().flatten(0, 1)
    labels = inputs["labels"]
    losses = functional.cross_entropy(
        flat, labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return losses.view_as(labels)


def next_token_losses(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """The same for models that foretell: the output at a place is for the label of the next."""
    labels = inputs["labels"]
    shifted = torch.full_like(labels, IGNORED)
    shifted[:, :-1] = labels[:, 1:]
    return token_losses(model, inputs | {"labels": shifted})


def judge_by_loss(
    loaded: LoadedModel,
    losses: RowLosses,
    *,
    lengths: Ints,
    inputs: Callable[[Rows], Inputs],
    slots: Callable[[Rows], int],
    units: Ints,
    max_length: int | None,
) -> Prepared:
    """The forward pass that gives for each row its summed loss and what that counts."""

    def forward(made: Inputs) -> torch.Tensor:
        sent = {name: send(tensor, loaded.model.device) for name, tensor in made.items()}
        counts = sent.pop("units")
        with torch.inference_mode():
            summed = losses(loaded.model, sent).sum(dim=1)
        return torch.stack([summed, counts], dim=1)

    def with_units(rows: Rows) -> Inputs:
        return inputs(rows) | {"units": torch.from_numpy(units[rows].astype(np.float32))}

    return Prepared(
        inputs=with_units,
        forward=forward,
        slots=slots,
        lengths=lengths,
        truncated=np.zeros(len(lengths), dtype=np.bool_),
        default_budget=default_budget(loaded),
        max_rows=None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
    )
