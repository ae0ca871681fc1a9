"""The YAML block at the top of a card, read within limits into plain JSON values.

Read as YAML 1.2 means it (as the Hub does): `no` is a word and not false, dates stay text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_YAML_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_ALIASES = 200
_NEWLINE = r"(?:\r\n|\r|\n)"
_OPENING = rf"\A\ufeff?\s*---[ \t]*{_NEWLINE}"
_CLOSING = rf"---[ \t]*(?:{_NEWLINE}|\Z)"
_BLOCK = re.compile(f"{_OPENING}(.*?){_NEWLINE}{_CLOSING}", re.DOTALL)
_EMPTY_BLOCK = re.compile(_OPENING + _CLOSING)
_BaseLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CardError(Exception):
    """The front matter cannot be read; the message is for the author of the card."""


@dataclass(frozen=True)
class Card:
    """`data` holds JSON values only; `has_front_matter` is false where there is no block."""

    data: dict[str, Any] = field(default_factory=dict)
    body: str = ""
    has_front_matter: bool = False


class _Loader(_BaseLoader):
    """Plain values of YAML 1.2; a key that stands twice is an error."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    line = key.start_mark.line + 2
                    raise CardError(f"The key “{key.value[:80]}” stands twice (line {line}).")
                seen.add(key.value)
        self.flatten_mapping(node)
        mapping: dict[Hashable, Any] = yaml.constructor.BaseConstructor.construct_mapping(
            self, node, deep=deep
        )
        return mapping


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("merge", r"<<", "<"),
):  # fmt: skip
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), [*_first]
    )
_Loader.yaml_implicit_resolvers[""] = [("tag:yaml.org,2002:null", re.compile(r"\Z"))]


def _construct_int(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_card(text: str) -> Card:
    """The card in `text`.

    Raises:
        CardError: the front matter is no YAML mapping, or goes beyond the limits.
    """
    match = _EMPTY_BLOCK.match(text) or _BLOCK.match(text)
    if match is None:
        return Card(body=text)
    raw = match.group(1) if match.re is _BLOCK else ""
    return Card(_load(raw), text[match.end() :], has_front_matter=True)


def split_body(text: str) -> str:
    """The text below the front matter, whatever the front matter holds."""
    match = _EMPTY_BLOCK.match(text) or _BLOCK.match(text)
    return text[match.end() :] if match else text


def load_yaml(text: str) -> Any:
    """Any YAML document as JSON values, within the same limits.

    Raises:
        CardError: it is not YAML, or goes beyond the limits.
    """
    if len(text.encode("utf-8", "replace")) > MAX_YAML_BYTES:
        raise CardError(f"The metadata is larger than {MAX_YAML_BYTES:,} bytes.")
    try:
        _check_events(text)
        return _Plainer().plain(yaml.load(text, Loader=_Loader))  # noqa: S506  # a safe loader
    except yaml.YAMLError as error:
        raise CardError(_describe(error)) from error
    except (ValueError, RecursionError, OverflowError) as error:
        raise CardError("The metadata holds a value that cannot be read.") from error


def _load(raw: str) -> dict[str, Any]:
    data = load_yaml(raw)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise CardError("The metadata must be a list of “key: value” lines.")
    return data


def _check_events(text: str) -> None:
    """Depth and numbers of aliases, before anything is built."""
    depth = n_aliases = 0
    for event in yaml.parse(text, Loader=_BaseLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            n_aliases += 1
        if depth > MAX_DEPTH:
            raise CardError("The metadata is nested too deeply.")
        if n_aliases > MAX_ALIASES:
            raise CardError("The metadata has too many aliases (“*name”).")


class _Plainer:
    """Copies values into JSON; aliases are written out, which is where a bomb would go off."""

    def __init__(self) -> None:
        self._n_nodes = 0

    def plain(self, value: Any, depth: int = 0) -> Any:
        self._n_nodes += 1
        if self._n_nodes > MAX_NODES or depth > MAX_DEPTH:
            raise CardError("The metadata expands to too much.")
        if isinstance(value, dict):
            return {str(k): self.plain(v, depth + 1) for k, v in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [self.plain(item, depth + 1) for item in value]
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if value is None or isinstance(value, (str, bool, int)):
            return value
        raise CardError(f"The metadata holds a value of the kind {type(value).__name__}.")


def _describe(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    # The block starts one line below its first line.
    where = f" (line {mark.line + 2}, column {mark.column + 1})" if mark else ""
    return f"The metadata is not valid YAML: {problem[:200]}{where}."
