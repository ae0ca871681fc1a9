"""What a card says of its repository's gate: the words, and what people are asked for. Pure.

Source: the Hub's documentation of gated repositories (`extra_gated_*` in the front matter).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "checkbox", "date", "country", "select"]

MAX_FIELDS = 30
MAX_OPTIONS = 300
MAX_LABEL_CHARS = 1000
MAX_TITLE_CHARS = 200
_KINDS: dict[str, Kind] = {
    "text": "text",
    "checkbox": "checkbox",
    "date_picker": "date",
    "country": "country",
    "select": "select",
}
_NOT_ASKED = "ip_location"
"""The Hub notes where a request came from. This site looks nobody up by their address."""


@dataclass(frozen=True)
class GateField:
    """One thing that is asked for. `options` of a choice: value and what is shown."""

    label: str
    kind: Kind
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class GateCard:
    """The gate in the owner's words; `description` and `prompt` are Markdown. Empty: not said."""

    heading: str = ""
    description: str = ""
    prompt: str = ""
    button: str = ""
    fields: tuple[GateField, ...] = ()


def gate_card(data: dict[str, Any]) -> GateCard:
    """The gate of a card with this front matter; what is not in the known form is left out."""
    fields = data.get("extra_gated_fields")
    return GateCard(
        heading=_text(data, "extra_gated_heading")[:MAX_TITLE_CHARS],
        description=_text(data, "extra_gated_description"),
        prompt=_text(data, "extra_gated_prompt"),
        button=_text(data, "extra_gated_button_content")[:MAX_TITLE_CHARS],
        fields=tuple(_fields(fields))[:MAX_FIELDS] if isinstance(fields, dict) else (),
    )


@cache
def countries() -> tuple[tuple[str, str], ...]:
    """ISO 3166-1 alpha-2 codes with their English names, by name."""
    lines = Path(__file__).with_name("countries.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return tuple(sorted(((code, name) for code, name in pairs), key=lambda pair: pair[1]))


def _fields(asked: dict[Any, Any]) -> Iterator[GateField]:
    for label, wanted in asked.items():
        name = wanted.get("type") if isinstance(wanted, dict) else wanted
        text = str(label).strip()[:MAX_LABEL_CHARS]
        if not text or name == _NOT_ASKED:
            continue
        options = wanted.get("options") if isinstance(wanted, dict) else None
        kind = _KINDS.get(str(name), "text")
        if kind == "select":
            yield GateField(text, kind, tuple(_options(options))[:MAX_OPTIONS])
        else:
            yield GateField(text, kind)


def _options(options: Any) -> Iterator[tuple[str, str]]:
    """Plain values, or objects with `label` and `value`."""
    for option in options if isinstance(options, list) else []:
        if not isinstance(option, dict):
            yield str(option), str(option)
        elif "value" in option:
            yield str(option["value"]), str(option.get("label", option["value"]))


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value.strip() if isinstance(value, str) else ""
