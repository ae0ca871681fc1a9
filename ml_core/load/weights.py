"""The weight files of a checkpoint: which there are, what their headers hold, how much it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_core.errors import Code, UserError
from ml_core.formats import FormatError
from ml_core.formats.safetensors import (
    ParameterSummary,
    SafetensorsHeader,
    read_header,
    summarize,
)
from ml_core.formats.shards import MAX_INDEX_BYTES, ShardIndex, parse_index, summarize_sharded
from ml_core.load.adapter_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".keras")
OTHER_FORMATS = {".gguf": "GGUF", ".onnx": "ONNX", ".tflite": "TensorFlow Lite"}
MAX_HEADER_BYTES = 25_000_000


@dataclass(frozen=True)
class Weights:
    """Checked safetensors: file names in the folder, elements by stored dtype, and their sum."""

    files: tuple[str, ...]
    stored_parameters: Mapping[str, int]
    n_parameters: int


def find_weights(folder: Path, *, max_parameters: int) -> Weights:
    """The weights of the checkpoint in `folder`, headers read and checked, nothing loaded.

    Raises:
        UserError: `unsafe_format`, `adapter_only`, `weights_missing`, `weights_invalid`,
            `model_too_large`.
    """
    if (folder / SINGLE_FILE).is_file():
        files = {SINGLE_FILE: _header(folder / SINGLE_FILE)}
        summary = summarize(files.values())
    elif (folder / INDEX_FILE).is_file():
        index = _index(folder / INDEX_FILE)
        files = {name: _header(folder / name) for name in index.shards}
        summary = _summary(index, files)
    else:
        raise _nothing_to_load(folder)
    if summary.total > max_parameters:
        raise too_large(summary.total, max_parameters)
    return Weights(tuple(files), summary.parameters, summary.total)


def too_large(n_parameters: int, max_parameters: int) -> UserError:
    """The error for a model above the limit."""
    return UserError(
        Code.MODEL_TOO_LARGE,
        f"The model has {n_parameters:,} parameters; the limit here is {max_parameters:,}.",
        n_parameters=n_parameters,
        max_parameters=max_parameters,
    )


def _header(path: Path) -> SafetensorsHeader:
    try:
        with path.open("rb") as stream:
            return read_header(stream, max_header_bytes=MAX_HEADER_BYTES)
    except FileNotFoundError as error:
        raise UserError(
            Code.WEIGHTS_MISSING, f"The weight file {path.name} is named but not there."
        ) from error
    except (OSError, FormatError) as error:
        raise _invalid(path.name, error) from error


def _index(path: Path) -> ShardIndex:
    try:
        with path.open("rb") as stream:
            return parse_index(stream.read(MAX_INDEX_BYTES + 1))
    except (OSError, FormatError) as error:
        raise _invalid(path.name, error) from error


def _summary(index: ShardIndex, headers: Mapping[str, SafetensorsHeader]) -> ParameterSummary:
    try:
        return summarize_sharded(index, headers)
    except FormatError as error:
        raise _invalid(INDEX_FILE, error) from error


def _invalid(file: str, error: Exception) -> UserError:
    return UserError(
        Code.WEIGHTS_INVALID,
        f"The weight file {file} is damaged or not a safetensors file: {error}",
        file=file,
    )


def _nothing_to_load(folder: Path) -> UserError:
    """Why there is nothing to load, and what its owner can do."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if ADAPTER_CONFIG in names or ADAPTER_WEIGHTS in names:
        return UserError(
            Code.ADAPTER_ONLY,
            "The repository holds an adapter without its base model, and no base was given. Name "
            "the base in adapter_config.json (base_model_name_or_path), or merge the adapter into "
            "it and upload the result.",
        )
    for name in names:
        for suffix, title in OTHER_FORMATS.items():
            if name.endswith(suffix):
                return UserError(
                    Code.UNSUPPORTED_MODEL,
                    f"The repository holds {title} weights ({name}); an evaluation loads "
                    f"safetensors only.{_advice(title)}",
                    file=name,
                )
    unsafe = [name for name in names if name.endswith(UNSAFE_SUFFIXES)]
    if unsafe:
        return _unsafe(unsafe)
    return UserError(
        Code.WEIGHTS_MISSING,
        f"The repository has no weights: no {SINGLE_FILE} at its top level. Save the model with "
        "save_pretrained and upload the whole folder.",
    )


def _unsafe(files: list[str]) -> UserError:
    return UserError(
        Code.UNSAFE_FORMAT,
        f"The weights are in {files[0]}, a format that can run code when it is opened, so it was "
        "not opened. Convert them to safetensors: the action “Convert” of this model does it "
        "apart from everything else (conversion “safetensors”), or load the model on your own "
        "computer with AutoModel...from_pretrained, call save_pretrained (it writes "
        "model.safetensors), and upload that file.",
        files=files,
    )


def _advice(title: str) -> str:
    if title != "GGUF":
        return ""
    return " The action “Convert” of this model makes safetensors of it (“safetensors”)."
