"""Pictures and sounds out of rows, a hundred rows at a time, kept as answers are.

Only bytes that begin like a picture or sound of our list are handed out, as what they are: never
what a file or a card says they are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hub.viewer.errors import DataError
from hub.viewer.kept import keep, one_at_a_time
from hub.viewer.queries import Part
from hub.viewer.reader.wire import WireClosed, pack_answer, read_value

ROWS_TOGETHER = 100
_PROBLEMS = {
    "empty": "This cell holds no bytes.",
    "unknown": "This is no picture or sound of a kind that is shown.",
    "too_large": "This is too large to be shown.",
}


@dataclass(frozen=True)
class Medium:
    content_type: str
    data: bytes


def medium_of(part: Part, *, column: str, row: int) -> Medium:
    """The picture or sound of a row.

    Raises:
        DataError: `MediaNotFound` where the row has none that is shown; else as `Part.media`.
        ViewerBusy: another request has been fetching it for long.
    """
    item, data = _kept_item(part, column, row)
    if item["problem"] == "left_out":
        alone = part.media(column=column, offset=row, length=1)
        item = _item(alone.value["items"], 0)
        data = _cut(item, alone.tail)
    if item["problem"] is not None:
        raise DataError("MediaNotFound", _PROBLEMS.get(item["problem"], _PROBLEMS["too_large"]))
    return Medium(item["content_type"], data)


def media_url(part: Part, column: str, cell: dict[str, Any]) -> str:
    """Path of the bytes of a cell: the file that it names, or a route to its row."""
    data = part.data
    base = data.repo.url_path
    if "file" in cell:
        return f"{base}/raw/{data.commit_sha}/{quote(cell['file'])}"
    query = {
        "revision": data.commit_sha,
        "config": part.config.name,
        "split": part.split.name,
        "column": column,
        "row": cell["row"],
    }
    return f"{base}/viewer-media?{urlencode(query)}"


def _item(items: list[dict[str, Any]], at: int) -> dict[str, Any]:
    if at >= len(items):
        raise DataError("MediaNotFound", "There is no such row.")
    return items[at]


def _cut(item: dict[str, Any], tail: bytes) -> bytes:
    return tail[item["start"] : item["end"]] if item["problem"] is None else b""


def _kept_item(part: Part, column: str, row: int) -> tuple[dict[str, Any], bytes]:
    """What is said of a row and its bytes, kept from before or read now with those around it."""
    at = row % ROWS_TOGETHER
    place = part.place("media", column, row - at)
    found = _read(place, at)
    if found is None:
        with one_at_a_time(place):
            found = _read(place, at) or _fetch(part, place, column, row)
    return found


def _read(place: Path, at: int) -> tuple[dict[str, Any], bytes] | None:
    """From what is kept, the one item and its bytes alone; None where nothing is."""
    with suppress(FileNotFoundError, WireClosed), place.open("rb") as file:
        item = _item(read_value(file)["items"], at)
        if item["problem"] is not None:
            return item, b""
        file.seek(item["start"], 1)
        return item, file.read(item["end"] - item["start"])
    return None


def _fetch(part: Part, place: Path, column: str, row: int) -> tuple[dict[str, Any], bytes]:
    at = row % ROWS_TOGETHER
    found = part.media(column=column, offset=row - at, length=ROWS_TOGETHER)
    keep(place, pack_answer(found.value, found.tail))
    item = _item(found.value["items"], at)
    return item, _cut(item, found.tail)


def address_media(part: Part, found: dict[str, Any], base: str) -> None:
    """Puts addresses in place of what readers say of pictures and sounds, as the Hub shapes them:
    `{"src", "width", "height"}`, and for sounds a list with `{"src", "type"}`."""
    kinds = {
        feature["name"]: feature["type"]["_type"]
        for feature in found["features"]
        if feature["type"].get("_type") in ("Image", "Audio")
    }
    for row in found["rows"]:
        for name, kind in kinds.items():
            cell = row["row"][name]
            if isinstance(cell, dict):
                row["row"][name] = _shaped(kind, cell, base + media_url(part, name, cell))


def _shaped(kind: str, cell: dict[str, Any], url: str) -> Any:
    if kind == "Audio":
        return [{"src": url, "type": cell.get("content_type")}]
    return {"src": url, "width": cell["width"], "height": cell["height"]}
