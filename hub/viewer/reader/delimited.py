"""CSV and TSV, read from the start as far as is needed."""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv

from hub.viewer.reader.errors import ReadError, Retype
from hub.viewer.reader.source import Files
from hub.viewer.reader.tables import Batch, Kinds, Table, check_names

BLOCK_BYTES = 512 * 1024
LONG_BLOCK_BYTES = 16 * 1024 * 1024
"""For files with a line longer than a block; longer ones are refused."""

_NO_NEWLINE = re.compile(r"straddling object|CSV parser got out of sync|block boundaries")
_BAD_COLUMN = re.compile(r"In CSV column #(\d+): .*?conversion error to (\S+)", re.DOTALL)


def open_stream(files: Files, number: int, *, ahead_bytes: int = 256 * 1024) -> Any:
    """The content of a file, unpacked where its name ends in .gz."""
    stream = files.open(number, buffer_bytes=ahead_bytes)
    if files.listed[number].path.lower().endswith(".gz"):
        return gzip.GzipFile(fileobj=stream, mode="rb")
    return stream


class DelimitedTable(Table):
    """Types come from the first block of the first file, and from `kinds` where that deceived."""

    def __init__(self, files: Files, delimiter: str, kinds: Kinds) -> None:
        self._files, self._delimiter, self._kinds = files, delimiter, kinds
        self._block_bytes = self._block_for_first_line()
        self._types: dict[str, pa.DataType] = {
            name: pa.float64() if kind == "float" else pa.string() for name, kind in kinds.items()
        }
        self.schema = self._read_schema()
        check_names(self.schema.names)
        self._types = {field.name: field.type for field in self.schema}

    def _block_for_first_line(self) -> int:
        """Size of a block that holds the first line. Raises `ReadError` where that is too long."""
        stream = open_stream(self._files, 0)
        for size in (BLOCK_BYTES, LONG_BLOCK_BYTES - BLOCK_BYTES):
            block = stream.read(size)
            if len(block) < size or b"\n" in block or b"\r" in block:
                return BLOCK_BYTES if size == BLOCK_BYTES else LONG_BLOCK_BYTES
        raise _line_too_long(self._files.listed[0].path)

    def _read_schema(self) -> pa.Schema:
        try:
            schema = self._reader(0).schema
        except pa.ArrowInvalid as error:
            if not _NO_NEWLINE.search(str(error)) or self._block_bytes > BLOCK_BYTES:
                raise self._readable(0, error) from None
            self._block_bytes = LONG_BLOCK_BYTES
            return self._read_schema()
        # A column that is empty so far may hold anything further on.
        texts = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in schema]
        return pa.schema(texts)

    def batches(self, columns: Sequence[str], *, without: Collection[int] = ()) -> Iterator[Batch]:
        start = 0
        for number in range(len(self._files.listed)):
            for rows in self._rows_of(number):
                yield Batch(start, rows.select(list(columns)))
                start += len(rows)
        self.num_rows = start

    def _rows_of(self, number: int) -> Iterator[pa.RecordBatch]:
        """The rows of a file; with a longer block from the start where a line needs one."""
        done = 0
        while True:
            try:
                for at, rows in self._numbered(number):
                    if at + len(rows) > done:
                        yield rows.slice(max(0, done - at))
                        done = at + len(rows)
            except pa.ArrowInvalid as error:
                if not _NO_NEWLINE.search(str(error)) or self._block_bytes > BLOCK_BYTES:
                    raise self._readable(number, error) from None
                self._block_bytes = LONG_BLOCK_BYTES
            else:
                return

    def _numbered(self, number: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        reader, at = self._reader(number), 0
        self._check_same(number, reader.schema)
        for rows in reader:
            yield at, rows
            at += len(rows)

    def _reader(self, number: int) -> csv.CSVStreamingReader:
        self._bad_row: Any = None
        return csv.open_csv(
            open_stream(self._files, number),
            read_options=csv.ReadOptions(use_threads=False, block_size=self._block_bytes),
            parse_options=csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                invalid_row_handler=self._note_bad_row,
            ),
            # What pandas takes for missing, as the `datasets` library reads through pandas.
            convert_options=csv.ConvertOptions(column_types=self._types, strings_can_be_null=True),
        )

    def _note_bad_row(self, row: Any) -> str:
        self._bad_row = row
        return "error"

    def _check_same(self, number: int, schema: pa.Schema) -> None:
        if hasattr(self, "schema") and schema.names != self.schema.names:
            this, first = self._files.listed[number].path, self._files.listed[0].path
            text = f"{this} has other columns than {first} of the same split."
            raise ReadError("ColumnsDiffer", text, path=this)

    def _readable(self, number: int, error: Exception) -> Exception:
        """The error in words, or a request to read again with another type."""
        path, text = self._files.listed[number].path, str(error)
        if self._bad_row is not None:
            return _ragged(path, self._bad_row)
        if match := _BAD_COLUMN.search(text):
            name = self.schema.names[int(match.group(1))]
            is_number = match.group(2).startswith("int") and name not in self._kinds
            return Retype(name, "float" if is_number else "text")
        if "Empty CSV" in text:
            return ReadError("EmptyFile", f"{path} is empty.", path=path)
        if _NO_NEWLINE.search(text):
            return _line_too_long(path)
        return ReadError("BrokenFile", f"{path} cannot be read as CSV: {text[:300]}", path=path)


def _line_too_long(path: str) -> ReadError:
    text = f"{path} has a line longer than {LONG_BLOCK_BYTES // 1_000_000} MB."
    return ReadError("LineTooLong", text, path=path)


def _ragged(path: str, row: Any) -> ReadError:
    where = f"Line {row.number}" if row.number else "A line"
    return ReadError(
        "RaggedRow",
        f"{where} of {path} has {row.actual_columns} fields where {row.expected_columns} were "
        f"expected: {row.text[:120]}",
        path=path,
        line=row.number,
    )
