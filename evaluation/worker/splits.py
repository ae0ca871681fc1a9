"""Which files make up a split: the rules of the `datasets` library, applied to names alone.

The library looks at a folder of empty files that mirrors the repository, so that only the files
of the split are fetched, and nothing in them is read here. The answer is kept per commit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from evaluation.errors import JobFailed
from evaluation.worker.fetch import Source, fetch_files, list_files

CARD = "README.md"
PLAIN_SUFFIXES = frozenset({".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json"})
PLAIN_BUILDERS = frozenset({"parquet", "csv", "json"})
MAX_CARD_BYTES = 4 * 1024 * 1024
_SETTLED_ELSEWHERE = {"name", "version", "data_dir", "data_files", "description", "features"}


@dataclasses.dataclass(frozen=True)
class Split:
    """The files of a split in order.

    `is_plain` says that they can be read as they are; else the library must convert them.
    `labels` are names that the card gives to a column's integers, by column.
    """

    files: list[str]
    is_plain: bool
    labels: dict[str, list[str]]


def find_split(source: Source, *, config: str | None, split: str, memory: Path) -> Split:
    """The files of `split`, asked of the hub once per commit.

    Args:
        memory: folder in which answers are kept.

    Raises:
        JobFailed: there is no such config or split, or the card points outside its repository.
    """
    known = memory / f"{_key(source, config, split)}.json"
    listed = list_files(source)
    if known.exists():
        return Split(**json.loads(known.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory(prefix="names-") as name:
        mirror = Path(name) / "dataset"
        mirror.mkdir()
        for file in listed:
            _touch(mirror, file.path)
        if any(file.path == CARD for file in listed):
            _copy_card(source, mirror)
        found = resolve_split(mirror, config, split)
    memory.mkdir(parents=True, exist_ok=True)
    partial = known.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
    partial.replace(known)
    return found


def check_card(text: str) -> None:
    """Refuses a card whose file patterns lead out of the repository.

    Raises:
        JobFailed: an absolute path, `..` or an address.
    """
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    try:
        data = yaml.safe_load(head.group(1)) if head else None
    except (yaml.YAMLError, RecursionError, ValueError):
        text = "The front matter of README.md is not valid YAML."
        raise JobFailed("user", "dataset_card_invalid", text) from None
    configs = data.get("configs") if isinstance(data, dict) else None
    for config in configs if isinstance(configs, list) else []:
        if isinstance(config, dict):
            for value in _strings([config.get("data_files"), config.get("data_dir")]):
                _check_pattern(value)


def _check_pattern(value: str) -> None:
    is_out = value.startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", value)
    if is_out or "::" in value or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        raise JobFailed(
            "user",
            "dataset_files_outside",
            f"README.md names data files outside the repository: {value[:200]!r}.",
            pattern=value[:200],
        )


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value.values()]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def resolve_split(mirror: Path, config: str | None, split: str) -> Split:
    """The files of `split` in a folder that mirrors the repository by names. Raises `JobFailed`."""
    from datasets import ClassLabel, load_dataset_builder

    try:
        builder = load_dataset_builder(str(mirror), name=config)
    except Exception as error:
        raise _config_error(error, mirror, config) from error
    files = {str(name): list(paths) for name, paths in (builder.config.data_files or {}).items()}
    if split not in files:
        raise JobFailed(
            "user",
            "split_unknown",
            f"The data set has no split {split!r}; it has {', '.join(files) or 'none'}.",
            split=split,
            found=list(files)[:20],
        )
    root = mirror.resolve()
    paths = []
    for file in files[split]:
        path = Path(file).resolve()
        if not path.is_relative_to(root):
            raise JobFailed(
                "user", "dataset_files_outside", "README.md names files outside the repository."
            )
        paths.append(path.relative_to(root).as_posix())
    features = builder.info.features or {}
    labels = {
        column: [str(name) for name in feature.names]
        for column, kind in features.items()
        if isinstance(feature := getattr(kind, "feature", kind), ClassLabel)
        and _are_names(feature.names)
    }
    return Split(paths, _is_plain(builder, paths), labels)


def _are_names(names: Any) -> bool:
    """Whether these are names; YAML reads an unquoted yes or no as something else."""
    return bool(names) and all(type(name) in (str, int) for name in names)


def _config_error(error: Exception, mirror: Path, config: str | None) -> JobFailed:
    """What the library could not do, in words that name no folder of ours."""
    text = (
        str(error).replace(str(mirror), "the data set").splitlines()[0][:500] if str(error) else ""
    )
    if "BuilderConfig" in text:
        found = re.findall(r"'([^']+)'", text.partition("Available:")[2])
        return JobFailed(
            "user",
            "config_unknown",
            f"The data set has no config {config!r}; it has {', '.join(found) or 'none'}.",
            config=config,
            found=found[:20],
        )
    return JobFailed(
        "user",
        "dataset_unreadable",
        f"The data set's files cannot be made out: {text}",
        problem=text,
    )


def _is_plain(builder: Any, paths: list[str]) -> bool:
    """Whether a reader that knows only suffixes would read what the library reads."""
    kind = type(builder).__module__.rpartition(".")[2]
    suffixes = {Path(path).suffix.lower() for path in paths}
    if kind not in PLAIN_BUILDERS or not suffixes <= PLAIN_SUFFIXES:
        return False
    defaults = type(builder.config)()
    for field in dataclasses.fields(builder.config):
        if field.name in _SETTLED_ELSEWHERE:
            continue
        value, default = getattr(builder.config, field.name), getattr(defaults, field.name)
        is_tab = field.name == "sep" and value == "\t" and suffixes == {".tsv"}
        if value != default and not is_tab:
            return False
    return True


def _copy_card(source: Source, mirror: Path) -> None:
    (mirror / CARD).unlink(missing_ok=True)
    (path,) = fetch_files(source, [CARD], mirror.parent / "card")
    data = path.read_bytes()[:MAX_CARD_BYTES]
    text = data.decode("utf-8", "replace")
    check_card(text)
    (mirror / CARD).write_text(text, encoding="utf-8")


def _touch(mirror: Path, path: str) -> None:
    """An empty file for the name; scripts are left out, as nothing may run them."""
    if path.endswith(".py") or ".." in path.split("/"):
        return
    target = mirror / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()


def _key(source: Source, config: str | None, split: str) -> str:
    parts = (source.repo_id, source.commit, config or "", split)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
