"""Which files make up which split of which config. Pure: names and the card in, names out.

Source: the rules of `datasets.data_files` and `configs:` of a card's front matter. Departures: a
format is told by file names alone, and archives (zip, tar) are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import re2

from hub.viewer.data_names import DataNames, base_name
from hub.viewer.reader.jobs import Format

DEFAULT = "default"
MAX_CONFIGS = 1_000
MAX_FILES_PER_SPLIT = 200_000

_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPOKEN = {
    split: re.compile(rf"(?:^|[\W_\d])(?:{'|'.join(words)})(?:$|[\W_\d])")
    for split, words in _WORDS.items()
}
_LOOKED_AT = 8
"""Work of telling a split by a path, where trying one pattern on it is 1."""
_WILD = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_SHARD = re.compile(r"^data/(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]+$")


@dataclass(frozen=True)
class Split:
    """Files of one split, in order, all of one format (but for a folder's metadata)."""

    name: str
    format: Format
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Config:
    """One subset of a data set. `declared` has the features that the card gives, by column."""

    name: str
    splits: tuple[Split, ...]
    is_default: bool
    declared: dict[str, Any]
    num_examples: dict[str, int]

    def split(self, name: str) -> Split | None:
        return next((split for split in self.splits if split.name == name), None)


def find_configs(paths: Iterable[str], card: dict[str, Any]) -> list[Config]:
    """The configs of a data set with these files, the default one first.

    Raises:
        TooManyFiles: the card or the tree asks for more work than is done.
    """
    names = DataNames(paths)
    infos = _infos_by_config(card)
    entries: dict[str, dict[str, Any]] = {}
    for entry in _dicts(card.get("configs"))[:MAX_CONFIGS]:
        if (name := entry.get("config_name", DEFAULT)) and isinstance(name, str):
            entries.setdefault(name, entry)
    found = [_from_card(name, entry, names, infos) for name, entry in entries.items()]
    if not found:
        found = [_config(DEFAULT, _by_convention(names), infos, is_default=True)]
    with_data = [config for config in found if config.splits]
    return sorted(with_data, key=lambda config: not (config.is_default or config.name == DEFAULT))


def _from_card(
    name: str, entry: dict[str, Any], names: DataNames, infos: dict[str, dict[str, Any]]
) -> Config:
    folder = entry.get("data_dir")
    prefix = f"{folder.strip('/')}/" if isinstance(folder, str) and folder.strip("./") else ""
    if entry.get("data_files") is None:
        splits = _by_convention(names, prefix)
    else:
        by_split = _patterns_by_split(entry["data_files"])
        splits = [
            split
            for split_name, patterns in by_split.items()
            if (split := _of_patterns(split_name, [prefix + p for p in patterns], names))
        ]
    is_default = entry.get("default") in (True, "true")
    return _config(name, splits, infos, is_default=is_default)


def _config(
    name: str, splits: Iterable[Split], infos: dict[str, dict[str, Any]], *, is_default: bool
) -> Config:
    info = infos.get(name, {})
    counts = {
        str(split.get("name")): split["num_examples"]
        for split in _dicts(info.get("splits"))
        if isinstance(split.get("num_examples"), int)
    }
    return Config(name, tuple(splits), is_default, declared_features(info), counts)


def _patterns_by_split(data_files: Any) -> dict[str, list[str]]:
    """`data_files` in any of its forms: a pattern, a list, a mapping, a list of mappings."""
    if isinstance(data_files, dict):
        return {str(name): _texts(value) for name, value in data_files.items()}
    if isinstance(data_files, list) and any(isinstance(item, dict) for item in data_files):
        found: dict[str, list[str]] = {}
        for item in _dicts(data_files):
            found.setdefault(str(item.get("split", "train")), []).extend(_texts(item.get("path")))
        return found
    return {"train": _texts(data_files)}


def _of_patterns(name: str, patterns: list[str], names: DataNames) -> Split | None:
    chosen: set[str] = set()
    for pattern in patterns:
        text = pattern.removeprefix("./").strip("/")[:500]
        matcher, start = _matcher(text), re.split(r"[*?\[]", text, maxsplit=1)[0]
        chosen.update(path for path in names.below(start) if matcher.fullmatch(path))
    return _split(name, chosen, names)


def _matcher(text: str) -> Any:
    """A glob as an expression that matches in linear time: `*` stays within a folder, `**` not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", text)
    try:
        return re2.compile("(?s)" + "".join(map(_piece, parts)))
    except re2.error:
        return re2.compile(re2.escape(text))


def _piece(part: str) -> str:
    if part in _WILD:
        return _WILD[part]
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inside = part[1:-1].replace("\\", r"\\")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return str(re2.escape(part))


def _by_convention(names: DataNames, prefix: str = "") -> list[Split]:
    """Shards in `data/`, else folder names, else file names that speak of splits, else one."""
    paths = names.below(prefix, work=_LOOKED_AT)
    for tell in (_shard_split, _folder_split, _file_split):
        named: dict[str, list[str]] = {}
        for path in paths:
            if split := tell(path[len(prefix) :]):
                named.setdefault(split, []).append(path)
        if named:
            return _splits(named, names)
    return _splits({"train": paths}, names)


def _shard_split(path: str) -> str | None:
    match = _SHARD.match(path)
    return match.group("split") if match else None


def _folder_split(path: str) -> str | None:
    return _spoken_split(path.rpartition("/")[0])


def _file_split(path: str) -> str | None:
    return _spoken_split(base_name(path))


def _spoken_split(text: str) -> str | None:
    """The split of which a name speaks, as a word of its own: `my_train-1`, not `trainer`."""
    lower = text.lower()
    return next((split for split, spoken in _SPOKEN.items() if spoken.search(lower)), None)


def _splits(named: dict[str, list[str]], names: DataNames) -> list[Split]:
    order = [*_WORDS, *sorted(set(named) - set(_WORDS))]
    found = [_split(name, named[name], names) for name in order if name in named]
    return [split for split in found if split]


def _split(name: str, paths: Iterable[str], names: DataNames) -> Split | None:
    format_, kept = names.of_one_format(paths)
    return Split(name, format_, tuple(kept[:MAX_FILES_PER_SPLIT])) if format_ else None


def _infos_by_config(card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    info = card.get("dataset_info")
    found: dict[str, dict[str, Any]] = {}
    for entry in _dicts(info if isinstance(info, list) else [info]):
        if isinstance(name := entry.get("config_name", DEFAULT), str):
            found.setdefault(name, entry)
    return found


def declared_features(info: dict[str, Any]) -> dict[str, Any]:
    """Class labels, pictures and sounds that `dataset_info.features` of a card names."""
    found: dict[str, Any] = {}
    for entry in _dicts(info.get("features")):
        name, dtype = entry.get("name"), entry.get("dtype")
        if not isinstance(name, str):
            continue
        if dtype in ("image", "audio"):
            found[name] = {"_type": str(dtype).capitalize()}
        elif isinstance(dtype, dict) and isinstance(dtype.get("class_label"), dict):
            names = _label_names(dtype["class_label"].get("names"))
            if names:
                found[name] = {"_type": "ClassLabel", "names": names}
    return found


def _label_names(names: Any) -> list[str]:
    """The card writes names by number (`'0': neg`), or as a list."""
    if isinstance(names, dict):
        by_number = {int(key): str(name) for key, name in names.items() if str(key).isdecimal()}
        return [by_number[number] for number in sorted(by_number)]
    return [str(name) for name in names] if isinstance(names, list) else []


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    value = [value] if isinstance(value, str) else value
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def pack_configs(configs: list[Config]) -> dict[str, Any]:
    """As JSON, in which each path stands once."""
    numbers: dict[str, int] = {}
    packed = [
        {
            **vars(config),
            "splits": [
                [s.name, s.format, [numbers.setdefault(path, len(numbers)) for path in s.paths]]
                for s in config.splits
            ],
        }
        for config in configs
    ]
    return {"configs": packed, "paths": list(numbers)}


def unpack_configs(packed: dict[str, Any]) -> list[Config]:
    paths = packed["paths"]
    return [
        Config(**{**config, "splits": tuple(_unpacked(split, paths) for split in config["splits"])})
        for config in packed["configs"]
    ]


def _unpacked(split: tuple[str, Format, list[int]], paths: list[str]) -> Split:
    name, format_, numbers = split
    return Split(name, format_, tuple(paths[number] for number in numbers))
