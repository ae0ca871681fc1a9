"""`config.json` of a stranger's checkpoint: read, refused or cleaned of settings that are ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_core.errors import Code, UserError

MAX_JSON_BYTES = 32 << 20
MAX_DEPTH = 12
MAX_LABELS = 100_000

RUNTIME_KEYS = frozenset(
    {
        "attn_implementation",
        "experts_implementation",
        "device_map",
        "distributed_config",
        "dtype",
        "torch_dtype",
        "fusion_config",
        "kernel_config",
        "use_kernels",
        "name_or_path",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "tp_plan",
        "torchscript",
        "transformers_weights",
        "use_bfloat16",
        "use_pretrained_backbone",
    }
)
"""Settings of how to run, which belong to the one who runs; private keys ("_...") go as well."""

ALLOWED_QUANTIZATION: frozenset[str] = frozenset()
"""Methods whose backend is part of transformers and torch, each admitted by a test of its own."""


@dataclass(frozen=True)
class CleanConfig:
    """The values of a `config.json` that describe the model, and the keys that were taken out."""

    values: Mapping[str, object]
    removed_keys: tuple[str, ...]

    @property
    def model_type(self) -> str:
        return str(self.values["model_type"])


def read_json(path: Path, code: Code) -> dict[str, object]:
    """The JSON object in a small file. Raises UserError `code`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_JSON_BYTES + 1)
        if len(raw) > MAX_JSON_BYTES:
            raise ValueError(f"it is larger than {MAX_JSON_BYTES >> 20} MiB")
        value = json.loads(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            code, f"{path.name} cannot be read as JSON: {error}.", file=path.name
        ) from error
    if not isinstance(value, dict):
        raise UserError(code, f"{path.name} must hold a JSON object.", file=path.name)
    return value


def read_config(folder: Path) -> CleanConfig:
    """The cleaned config of the checkpoint in `folder`.

    Raises:
        UserError: `config_invalid`, `remote_code`, `unsupported_quantization`.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            Code.CONFIG_INVALID,
            "The repository has no config.json at its top level. Save the model with "
            "save_pretrained and upload the whole folder.",
        )
    values = read_json(path, Code.CONFIG_INVALID)
    refuse_remote_code(values, path.name)
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise UserError(
            Code.CONFIG_INVALID,
            "config.json does not say which model this is (model_type is missing).",
        )
    check_quantization(values)
    return clean(values)


def refuse_remote_code(values: Mapping[str, object], file: str) -> None:
    """Raise `remote_code` where the checkpoint asks for Python code of its own."""
    if values.get("auto_map") or values.get("custom_pipelines"):
        raise UserError(
            Code.REMOTE_CODE,
            f"The model asks for Python code of its own (auto_map in {file}), and this "
            "evaluation runs no code from a repository. If the model works with a class that "
            "transformers ships, remove auto_map and upload again.",
            file=file,
        )


def check_quantization(values: Mapping[str, object]) -> None:
    """Raise `unsupported_quantization` for a method that is not allowed."""
    settings = values.get("quantization_config")
    if settings is None:
        return
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    if method not in ALLOWED_QUANTIZATION:
        raise UserError(
            Code.UNSUPPORTED_QUANTIZATION,
            f"The weights are quantised by {method or 'an unnamed method'!r}, which is not "
            "supported here. Upload the weights in float32, bfloat16 or float16.",
            method=str(method),
        )


def clean(values: Mapping[str, object]) -> CleanConfig:
    """`values` without runtime settings, at every level. Raises `config_invalid` if too deep."""
    removed: set[str] = set()
    kept = _clean_object(values, removed, depth=0)
    return CleanConfig(kept, tuple(sorted(removed)))


def _clean_object(values: Mapping[str, object], removed: set[str], depth: int) -> dict[str, object]:
    if depth > MAX_DEPTH:
        raise UserError(Code.CONFIG_INVALID, "config.json is nested too deeply.")
    kept: dict[str, object] = {}
    for key, value in values.items():
        if key in RUNTIME_KEYS or key.startswith("_"):
            removed.add(key)
        elif isinstance(value, dict):
            kept[key] = _clean_object(value, removed, depth + 1)
        else:
            kept[key] = value
    return kept


def classifier_labels(config: CleanConfig, *, least: int = 2) -> tuple[str, ...]:
    """The label names of a single-label classifier, by output number.

    transformers' own default of two labels holds where the config names none.

    Raises:
        UserError: `config_invalid`, or `unsupported_model` for regression and multi-label heads.
    """
    problem = config.values.get("problem_type")
    if problem not in (None, "single_label_classification"):
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"The model was made for {problem}; this task needs one label out of several.",
        )
    named = config.values.get("id2label")
    if named is None:
        count = config.values.get("num_labels", 2)
        if type(count) is not int or not 0 < count <= MAX_LABELS:
            raise UserError(Code.CONFIG_INVALID, f"num_labels is {count!r} in config.json.")
        labels = tuple(f"LABEL_{number}" for number in range(count))
    else:
        labels = _numbered_labels(named)
    if len(labels) < least:
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            "The model has one output, which is a regression; this task needs two labels or more.",
        )
    return labels


def _numbered_labels(named: object) -> tuple[str, ...]:
    try:
        numbers = {int(key): str(value) for key, value in dict(named).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise UserError(Code.CONFIG_INVALID, "id2label in config.json is no label map.") from error
    if len(numbers) > MAX_LABELS or sorted(numbers) != list(range(len(numbers))):
        raise UserError(
            Code.CONFIG_INVALID, "id2label in config.json must number the labels from 0, each once."
        )
    return tuple(numbers[number] for number in range(len(numbers)))
