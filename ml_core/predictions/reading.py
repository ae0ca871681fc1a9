"""The rows of a file that a stranger hands in, one after the other, with where each stands.

Nothing in it is believed: bytes, rows, columns and the length of a cell are bounded, and a number
that is none (NaN, infinity) is refused where it stands.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml_core.data.rows import open_plain_file
from ml_core.errors import Code, UserError

MAX_BYTES = 256 << 20
MAX_LINE_BYTES = 4 << 20
MAX_COLUMNS = 200
MAX_UNPACKED_RATIO = 20
BATCH_ROWS = 1000
SHOWN_CHARS = 60


@dataclass(frozen=True)
class Row:
    """One row: `place` is "line 3" of a text file or "row 3" of a table; values by column."""

    place: str
    values: dict[str, Any]


Reader = Callable[[IO[bytes], int], Iterator[Row]]


def read_submitted(path: Path, *, max_rows: int, max_bytes: int = MAX_BYTES) -> Iterator[Row]:
    """The rows of the file at `path`, its format told by its ending.

    Raises:
        UserError: `predictions_unreadable`, `predictions_too_large`, `predictions_column`.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(READERS))
        raise unreadable("", f"its name ends in none of {known}")
    try:
        stream = open_plain_file(path, max_bytes=max_bytes)
    except ValueError as error:
        raise too_large(f"{max_bytes:,} bytes") from error
    with stream:
        for n_rows, row in enumerate(reader(stream, max_bytes), 1):
            if n_rows > max_rows:
                raise too_large(f"{max_rows:,} rows, one for each item")
            yield row


def unreadable(place: str, problem: str) -> UserError:
    text = f"The predictions file cannot be read{f' ({place})' if place else ''}: {problem}."
    return UserError(Code.PREDICTIONS_UNREADABLE, text, place=place or "–", problem=problem)


def too_large(limit: str) -> UserError:
    text = f"The predictions file has more than {limit}."
    return UserError(Code.PREDICTIONS_TOO_LARGE, text, limit=limit)


def shown(value: object) -> str:
    """A value out of the file, short enough to be shown."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _read_json_lines(stream: IO[bytes], _max_bytes: int) -> Iterator[Row]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        place = f"line {number}"
        if len(line) > MAX_LINE_BYTES:
            raise unreadable(place, f"it is longer than {MAX_LINE_BYTES:,} bytes")
        text = _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, place)
        if text.strip():
            value = parse_json(text, place)
            if not isinstance(value, dict):
                raise unreadable(place, 'it is not an object such as {"item_id": …}')
            yield Row(place, value)


def parse_json(text: str, place: str) -> Any:
    """A JSON value that names no key twice and holds no NaN. Raises UserError."""

    def refuse(name: str) -> float:
        raise unreadable(place, f"{name} is no number")

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            raise unreadable(place, "a name appears twice")
        return dict(found)

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        problem = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise unreadable(place, f"it is not JSON ({problem})") from error


def _read_comma(stream: IO[bytes], max_bytes: int) -> Iterator[Row]:
    return _read_cells(stream, ",", max_bytes)


def _read_tab(stream: IO[bytes], max_bytes: int) -> Iterator[Row]:
    return _read_cells(stream, "\t", max_bytes)


def _read_cells(stream: IO[bytes], separator: str, max_bytes: int) -> Iterator[Row]:
    """Cells are text; one that starts like a list or an object is read as JSON."""
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(_lines(stream), delimiter=separator, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            place = f"line {reader.line_num}"
            if header is None:
                header = _checked_header(cells)
            elif cells:
                if len(cells) != len(header):
                    raise unreadable(place, f"it has {len(cells)} cells, not {len(header)}")
                pairs = zip(header, cells, strict=True)
                yield Row(place, {name: _cell(cell, place) for name, cell in pairs})
    except csv.Error as error:
        raise unreadable(f"line {reader.line_num}", str(error)) from error


def _lines(stream: IO[bytes]) -> Iterator[str]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise unreadable(f"line {number}", f"it is longer than {MAX_LINE_BYTES:,} bytes")
        yield _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"line {number}")


def _cell(cell: str, place: str) -> Any:
    return parse_json(cell, place) if cell[:1] in ("[", "{") else cell


def _text(line: bytes, place: str) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(place, "it is not text in UTF-8") from error
    if "\0" in text:
        raise unreadable(place, "it holds a zero byte")
    return text


def _checked_header(names: list[str]) -> list[str]:
    if len(names) > MAX_COLUMNS:
        raise unreadable("line 1", f"it names more than {MAX_COLUMNS} columns")
    for name in names:
        if names.count(name) > 1:
            raise unreadable("line 1", f"the column {shown(name)} appears twice")
    return names


def _read_parquet(stream: IO[bytes], max_bytes: int) -> Iterator[Row]:
    try:
        with pq.ParquetFile(stream) as file:
            metadata = file.metadata
            groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > MAX_UNPACKED_RATIO * max_bytes:
                raise too_large(f"{MAX_UNPACKED_RATIO * max_bytes:,} bytes when unpacked")
            _checked_header(list(file.schema_arrow.names))
            number = 0
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number}", values)
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise unreadable("", "it is no parquet file, or a damaged one") from error


READERS: dict[str, Reader] = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".csv": _read_comma,
    ".tsv": _read_tab,
    ".parquet": _read_parquet,
}
"""By the ending of the file's name."""


def finite(value: Any) -> float | None:
    """`value` as a finite number; text out of a CSV file too. None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
