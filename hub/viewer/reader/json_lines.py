"""JSON: one object a line, or one document that holds a list of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from hub.viewer.reader.delimited import open_stream
from hub.viewer.reader.errors import ReadError, Retype
from hub.viewer.reader.source import Files
from hub.viewer.reader.tables import Batch, Kinds, MemoryTable, Table

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
BATCH_ROWS = 1_000
BATCH_BYTES = 2 * 1024 * 1024
MAX_COLUMNS = 20_000

Row = dict[str, Any]


def open_json(files: Files, kinds: Kinds) -> Table:
    """A table over JSON files of either form; the first file says which."""
    if _is_document(files):
        rows = [row for number in range(len(files.listed)) for row in _document(files, number)]
        names = _names(rows, ())
        arrays = [_infer([row.get(name) for row in rows]) for name in names]
        return MemoryTable(pa.Table.from_arrays(arrays, names=names))
    return JsonLinesTable(files, kinds)


class JsonLinesTable(Table):
    """Types come from the first rows. A column of mixed values is given as texts of JSON."""

    def __init__(self, files: Files, kinds: Kinds) -> None:
        self._files, self._kinds = files, kinds
        first = next(self._chunks(0), [])
        names = _names(first, kinds)
        self.schema = pa.schema(
            [(name, self._type_of(name, [row.get(name) for row in first])) for name in names]
        )

    def _type_of(self, name: str, values: list[Any]) -> pa.DataType:
        if name in self._kinds:
            return pa.float64() if self._kinds[name] == "float" else pa.string()
        kind = _infer(values).type
        return pa.string() if pa.types.is_null(kind) else kind

    def batches(self, columns: Sequence[str], *, without: Collection[int] = ()) -> Iterator[Batch]:
        start = 0
        schema = self.subschema(columns)
        for number in range(len(self._files.listed)):
            for rows in self._chunks(number):
                self._check_names(rows)
                arrays = [self._array(field, rows) for field in schema]
                yield Batch(start, pa.RecordBatch.from_arrays(arrays, schema=schema))
                start += len(rows)
        self.num_rows = start

    def _check_names(self, rows: list[Row]) -> None:
        known = set(self.schema.names)
        for row in rows:
            if not known.issuperset(row):
                raise Retype(next(name for name in row if name not in known), "text")

    def _array(self, field: pa.Field, rows: list[Row]) -> pa.Array:
        values = [row.get(field.name) for row in rows]
        if self._kinds.get(field.name) == "text":
            return _as_texts(values)
        found = _infer(values)
        if _fits(found.type, field.type):
            # Arrow cuts 0.5 to 0 where it is told that a column is of whole numbers; this is not.
            return found if found.type == field.type else pa.array(values, field.type)
        may_be_float = field.name not in self._kinds and _are_numbers(values)
        raise Retype(field.name, "float" if may_be_float else "text")

    def _chunks(self, number: int) -> Iterator[list[Row]]:
        rows: list[Row] = []
        size = 0
        for line, text in _lines(self._files, number):
            rows.append(_object(text, self._files.listed[number].path, line))
            size += len(text)
            if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows


class TextTable(Table):
    """One row a line, as the `datasets` library reads text files."""

    schema = pa.schema([("text", pa.string())])

    def __init__(self, files: Files) -> None:
        self._files = files

    def batches(self, columns: Sequence[str], *, without: Collection[int] = ()) -> Iterator[Batch]:
        start = 0
        texts: list[str] = []
        for number in range(len(self._files.listed)):
            for _, raw in _lines(self._files, number, skip_blank=False):
                texts.append(raw.rstrip(b"\r\n").decode("utf-8", "replace"))
                if len(texts) >= BATCH_ROWS:
                    yield Batch(start, pa.record_batch([pa.array(texts)], schema=self.schema))
                    start, texts = start + len(texts), []
        if texts:
            yield Batch(start, pa.record_batch([pa.array(texts)], schema=self.schema))
        self.num_rows = start + len(texts)


def _lines(files: Files, number: int, *, skip_blank: bool = True) -> Iterator[tuple[int, bytes]]:
    """Numbered lines. Raises `ReadError` for one that is too long to hold."""
    path = files.listed[number].path
    stream, count = open_stream(files, number), 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        count += 1
        if len(line) > MAX_LINE_BYTES:
            text = f"Line {count} of {path} is longer than {MAX_LINE_BYTES // 1_000_000} MB."
            raise ReadError("LineTooLong", text, path=path, line=count)
        if count == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip() or not skip_blank:
            yield count, line


def _object(text: bytes, path: str, line: int) -> Row:
    value = _parse(text, path, f"Line {line} of {path}")
    if not isinstance(value, dict):
        words = f"Line {line} of {path} is no object in braces."
        raise ReadError("NotAnObject", words, path=path, line=line)
    return value


def _parse(text: bytes, path: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ReadError("TooDeep", f"{where} is nested too deeply.", path=path) from None
    except ValueError as error:
        reason = getattr(error, "msg", "it is not UTF-8")
        raise ReadError("BrokenFile", f"{where} is not JSON: {reason}.", path=path) from None


def _is_document(files: Files) -> bool:
    """Whether the first file is one JSON document rather than an object a line."""
    if not files.listed[0].path.lower().removesuffix(".gz").endswith(".json"):
        return False
    head = open_stream(files, 0).read(65536).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"["):
        return True
    try:
        json.loads(head.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return b"\n" in head
    return False


def _document(files: Files, number: int) -> list[Row]:
    path = files.listed[number].path
    data = open_stream(files, number).read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        text = f"{path} is one JSON document of more than {MAX_DOCUMENT_BYTES // 1_000_000} MB."
        raise ReadError("DocumentTooLarge", text, path=path)
    value = _parse(data, path, path)
    if isinstance(value, dict):
        value = _rows_of_columns(value)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ReadError("NotAnObject", f"{path} is no list of objects in braces.", path=path)
    return value


def _rows_of_columns(value: dict[str, Any]) -> list[Row]:
    """A mapping of equally long lists is a table by columns; any other object is one row."""
    lists = [item for item in value.values() if isinstance(item, list)]
    if lists and len(lists) == len(value) and len({len(item) for item in lists}) == 1:
        return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]
    return [value]


def _names(rows: list[Row], more: Sequence[str] | Kinds) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    names.update(dict.fromkeys(more))
    if len(names) > MAX_COLUMNS:
        raise ReadError("TooManyColumns", f"More than {MAX_COLUMNS:,} columns are not shown.")
    return list(names)


def _infer(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _as_texts(values)


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether every value of the type `found` is one of `wanted`, too."""
    if pt.is_null(found) or found == wanted:
        return True
    if pt.is_integer(found):
        return bool(pt.is_floating(wanted))
    if pt.is_list(found) and pt.is_list(wanted):
        return _fits(found.value_type, wanted.value_type)
    if pt.is_struct(found) and pt.is_struct(wanted):
        places = [wanted.get_field_index(field.name) for field in found]
        return all(
            at >= 0 and _fits(field.type, wanted.field(at).type)
            for at, field in zip(places, found, strict=True)
        )
    return False


def _are_numbers(values: list[Any]) -> bool:
    return all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        for value in values
    )


def _as_texts(values: list[Any]) -> pa.Array:
    return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()
