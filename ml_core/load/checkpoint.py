"""A stranger's checkpoint, checked without torch, and the clean folder that is loaded instead."""

import json
from dataclasses import dataclass
from pathlib import Path

from ml_core.errors import Code, UserError
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


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose config and weight headers hold; nothing is loaded yet."""

    folder: Path
    config: CleanConfig
    weights: Weights

    @property
    def has_tokenizer(self) -> bool:
        """Whether a vocabulary is there; without one transformers makes up an empty tokenizer."""
        names = [name for name in TOKENIZER_FILES if (self.folder / name).is_file()]
        return any(n in VOCABULARIES or n.endswith(VOCABULARY_SUFFIXES) for n in names)

    @property
    def has_processor(self) -> bool:
        names = ("preprocessor_config.json", "processor_config.json")
        return any((self.folder / name).is_file() for name in names)

    def stage(self, scratch: Path) -> Path:
        """A folder below `scratch` with clean JSON and links to the allowed files, and no more.

        What loads from it cannot meet a pickle, an adapter, code or a runtime setting, whatever
        else the checkpoint holds.
        """
        staged = scratch / "checkpoint"
        staged.mkdir()
        _write(staged / "config.json", dict(self.config.values))
        for name in JSON_FILES:
            if (self.folder / name).is_file():
                _write(staged / name, _clean_json(self.folder / name))
        if not (self.folder / SINGLE_FILE).is_file():
            index = read_json(self.folder / INDEX_FILE, Code.WEIGHTS_INVALID)
            _write(staged / INDEX_FILE, {"metadata": {}} | index)
        for name in (*self.weights.files, *TOKENIZER_FILES):
            if (self.folder / name).is_file():
                (staged / name).symlink_to((self.folder / name).resolve())
        return staged


def open_checkpoint(folder: Path, *, max_parameters: int) -> Checkpoint:
    """The checkpoint in `folder`: config cleaned, weight headers checked against the limit.

    Raises:
        UserError: what is wrong with config or weights.
    """
    if not folder.is_dir():
        raise UserError(Code.WEIGHTS_MISSING, "The model's folder is not there.")
    weights = find_weights(folder, max_parameters=max_parameters)
    config = read_config(folder)
    return Checkpoint(folder, config, weights)


def _clean_json(path: Path) -> dict[str, object]:
    code = Code.TOKENIZER_INVALID if "tokenizer" in path.name else Code.PROCESSOR_INVALID
    values = read_json(path, code)
    refuse_remote_code(values, path.name)
    return {key: value for key, value in values.items() if not key.startswith("_")}


def _write(path: Path, values: dict[str, object]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")
