"""An adapter put onto the model it was trained on: added in for good, or beside it for a check."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers.pytorch_utils import Conv1D

from ml_core.load.adapter_files import ADAPTER_WEIGHTS, Adapter, Factors, invalid


def add_in(model: nn.Module, adapter: Adapter) -> None:
    """Change the weights of `model` to what they are with the adapter; computed in float32.

    Raises:
        UserError: `adapter_invalid` where a module is missing, of another size, or shares its
            weight with another that the adapter does not mean.
    """
    with torch.no_grad(), _tensors(adapter.folder) as tensors:
        weights = {m: _weight(model, m, f, tensors) for m, f in adapter.factors.items()}
        _replace(model, adapter, tensors)
        for module, weight in weights.items():
            factors = adapter.factors[module]
            delta = _delta(model, module, factors, tensors) * adapter.scale(module)
            weight.copy_((weight.float() + delta).to(weight.dtype))


@contextmanager
def beside(model: nn.Module, adapter: Adapter) -> Iterator[None]:
    """Within, `model` computes as with the adapter while its own weights stay: y + s·B(A(x)).

    Only for additions to linear layers; parameters that are replaced are for good.

    Raises:
        UserError: as `add_in`.
    """
    handles = []
    try:
        with torch.no_grad(), _tensors(adapter.folder) as tensors:
            _replace(model, adapter, tensors)
            for module, factors in adapter.factors.items():
                _weight(model, module, factors, tensors)
                down, up = (tensors[name].float() for name in (factors.down, factors.up))
                hook = _hook(down, up, adapter.scale(module), factors.is_embedding)
                handles.append(model.get_submodule(module).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(down: torch.Tensor, up: torch.Tensor, scale: float, is_embedding: bool) -> Any:
    def add(_module: nn.Module, given: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
        low = down.T[given[0]] if is_embedding else given[0] @ down.T  # (..., rank)
        return out + scale * (low @ up.T)

    return add


def _replace(model: nn.Module, adapter: Adapter, tensors: Mapping[str, torch.Tensor]) -> None:
    ours = dict(model.named_parameters(remove_duplicate=False))
    for name, key in adapter.replaced.items():
        if name not in ours:
            raise invalid(f"The adapter brings {name[:200]}, which its base has not.")
        if ours[name].shape != tensors[key].shape:
            raise invalid(
                f"The adapter's {name[:200]} has the shape {tuple(tensors[key].shape)}, the "
                f"model's {tuple(ours[name].shape)}. Where it is a head, put a config.json beside "
                "the adapter that names its labels (id2label)."
            )
        _refuse_shared(model, ours[name], name)
        ours[name].copy_(tensors[key])


def _weight(
    model: nn.Module, module: str, factors: Factors, tensors: Mapping[str, torch.Tensor]
) -> nn.Parameter:
    """The weight that the addition changes, once shapes are found to fit."""
    try:
        found = model.get_submodule(module)
    except AttributeError:
        found = None
    weight = getattr(found, "weight", None)
    kinds = nn.Embedding if factors.is_embedding else (nn.Linear, Conv1D)
    if not isinstance(found, kinds) or not isinstance(weight, nn.Parameter):
        raise invalid(f"The adapter adds to {module[:200]}, which its base has not.")
    n_out, n_in = tensors[factors.up].shape[0], tensors[factors.down].shape[1]
    wanted = (n_out, n_in) if isinstance(found, nn.Linear) else (n_in, n_out)
    if tuple(weight.shape) != wanted:
        raise invalid(
            f"The addition to {module[:200]} has the shape {wanted}, the base's weight "
            f"{tuple(weight.shape)}: this is not the base the adapter was trained on."
        )
    _refuse_shared(model, weight, module)
    return weight


def _refuse_shared(model: nn.Module, weight: nn.Parameter, name: str) -> None:
    if sum(p is weight for _, p in model.named_parameters(remove_duplicate=False)) > 1:
        raise invalid(
            f"The adapter changes {name[:200]}, whose weight the base shares with another layer."
        )


def _delta(
    model: nn.Module, module: str, factors: Factors, tensors: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    product = tensors[factors.up].float() @ tensors[factors.down].float()
    return product if isinstance(model.get_submodule(module), nn.Linear) else product.T


@contextmanager
def _tensors(folder: Path) -> Iterator[Mapping[str, torch.Tensor]]:
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as opened:
        yield {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
