"""Whether a file is committed as it is or kept as a large object, and whether it is left out. Pure.

Source: section "Who decides regular, LFS or Xet" of the Hub protocol; gitattributes(5);
gitignore(5).
Patterns come from users, so they are matched by RE2, whose time grows with the length of the path
alone. What RE2 finds too complicated is refused.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import re2
from pathspec import GitIgnoreSpec, PathSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from hub.errors import InvalidInput

UploadMode = Literal["regular", "lfs"]

MAX_PATTERN_FILE_BYTES = 64 * 1024
MAX_PATTERNS = 1000
ALWAYS_REGULAR = frozenset({".gitattributes", ".gitignore"})


@dataclass(frozen=True)
class _Rule:
    line: int
    pattern: str
    is_lfs: bool


@contextmanager
def _compiling() -> Iterator[None]:
    try:
        yield
    except re2.error:
        raise InvalidInput(
            "The patterns of .gitattributes or .gitignore are too complicated: use fewer of them, "
            "with fewer asterisks."
        ) from None


class _RuleSet:
    def __init__(self, rules: Iterable[_Rule]) -> None:
        compiled = [(rule, _compile(rule.pattern)) for rule in rules]
        self._rules = [rule for rule, item in compiled if item]
        with _compiling():
            self._spec = PathSpec([item for _, item in compiled if item], backend="re2")

    def last_match(self, path: str) -> _Rule | None:
        index = self._spec.check_file(path).index
        return None if index is None else self._rules[index]


class LfsPatterns:
    """The `filter=lfs` lines of a `.gitattributes` file; the last that names a path decides."""

    def __init__(self, text: str) -> None:
        rules = _rules(text[:MAX_PATTERN_FILE_BYTES])[:MAX_PATTERNS]
        self._by_name = _RuleSet(rule for rule in rules if "/" not in rule.pattern)
        self._by_path = _RuleSet(rule for rule in rules if "/" in rule.pattern)

    def names(self, path: str) -> bool:
        """Whether git would run the LFS filter on `path`."""
        name = path.rsplit("/", 1)[-1]
        found = [self._by_name.last_match(name), self._by_path.last_match(path)]
        last = max((rule for rule in found if rule), key=lambda rule: rule.line, default=None)
        return last is not None and last.is_lfs


class IgnorePatterns:
    """The lines of a `.gitignore` file."""

    def __init__(self, text: str) -> None:
        lines = text[:MAX_PATTERN_FILE_BYTES].splitlines()[:MAX_PATTERNS]
        compiled = (_compile(line) for line in lines)
        with _compiling():
            self._spec = GitIgnoreSpec([item for item in compiled if item], backend="re2")

    def names(self, path: str) -> bool:
        return self._spec.match_file(path)


def choose_mode(
    path: str, size_bytes: int, sample: bytes, patterns: LfsPatterns, *, max_regular_bytes: int
) -> UploadMode:
    """How a file is to be sent.

    Args:
        sample: its first bytes, up to 512.
        max_regular_bytes: what git itself may hold.
    """
    if size_bytes > max_regular_bytes:
        return "lfs"
    if size_bytes == 0 or path.rsplit("/", 1)[-1] in ALWAYS_REGULAR:
        return "regular"
    return "lfs" if patterns.names(path) or is_binary(sample) else "regular"


def is_binary(sample: bytes) -> bool:
    """Whether the bytes are not the beginning of UTF-8 text. A character cut at the end is fine."""
    if b"\0" in sample:
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return True
    return False


def _rules(text: str) -> list[_Rule]:
    rules: list[_Rule] = []
    for number, line in enumerate(text.splitlines()):
        pattern, attributes = _split(line.strip())
        if not pattern or pattern.startswith(("#", "!", "[attr]")):
            continue
        rules += [
            _Rule(number, pattern, attribute == "filter=lfs")
            for attribute in attributes
            if attribute in {"-filter", "!filter"} or attribute.startswith("filter=")
        ]
    return rules


def _split(line: str) -> tuple[str, list[str]]:
    """Pattern and attributes; a pattern with spaces stands in double quotes."""
    if line.startswith('"'):
        pattern, _, attributes = line[1:].partition('"')
        return pattern, attributes.split()
    first, *others = line.split() or [""]
    return first, others


def _compile(line: str) -> GitIgnoreSpecPattern | None:
    """The pattern; None for a malformed one, which matches nothing, as in git."""
    try:
        pattern = GitIgnoreSpecPattern(line)
    except (ValueError, re.error):
        return None
    return pattern if pattern.include is not None else None
