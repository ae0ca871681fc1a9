"""A stranger's checkpoint, checked without torch, and the clean folder that is loaded instead."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ml_core.errors import Code, UserError
from ml_core.load.adapter_files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    Adapter,
    invalid,
    is_adapter_only,
    open_adapter,
)
from ml_core.load.config import CleanConfig, read_config, read_json, refuse_remote_code
from ml_core.load.weights import INDEX_FILE, SINGLE_FILE, Weights, find_weights

JSON_FILES = (
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
"""Cleaned of remote code and of settings of how to run before they are used."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "source.spm",
    "target.spm",
    "bpe.codes",
    "chat_template.jinja",
)
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "bpe.codes")
VOCABULARY_SUFFIXES = (".model", ".spm")
LABEL_SETTINGS = ("id2label", "label2id", "num_labels", "problem_type")
"""What the config.json beside an adapter may say of the head that the adapter brings."""
STAGED_ADAPTER = "adapter"
STAGED_ONNX = "computes.onnx"


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose config and weight headers hold; nothing is loaded yet."""

    folder: Path
    config: CleanConfig
    weights: Weights
    adapter: Adapter | None = None
    """What is added to the weights in `folder`, which are then those of its base."""
    onnx: Path | None = None

    @property
    def has_tokenizer(self) -> bool:
        """Whether a vocabulary is there; without one transformers makes up an empty tokenizer."""
        return _has_vocabulary(self.tokenizer_folder)

    @property
    def tokenizer_folder(self) -> Path:
        """The adapter's own tokenizer, where it brings a whole one, else that of the base."""
        if self.adapter is not None and _has_vocabulary(self.adapter.folder):
            return self.adapter.folder
        return self.folder

    @property
    def has_processor(self) -> bool:
        names = ("preprocessor_config.json", "processor_config.json")
        return any((self.folder / name).is_file() for name in names)

    def stage(self, scratch: Path) -> Path:
        """A folder below `scratch` with clean JSON and links to the allowed files, and no more.

        What loads from it cannot meet a pickle, code or a runtime setting, whatever else the
        checkpoint holds. An adapter lies below it, where only our own loading finds it.
        """
        staged = scratch / "checkpoint"
        staged.mkdir()
        _write(staged / "config.json", dict(self.config.values))
        for name in JSON_FILES:
            of_words = self.tokenizer_folder if name == "tokenizer_config.json" else self.folder
            if (of_words / name).is_file():
                _write(staged / name, _clean_json(of_words / name))
        if not (self.folder / SINGLE_FILE).is_file():
            index = read_json(self.folder / INDEX_FILE, Code.WEIGHTS_INVALID)
            _write(staged / INDEX_FILE, {"metadata": {}} | index)
        _link(self.weights.files, self.folder, staged)
        _link(TOKENIZER_FILES, self.tokenizer_folder, staged)
        if self.adapter is not None:
            (staged / STAGED_ADAPTER).mkdir()
            _link((ADAPTER_CONFIG, ADAPTER_WEIGHTS), self.adapter.folder, staged / STAGED_ADAPTER)
        if self.onnx is not None:
            (staged / STAGED_ONNX).symlink_to(self.onnx.resolve())
        return staged


def open_checkpoint(
    folder: Path, *, max_parameters: int, base: Path | None = None, onnx: Path | None = None
) -> Checkpoint:
    """The checkpoint in `folder`: config cleaned, weight headers checked against the limit.

    Args:
        base: folder of the model that the adapter in `folder` adds to.
        onnx: file with the same model, which computes the outputs.

    Raises:
        UserError: what is wrong with config or weights.
    """
    if not folder.is_dir():
        raise UserError(Code.WEIGHTS_MISSING, "The model's folder is not there.")
    if base is not None:
        return _open_adapted(folder, base, max_parameters)
    weights = find_weights(folder, max_parameters=max_parameters)
    config = read_config(folder)
    return Checkpoint(folder, config, weights, onnx=onnx)


def _open_adapted(folder: Path, base: Path, max_parameters: int) -> Checkpoint:
    if not is_adapter_only(folder):
        raise invalid("A base was given for a model that is no adapter.")
    if is_adapter_only(base):
        raise invalid("The base is itself an adapter: an adapter needs a whole model under it.")
    adapter = open_adapter(folder)
    whole = open_checkpoint(base, max_parameters=max_parameters)
    if not (folder / "config.json").is_file():
        return replace(whole, adapter=adapter)
    told = read_json(folder / "config.json", Code.CONFIG_INVALID)
    own = {name: told[name] for name in LABEL_SETTINGS if told.get(name) is not None}
    others = whole.config.values.items()
    kept = {k: v for k, v in others if not own or k not in LABEL_SETTINGS}
    config = replace(whole.config, values={**kept, **own})
    return replace(whole, config=config, adapter=adapter)


def _has_vocabulary(folder: Path) -> bool:
    names = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    return any(n in VOCABULARIES or n.endswith(VOCABULARY_SUFFIXES) for n in names)


def _link(names: Iterable[str], source: Path, target: Path) -> None:
    for name in names:
        if (source / name).is_file():
            (target / name).symlink_to((source / name).resolve())


def _clean_json(path: Path) -> dict[str, object]:
    code = Code.TOKENIZER_INVALID if "tokenizer" in path.name else Code.PROCESSOR_INVALID
    values = read_json(path, code)
    refuse_remote_code(values, path.name)
    return {key: value for key, value in values.items() if not key.startswith("_")}


def _write(path: Path, values: dict[str, object]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")
