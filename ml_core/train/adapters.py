"""LoRA: low-rank additions to the linear layers of a base, and a head that is trained whole."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ml_core.errors import Code, UserError
from ml_core.train.specs import Training

PEFT_CARD = "README.md"


def add_lora(
    model: PreTrainedModel, fresh: tuple[str, ...], training: Training, *, base: str | None
) -> Any:  # peft's model class has no types
    """`model` with additions to all linear layers, which alone are trained, and its fresh parts.

    The model itself is changed in place; what is returned wraps it.

    Args:
        fresh: names of weights that began at random: their modules are trained whole.
        base: the name of the repository of the base, for the adapter's own config.

    Raises:
        UserError: `unsupported_model` for a model without linear layers.
    """
    from peft import LoraConfig, get_peft_model

    whole = sorted({_outermost(name, model) for name in fresh})
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]  # no types
    targets = [
        name
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
        and module is not head
        and not any(name == part or name.startswith(f"{part}.") for part in whole)
    ]
    if not targets:
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            "The model has no linear layers that LoRA could add to. Choose the method “full”.",
        )
    config = LoraConfig(
        r=training.lora_rank,
        lora_alpha=training.lora_alpha,
        lora_dropout=training.lora_dropout,
        target_modules=targets,
        modules_to_save=whole or None,
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.modules()),
    )
    wrapped = get_peft_model(model, config)
    wrapped.peft_config["default"].base_model_name_or_path = base
    return wrapped


def _outermost(name: str, model: PreTrainedModel) -> str:
    """The module to train whole for a fresh weight: below the base, its direct child."""
    parts = name.split(".")
    depth = 2 if parts[0] == model.base_model_prefix else 1
    return ".".join(parts[:depth])


def save_adapter(wrapped: Any, folder: Path) -> None:
    """The additions and the parts trained whole, as safetensors."""
    wrapped.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    (folder / PEFT_CARD).unlink(missing_ok=True)


def merge(wrapped: Any) -> PreTrainedModel:
    """The base with the additions added in."""
    with torch.no_grad():
        merged = wrapped.merge_and_unload(safe_merge=True)
    assert isinstance(merged, PreTrainedModel)
    return merged
