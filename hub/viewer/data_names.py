"""The data files of a tree by name: formats, order, and how much is looked up for one card.

Pure, as `layout` is. A few kilobytes of git can stand for any number of paths, and a card can
choose them over and over, so all that is done for one card comes out of one budget.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable

from hub.viewer.reader.jobs import Format

MAX_WORK = 3_000_000
"""Patterns tried on paths."""
MAX_CHOSEN = 1_000_000
"""Files of all splits together."""
MAX_SPLITS = 5_000
MAX_PATH_CHARACTERS = 30_000_000
_PATTERN_WORK = 50
"""Making a pattern ready."""

FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".txt": "text",
    ".png": "imagefolder",
    ".jpg": "imagefolder",
    ".jpeg": "imagefolder",
    ".gif": "imagefolder",
    ".webp": "imagefolder",
    ".bmp": "imagefolder",
    ".wav": "audiofolder",
    ".mp3": "audiofolder",
    ".flac": "audiofolder",
    ".ogg": "audiofolder",
}
PACKED = ("csv", "tsv", "json", "text")
"""Formats that may end in .gz."""
METADATA = frozenset({"metadata.csv", "metadata.jsonl"})
_SKIPPED = frozenset({"dataset_infos.json", "dataset_dict.json", "dataset_info.json", "state.json"})
_NUMBER = re.compile(r"[0-9]+")


class TooManyFiles(Exception):
    """More is asked for than is looked up; the message is for who wrote the card."""


class DataNames:
    """The data files among `paths`. Raises `TooManyFiles` where there is too much to look up."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._formats: dict[str, Format] = {}
        self._work, self._chosen, self._splits = MAX_WORK, MAX_CHOSEN, MAX_SPLITS
        characters = 0
        for path in paths:
            characters += len(path)
            if characters > MAX_PATH_CHARACTERS:
                raise TooManyFiles("The paths of this data set are too long together.")
            if (found := format_of(path)) and not _is_hidden(path):
                self._formats[path] = found
        self._sorted = sorted(self._formats)
        in_order = sorted(self._formats, key=_natural)
        self._rank = {path: number for number, path in enumerate(in_order)}

    def below(self, start: str, *, work: int = 1) -> list[str]:
        """The paths that begin so, each of which costs `work`. Raises `TooManyFiles`."""
        first = bisect_left(self._sorted, start)
        last = bisect_right(self._sorted, start + chr(0x10FFFF))
        self._work -= _PATTERN_WORK + work * (last - first)
        if self._work < 0:
            raise TooManyFiles("The card's configs name too many patterns for this many files.")
        return self._sorted[first:last]

    def of_one_format(self, paths: Iterable[str]) -> tuple[Format | None, list[str]]:
        """Those of the format that most have, in order; metadata goes with pictures and sounds.

        Raises:
            TooManyFiles
        """
        told = sorted(paths, key=self._rank.__getitem__)
        self._spend(len(told))
        counts = Counter(self._formats[path] for path in told if base_name(path) not in METADATA)
        if not counts:
            counts = Counter(self._formats[path] for path in told)
        if not counts:
            return None, []
        chosen = counts.most_common(1)[0][0]
        goes_along = METADATA if chosen.endswith("folder") else frozenset()
        return chosen, [p for p in told if self._formats[p] == chosen or base_name(p) in goes_along]

    def _spend(self, count: int) -> None:
        self._chosen -= count
        self._splits -= 1 if count else 0
        if self._chosen < 0 or self._splits < 0:
            raise TooManyFiles(
                f"The splits of all configs name more than {MAX_CHOSEN:,} files together, or there "
                f"are more than {MAX_SPLITS:,} splits."
            )


def format_of(path: str) -> Format | None:
    """The format that a file's name tells; None for what is no data."""
    name = base_name(path).lower()
    if name in _SKIPPED:
        return None
    suffix = _suffix(name)
    if suffix == ".gz":
        inner = FORMATS.get(_suffix(name.removesuffix(".gz")))
        return inner if inner in PACKED else None
    return FORMATS.get(suffix)


def base_name(path: str) -> str:
    return path.rpartition("/")[2]


def _suffix(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    return f".{ending}" if stem else ""


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "__")) for part in path.split("/"))


def _natural(path: str) -> str:
    """`img2` before `img10`: numbers begin with how long they are."""
    return _NUMBER.sub(_by_length, path)


def _by_length(found: re.Match[str]) -> str:
    digits = found[0].lstrip("0")
    return chr(1 + len(digits)) + digits
