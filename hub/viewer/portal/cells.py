"""Rows and columns of the viewer as its page draws them. No database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hub.viewer.media import media_url
from hub.viewer.queries import Part
from hub.viewer.reader.filters import quote_column, quote_value

FOLD_CHARS = 180
BAR_HEIGHT = 32
BAR_WIDTH = 120
SHOWN_LABELS = 4


@dataclass(frozen=True)
class Cell:
    """`kind`: null, text, number, json, label, image or audio. `more` is the unfolded value."""

    kind: str
    text: str = ""
    more: str = ""
    url: str = ""
    is_cut: bool = False


@dataclass(frozen=True)
class Row:
    number: int
    cells: list[Cell]


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Count:
    """How often a label stands in a column; `share` of the most frequent one; `where` finds it."""

    label: str
    n: int
    share: float
    where: str


@dataclass(frozen=True)
class Summary:
    """What stands below a column's name: bars with the ends of their axis, or counted labels.

    `constant` is given where all values, or their lengths, are the same.
    """

    bars: list[Bar]
    low: str
    high: str
    counts: list[Count]
    more_labels: int
    constant: str
    n_null: int
    null_share: float
    is_length: bool


def shown_rows(part: Part, found: dict[str, Any]) -> list[Row]:
    """The rows of an answer; a long value is folded."""
    features = [(each["name"], each["type"]) for each in found["features"]]
    return [
        Row(
            row["row_idx"],
            [
                _cell(part, name, feature, row["row"][name], name in row["truncated_cells"])
                for name, feature in features
            ],
        )
        for row in found["rows"]
    ]


def _cell(part: Part, name: str, feature: Any, value: Any, is_cut: bool) -> Cell:
    if value is None:
        return Cell("null")
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind in ("Image", "Audio") and isinstance(value, dict):
        return _medium(kind, value, media_url(part, name, value))
    if kind == "ClassLabel" and isinstance(value, int):
        names = feature["names"]
        return Cell("label", names[value] if 0 <= value < len(names) else "–", str(value))
    if isinstance(value, bool):
        return Cell("text", "true" if value else "false")
    if isinstance(value, int | float):
        return Cell("number", str(value))
    if isinstance(value, list | dict):
        return _folded("json", json.dumps(value, ensure_ascii=False), is_cut)
    return _folded("text", value, is_cut)


def _folded(kind: str, text: str, is_cut: bool) -> Cell:
    if len(text) <= FOLD_CHARS:
        return Cell(kind, text, is_cut=is_cut)
    return Cell(kind, text[:FOLD_CHARS], text[FOLD_CHARS:], is_cut=is_cut)


def _medium(kind: str, value: dict[str, Any], url: str) -> Cell:
    problem = value.get("problem")
    if problem == "too_large":
        size = f"{value['width']:,} × {value['height']:,}"
        return Cell("text", _("Too large to show: %(size)s pixels") % {"size": size})
    if problem == "empty":
        return Cell("text", _("Empty file"))
    if problem:
        return Cell("text", _("Not a picture or sound that can be shown"))
    return Cell("image" if kind == "Image" else "audio", url=url)


def column_kind(feature: Any) -> str:
    """One word for what a column holds."""
    if not isinstance(feature, dict):
        return "json"
    kind = feature.get("_type")
    if kind == "Value":
        return str(feature.get("dtype"))
    if kind == "ClassLabel":
        return _("class label, %(n)s classes") % {"n": len(feature["names"])}
    if kind in ("List", "Sequence", "LargeList"):
        inner = feature.get("feature")
        return _("list of %(what)s") % {"what": column_kind(inner)} if inner else _("list")
    return {"Image": _("image"), "Audio": _("audio")}.get(str(kind), _("struct"))


def summaries(statistics: dict[str, Any]) -> dict[str, Summary]:
    """What to draw below each column, by name."""
    return {each["column_name"]: _summary(each) for each in statistics["statistics"]}


def _summary(column: dict[str, Any]) -> Summary:
    facts = column["column_statistics"]
    name, kind = column["column_name"], column["column_type"]
    histogram = facts.get("histogram")
    frequencies = facts.get("frequencies") or {}
    return Summary(
        bars=_bars(histogram) if histogram and facts["min"] != facts["max"] else [],
        constant=_edge(facts["min"]) if histogram and facts["min"] == facts["max"] else "",
        low=_edge(facts.get("min")),
        high=_edge(facts.get("max")),
        counts=_counts(name, kind, frequencies),
        more_labels=max(0, len(frequencies) - SHOWN_LABELS),
        n_null=facts["nan_count"],
        null_share=facts["nan_proportion"],
        is_length=kind in ("string_text", "list"),
    )


def _bars(histogram: dict[str, Any]) -> list[Bar]:
    counts, edges = histogram["hist"], histogram["bin_edges"]
    top, width = max([*counts, 1]), BAR_WIDTH / max(1, len(counts))
    return [
        Bar(
            x=round(at * width + 0.5, 2),
            y=round(BAR_HEIGHT - _height(count, top), 2),
            width=round(width - 1, 2),
            height=_height(count, top),
            title=f"{_edge(edges[at])} – {_edge(edges[at + 1])}: {count:,}",
        )
        for at, count in enumerate(counts)
    ]


def _height(count: int, top: int) -> float:
    """At least a line for what is there at all."""
    return round(max(1.0, count / top * BAR_HEIGHT), 2) if count else 0.0


def _counts(name: str, kind: str, frequencies: dict[str, int]) -> list[Count]:
    ordered = sorted(frequencies.items(), key=lambda item: -item[1])[:SHOWN_LABELS]
    top = max([n for _, n in ordered], default=1) or 1
    return [
        Count(label, n, round(n / top * 100, 1), _where(name, kind, label)) for label, n in ordered
    ]


def _where(name: str, kind: str, label: str) -> str:
    value: str | bool = label == "True" if kind == "bool" else label
    return f"{quote_column(name)} = {quote_value(value)}"


def _edge(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")[:19]
