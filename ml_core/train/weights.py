"""The weights that a training changes, to a file and back, exactly."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

FILE = "weights.safetensors"


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters that are trained, and buffers that are part of the model (running means).

    Tied parameters are there once.
    """
    state = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    persistent = model.state_dict().keys()
    return state | {name: b for name, b in model.named_buffers() if name in persistent}


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write what training changes into `folder`."""
    state = {name: tensor.cpu().contiguous() for name, tensor in trained_state(model).items()}
    save_file(state, folder / FILE)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Take up what `save_weights` wrote of the same model. Raises ValueError for another's."""
    stored, ours = load_file(folder / FILE), trained_state(model)
    if stored.keys() != ours.keys():
        raise ValueError("the weights are of another model")
    with torch.no_grad():
        for name, tensor in ours.items():
            tensor.copy_(stored[name])


def are_finite(model: nn.Module) -> bool:
    """Whether every trained weight is a finite number."""
    state = [tensor for tensor in trained_state(model).values() if tensor.is_floating_point()]
    return all(bool(torch.isfinite(tensor).all()) for tensor in state)
