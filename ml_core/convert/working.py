"""The contract between a conversion's module and the job, and what several of them need."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from ml_core.convert.results import Parity
from ml_core.convert.specs import ConversionSpec
from ml_core.errors import Code, UserError
from ml_core.evaluate.events import Reporter
from ml_core.load.checkpoint import Checkpoint
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.results import AdapterFacts

PURPOSE = "a conversion"
RELATIVE_TOLERANCE = 1e-4
"""Of the largest number expected: what float32 in another order may differ by."""
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
NAMED_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Work:
    """What a conversion has at hand. It writes into `out`, an empty folder, and nowhere else but
    `scratch`."""

    spec: ConversionSpec
    source: Path
    out: Path
    scratch: Path
    reporter: Reporter
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Done:
    """What it has done. `read` are the files that it read weights from, `base_read` those of a
    base; `carry_from` are folders whose configs and tokenizer go with the new model."""

    architecture: str
    parameters: int
    dtype: str
    source_format: str
    parity: Parity
    read: tuple[Path, ...]
    base_read: tuple[Path, ...] = ()
    carry_from: tuple[Path, ...] = ()
    adapter: AdapterFacts | None = None


Convert = Callable[[Work], Done]


def class_named(config: PreTrainedConfig) -> Any:  # a class of transformers', by its name
    """transformers' class of the name that config.json gives the model.

    Raises: UserError: `config_invalid`, `unsupported_model`.
    """
    names = getattr(config, "architectures", None)
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise UserError(
            Code.CONFIG_INVALID,
            "config.json does not say which class the weights are of (architectures is missing).",
        )
    found = getattr(transformers, names[0], None) if names[0].isidentifier() else None
    is_model = isinstance(found, type) and issubclass(found, PreTrainedModel)
    if not is_model or getattr(found, "config_class", None) is not type(config):
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"The installed transformers has no class {names[0]!r} for {config.model_type!r}.",
            architecture=names[0],
        )
    return found


def load_whole(work: Work, checkpoint: Checkpoint, model_class: Any = None) -> LoadedModel:
    """The model of a checkpoint in float32 on the CPU, as an evaluation loads it."""
    folder = work.scratch / f"load-{len(list(work.scratch.iterdir()))}"
    folder.mkdir()
    staged = checkpoint.stage(folder)
    config = build_config(checkpoint.config)
    return load_model(
        staged,
        config,
        {type(config): model_class or class_named(config)},
        purpose=PURPOSE,
        max_parameters=work.spec.max_parameters,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def save_weights(model: PreTrainedModel, folder: Path) -> None:
    """Config and weights as safetensors, each weight once where several names share it."""
    model.save_pretrained(folder)


def output_of(found: Any) -> torch.Tensor:
    """The scores of a model's answer, else its hidden states."""
    scores = getattr(found, "logits", None)
    scores = found[0] if scores is None else scores
    assert isinstance(scores, torch.Tensor)
    return scores


def parity_of(
    pairs: list[tuple[torch.Tensor, torch.Tensor]],
    compared: str,
    *,
    relative: float | None = RELATIVE_TOLERANCE,
) -> Parity:
    """How far the second of each pair is from the first.

    Args:
        relative: what the largest difference may be, as a part of the largest number expected but
            of 1 at least; None does not judge.

    Raises: UserError: `parity_failed` where a number is not finite, or shapes differ.
    """
    largest, total, n_values, scale, same, places = 0.0, 0.0, 0, 0.0, 0, 0
    for expected, found in pairs:
        if expected.shape != found.shape or not bool(torch.isfinite(found.float()).all()):
            raise UserError(
                Code.PARITY_FAILED,
                f"Check of {compared}: the outcome has other shapes, or numbers that are not "
                "finite.",
            )
        if not expected.numel():
            continue
        difference = (expected.double() - found.double()).abs()
        largest = max(largest, float(difference.max()))
        total += float(difference.sum())
        n_values += expected.numel()
        scale = max(scale, float(expected.double().abs().max()))
        if expected.dim() > 1:
            alike = expected.argmax(-1) == found.argmax(-1)
            same, places = same + int(alike.sum()), places + alike.numel()
    return Parity(
        compared=compared,
        n_inputs=len(pairs),
        n_values=n_values,
        max_difference=largest,
        mean_difference=total / n_values if n_values else 0.0,
        scale=scale,
        tolerance=None if relative is None else relative * max(1.0, scale),
        same_choice=same / places if places else None,
    )


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
