"""Inputs of several sizes for a model, to hold two forms of it against each other."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from ml_core.errors import Code, UserError
from ml_core.load.tokenizer import n_positions

TEXT = ("input_ids", "attention_mask", "token_type_ids")
IMAGE = ("pixel_values",)
TEXT_SIZES = ((2, 12), (1, 5), (3, 31), (4, 17))
IMAGE_BATCHES = (2, 1, 3)


@dataclass(frozen=True)
class Samples:
    """Batches of the tensors `names`, and which of their dimensions may have any size."""

    names: tuple[str, ...]
    batches: Sequence[tuple[torch.Tensor, ...]]
    free: tuple[dict[int, str], ...]


def samples_for(model: PreTrainedModel, *, seed: int, has_types: bool = True) -> Samples:
    """Random texts with padding at their ends, or random images, drawn from `seed`.

    Args:
        has_types: whether the tokenizer tells two texts of a pair apart.

    Raises: UserError: `unsupported_model` for other inputs, and for encoder-decoder models.
    """
    taken = inspect.signature(model.forward).parameters
    generator = torch.Generator().manual_seed(seed)
    if model.config.is_encoder_decoder:
        raise _unsupported(model, "it has an encoder and a decoder that is called step by step")
    if model.main_input_name == "input_ids" and "attention_mask" in taken:
        names = tuple(n for n in TEXT if n in taken and (has_types or n != "token_type_ids"))
        return _texts(model, names, generator)
    if model.main_input_name == "pixel_values":
        return _images(model, generator)
    raise _unsupported(model, f"it takes {model.main_input_name}, which is neither text nor image")


def _texts(model: PreTrainedModel, names: tuple[str, ...], generator: torch.Generator) -> Samples:
    config = model.config.get_text_config()
    longest = n_positions(model) or max(width for _, width in TEXT_SIZES)
    batches = []
    for rows, width in TEXT_SIZES:
        shape = (rows, min(width, longest))
        ids = torch.randint(0, int(config.vocab_size), shape, generator=generator)
        mask = torch.ones(shape, dtype=torch.int64)
        if rows > 1:
            mask[-1, shape[1] // 2 :] = 0  # the end of the last row is padding
        types = torch.zeros(shape, dtype=torch.int64)
        by_name = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        batches.append(tuple(by_name[name] for name in names))
    return Samples(names, batches, tuple({0: "batch", 1: "length"} for _ in names))


def _images(model: PreTrainedModel, generator: torch.Generator) -> Samples:
    config = model.config
    size = getattr(config, "image_size", None) or 224
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    channels = getattr(config, "num_channels", 3)
    batches = [
        (torch.rand((rows, channels, height, width), generator=generator),)
        for rows in IMAGE_BATCHES
    ]
    return Samples(IMAGE, batches, ({0: "batch"},))


def _unsupported(model: PreTrainedModel, why: str) -> UserError:
    return UserError(
        Code.UNSUPPORTED_MODEL,
        f"{type(model).__name__} cannot be exported to ONNX here: {why}.",
        architecture=type(model).__name__,
    )
