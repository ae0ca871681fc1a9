"""A staged checkpoint into a model that is wholly what the checkpoint says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

from ml_core.errors import Code, UserError
from ml_core.load.adapter_files import check_task, open_adapter
from ml_core.load.adapting import add_in
from ml_core.load.checkpoint import STAGED_ADAPTER, STAGED_ONNX
from ml_core.load.config import CleanConfig
from ml_core.load.onnx import compute_by_onnx
from ml_core.load.weights import too_large

MAX_SHOWN = 5
MAX_CAUSE_CHARS = 500
HARMLESS_LEFTOVERS = (".position_ids", ".token_type_ids", "relative_position_index")
"""Buffers that older checkpoints stored and that classes compute by themselves."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode on its device."""

    model: PreTrainedModel
    n_parameters: int
    attention: str | None


def build_config(config: CleanConfig) -> PreTrainedConfig:
    """transformers' config object for a cleaned config.

    Raises:
        UserError: `unsupported_model` for an unknown model_type, `config_invalid`.
    """
    if config.model_type not in CONFIG_MAPPING:
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"The installed transformers has no model of the type {config.model_type!r}.",
            model_type=config.model_type,
        )
    try:
        built = CONFIG_MAPPING[config.model_type].from_dict(dict(config.values))
    except Exception as error:  # a config class may raise anything on a stranger's values
        raise _bad_config(error) from error
    assert isinstance(built, PreTrainedConfig)
    return built


def load_model(
    folder: Path,
    config: PreTrainedConfig,
    classes: Mapping[type, Any],  # transformers' own lazy mapping type is private
    *,
    purpose: str,
    max_parameters: int,
    device: torch.device,
    dtype: torch.dtype,
    heads: tuple[str, ...] = (),
) -> LoadedModel:
    """The model of `config` with the weights in `folder`, which must fit without a rest.

    Args:
        folder: as `Checkpoint.stage` made it.
        classes: the class for a config class, such as MODEL_FOR_..._MAPPING.
        purpose: what the class is for, in words ("text classification").
        heads: beginnings of the names of weights that do not take part, missing or left over.

    Raises:
        UserError: `unsupported_model`, `config_invalid`, `model_too_large`, `weights_mismatch`,
            `weights_invalid`.
    """
    model_class = class_for(config, classes, purpose, max_parameters)
    model, report, attention = read_weights(folder, config, model_class, dtype)
    if (folder / STAGED_ADAPTER).is_dir():
        adapter = open_adapter(folder / STAGED_ADAPTER)
        check_task(adapter, model_class.__name__, purpose)
        check_report(report_without(report, adapter.replaced), purpose, heads=heads)
        add_in(model, adapter)
    else:
        check_report(report, purpose, heads=heads)
    model = model.to(device).eval()
    if (folder / STAGED_ONNX).is_file():
        compute_by_onnx(model, folder / STAGED_ONNX)
    n_parameters = sum(p.numel() for p in model.parameters())
    return LoadedModel(model, n_parameters, attention)


def class_for(
    config: PreTrainedConfig, classes: Mapping[type, Any], purpose: str, max_parameters: int
) -> Any:
    """The model class for `config`, once it is known that a model of it is not too large.

    Raises:
        UserError: `unsupported_model`, `config_invalid`, `model_too_large`.
    """
    model_class = _model_class(config, classes, purpose)
    _check_size(model_class, config, max_parameters)
    return model_class


def read_weights(
    folder: Path, config: PreTrainedConfig, model_class: Any, dtype: torch.dtype
) -> tuple[Any, Mapping[str, Any], str]:
    """The model on the CPU, transformers' report of what did not fit, and the attention it uses.

    Raises:
        UserError: `weights_invalid`.
    """
    attention = "sdpa" if getattr(model_class, "_supports_sdpa", False) else "eager"
    try:
        model, report = model_class.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            attn_implementation={"": attention},  # parts such as a backbone have their own
            dtype=dtype,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # loading runs a model class over a stranger's values
        raise UserError(
            Code.WEIGHTS_INVALID, f"The weights do not load: {_cause(error)}"
        ) from error
    return model, report, attention


def check_report(report: Mapping[str, Any], purpose: str, *, heads: tuple[str, ...] = ()) -> None:
    """Raise `weights_mismatch` unless every tensor found its place and every place its tensor.

    `report` is transformers' `output_loading_info`; tied weights are not in it.
    """
    missing = sorted(k for k in report.get("missing_keys", ()) if not k.startswith(heads))
    if missing:
        raise UserError(
            Code.WEIGHTS_MISMATCH,
            f"The weights lack {_some(missing)}, which would be made up at random. A model for "
            f"{purpose} needs its head: fine-tune it for this task and upload all weights.",
            missing=missing[:50],
        )
    mismatched = [f"{name} ({_shapes(rest)})" for name, *rest in report.get("mismatched_keys", ())]
    if mismatched:
        raise UserError(
            Code.WEIGHTS_MISMATCH,
            f"config.json and weights disagree on sizes: {_some(sorted(mismatched))}.",
            mismatched=mismatched[:50],
        )
    leftovers = [k for k in report.get("unexpected_keys", ()) if not k.startswith(heads)]
    extra = [k for k in leftovers if not k.endswith(HARMLESS_LEFTOVERS)]
    if extra:
        raise UserError(
            Code.WEIGHTS_MISMATCH,
            f"The weights hold {_some(sorted(extra))}, for which the model of config.json has no "
            "place; it would not be the model that was trained.",
            unexpected=sorted(extra)[:50],
        )
    if report.get("error_msgs"):
        raise UserError(
            Code.WEIGHTS_INVALID, f"The weights do not load: {_some(list(report['error_msgs']))}"
        )


def report_without(report: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The report without what concerns the weights `names`."""
    ours = set(names)
    kept: dict[str, Any] = dict(report)
    for key in ("missing_keys", "unexpected_keys"):
        kept[key] = [name for name in report.get(key, ()) if name not in ours]
    kept["mismatched_keys"] = [m for m in report.get("mismatched_keys", ()) if m[0] not in ours]
    return kept


def _model_class(config: PreTrainedConfig, classes: Mapping[type, Any], purpose: str) -> Any:
    try:
        found = classes[type(config)]
    except KeyError as error:
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"transformers has no class of {config.model_type!r} for {purpose}.",
            model_type=config.model_type,
        ) from error
    return found[0] if isinstance(found, (list, tuple)) else found


def _check_size(model_class: Any, config: PreTrainedConfig, max_parameters: int) -> None:
    """Build the model without memory for its weights, and count."""
    try:
        with torch.device("meta"):
            skeleton: nn.Module = model_class(config)
    except Exception as error:  # a model class may raise anything on a stranger's values
        raise _bad_config(error) from error
    n_parameters = sum(p.numel() for p in skeleton.parameters())
    if n_parameters > max_parameters:
        raise too_large(n_parameters, max_parameters)


def _bad_config(error: Exception) -> UserError:
    return UserError(
        Code.CONFIG_INVALID, f"No model can be built from config.json: {_cause(error)}"
    )


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:MAX_CAUSE_CHARS]}"


def _shapes(pair: Sequence[Any]) -> str:
    stored, wanted = (tuple(shape) for shape in pair)
    return f"weights {stored}, config {wanted}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - MAX_SHOWN
    shown = ", ".join(names[:MAX_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
