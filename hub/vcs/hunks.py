"""A unified difference as numbered lines, and the words that changed inside them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

Kind = Literal["context", "added", "removed"]

MAX_MARKED_CHARS = 400
"""Longer lines get no word marks: comparing words costs the square of their number."""
MAX_MARKED_PAIRS = 400
MIN_LIKENESS = 0.5
"""Lines that share less than this part of their words are shown as wholly replaced."""

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)", re.DOTALL)
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_KINDS: dict[str, Kind] = {"+": "added", "-": "removed"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a line; `is_changed` where the other version has something else there."""

    text: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line; a number is None on the side that lacks it."""

    kind: Kind
    old_number: int | None
    new_number: int | None
    pieces: tuple[Piece, ...]
    lacks_newline: bool = False

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Hunk:
    """Neighbouring lines; `heading` is the nearest line above that git takes for a heading."""

    heading: str
    lines: tuple[DiffLine, ...]


def parse_patch(patch: str) -> list[Hunk]:
    """The hunks of one file's unified difference, with changed words marked."""
    rows = patch.removesuffix("\n").split("\n")
    starts = [at for at, row in enumerate(rows) if row.startswith("@@ -")]
    hunks: list[Hunk] = []
    left = MAX_MARKED_PAIRS
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        found = _HUNK.match(rows[start])
        if found is None:
            continue
        lines = _numbered(rows[start + 1 : end], int(found.group(1)), int(found.group(3)))
        marked = list(_mark_words(lines, left))
        left -= sum(line.kind == "removed" and len(line.pieces) > 1 for line in marked)
        hunks.append(Hunk(found.group(5), tuple(marked)))
    return hunks


def _numbered(rows: Sequence[str], old: int, new: int) -> list[DiffLine]:
    lines: list[DiffLine] = []
    for row in rows:
        if row.startswith("\\"):  # "\ No newline at end of file" speaks of the line above
            lines[-1:] = [replace(line, lacks_newline=True) for line in lines[-1:]]
            continue
        kind = _KINDS.get(row[:1], "context")
        is_old, is_new = kind != "added", kind != "removed"
        piece = Piece(row[1:].removesuffix("\r"))
        lines.append(DiffLine(kind, old if is_old else None, new if is_new else None, (piece,)))
        old, new = old + is_old, new + is_new
    return lines


def _mark_words(lines: Sequence[DiffLine], max_pairs: int) -> Iterator[DiffLine]:
    """The lines; where as many follow as were removed, each pair has its changed words marked."""
    runs = [(kind, list(run)) for kind, run in groupby(lines, key=lambda line: line.kind)]
    at = 0
    while at < len(runs):
        kind, run = runs[at]
        following = runs[at + 1] if at + 1 < len(runs) else ("context", [])
        is_pair = (kind, following[0]) == ("removed", "added") and len(run) == len(following[1])
        if is_pair and len(run) <= max_pairs:
            max_pairs -= len(run)
            pairs = [_mark_pair(*pair) for pair in zip(run, following[1], strict=True)]
            yield from (old for old, _ in pairs)
            yield from (new for _, new in pairs)
            at += 2
        else:
            yield from run
            at += 1


def _mark_pair(old: DiffLine, new: DiffLine) -> tuple[DiffLine, DiffLine]:
    if max(len(old.text), len(new.text)) > MAX_MARKED_CHARS:
        return old, new
    before, after = _WORDS.findall(old.text), _WORDS.findall(new.text)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < MIN_LIKENESS:
        return old, new
    old_pieces, new_pieces = list[Piece](), list[Piece]()
    for tag, a, b, c, d in matcher.get_opcodes():
        old_pieces.append(Piece("".join(before[a:b]), tag != "equal"))
        new_pieces.append(Piece("".join(after[c:d]), tag != "equal"))
    return _with(old, old_pieces), _with(new, new_pieces)


def _with(line: DiffLine, pieces: list[Piece]) -> DiffLine:
    return replace(line, pieces=tuple(piece for piece in pieces if piece.text))
