"""Files of a split as one table with the columns a task asks for."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_core.errors import Code, UserError

MAX_CELL_CHARS = 64 << 20
HF_METADATA = b"huggingface"


@dataclass(frozen=True)
class Source:
    """One data file: the names of its columns and a reader for some of them.

    `read(columns, text_columns)` reads those of `text_columns` as text whatever they look like.
    `label_names` maps a column to the names that a ClassLabel feature gives its integers.
    """

    path: Path
    columns: tuple[str, ...]
    read: Callable[[Sequence[str], frozenset[str]], pa.Table]
    label_names: Mapping[str, tuple[str, ...]]


def open_source(path: Path) -> Source:
    """The data file at `path`, its format told by its suffix.

    Raises:
        UserError: `data_unreadable`.
    """
    openers = {
        ".parquet": _open_parquet,
        ".csv": _open_csv,
        ".tsv": _open_csv,
        ".jsonl": _open_json,
        ".ndjson": _open_json,
        ".json": _open_json,
    }
    opener = openers.get(path.suffix.lower())
    if opener is None:
        known = ", ".join(sorted(openers))
        raise _unreadable(path, f"its ending is none of {known}")
    try:
        return opener(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise _unreadable(path, str(error)) from error


def read_columns(
    sources: Sequence[Source],
    columns: Mapping[str, str],
    *,
    text_roles: frozenset[str],
    limit: int | None = None,
) -> pa.Table:
    """The rows of all sources in order, columns named by role.

    Args:
        columns: column by role; every source has them.
        text_roles: roles read as text whatever their values look like.

    Raises:
        UserError: `data_unreadable`.
    """
    texts = frozenset(columns[role] for role in text_roles if role in columns)
    wanted = list(dict.fromkeys(columns.values()))
    tables = []
    for source in sources:
        try:
            table = source.read(wanted, texts)
            tables.append(table.select([columns[role] for role in columns]))
        except (OSError, pa.ArrowException, ValueError, RecursionError) as error:
            raise _unreadable(source.path, str(error)) from error
    renamed = [_plain(table.rename_columns(list(columns))) for table in tables]
    try:
        table = pa.concat_tables(renamed, promote_options="permissive")
    except pa.ArrowException as error:
        raise UserError(
            Code.DATA_UNREADABLE, f"The data files do not agree on a column's type: {error}"
        ) from error
    return table if limit is None else table.slice(0, limit)


def _open_parquet(path: Path) -> Source:
    schema = pq.read_schema(path)

    def read(columns: Sequence[str], _texts: frozenset[str]) -> pa.Table:
        with pq.ParquetFile(path) as file:
            return file.read(columns=list(columns)).replace_schema_metadata(None)

    return Source(path, tuple(schema.names), read, class_label_names(schema.metadata or {}))


def class_label_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of ClassLabel columns, of lists of them, and of the categories of objects, from the
    metadata that the `datasets` library writes."""
    try:
        features = json.loads(metadata.get(HF_METADATA, b"{}"))["info"]["features"]
        named = {column: _names_in(feature) for column, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {
        column: tuple(found)
        for column, found in named.items()
        if isinstance(found, list) and all(isinstance(name, str) for name in found)
    }


def _names_in(feature: object) -> object:
    """The names of a feature, or of what its lists or its objects hold."""
    for key in ("names", "feature", "category"):
        if isinstance(feature, dict) and key in feature:
            inner = feature[key]
            return inner if key == "names" else _names_in(inner)
    return _names_in(feature[0]) if isinstance(feature, list) and len(feature) == 1 else None


def _open_csv(path: Path) -> Source:
    """Read with Python's reader: it names the broken line, and "007" stays text."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = tuple(next(csv.reader(stream, delimiter=separator), ()))

    def read(columns: Sequence[str], texts: frozenset[str]) -> pa.Table:
        csv.field_size_limit(MAX_CELL_CHARS)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(_csv_rows(stream, separator, len(header)))
        places = {column: header.index(column) for column in columns}
        cells = {column: [row[at] for row in rows] for column, at in places.items()}
        arrays = {c: v if c in texts else _numbers_or_text(v) for c, v in cells.items()}
        return pa.table({c: pa.array(v) for c, v in arrays.items()})

    return Source(path, header, read, {})


def _csv_rows(stream: io.TextIOBase, separator: str, width: int) -> Iterator[list[str]]:
    reader = csv.reader(stream, delimiter=separator, strict=True)
    next(reader, None)
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != width:
                raise ValueError(f"line {reader.line_num} has {len(row)} cells, not {width}")
            yield row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _numbers_or_text(cells: list[str]) -> list[str] | list[int]:
    try:
        numbers = [int(cell) for cell in cells]
    except ValueError:
        return cells
    return numbers if all(str(n) == cell for n, cell in zip(numbers, cells, strict=True)) else cells


def _open_json(path: Path) -> Source:
    """A list of objects, or one object a line. Columns are those of the first object."""
    try:
        first = next(_json_rows(path), {})
    except ValueError as error:
        raise _unreadable(path, str(error)) from error

    def read(columns: Sequence[str], _texts: frozenset[str]) -> pa.Table:
        rows = list(_json_rows(path))
        return pa.table({c: pa.array([row.get(c) for row in rows]) for c in columns})

    return Source(path, tuple(first), read, {})


def _json_rows(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8-sig") as stream:
        if stream.read(1) == "[":
            stream.seek(0)
            rows: Iterator[tuple[int, object]] = enumerate(json.load(stream), start=1)
        else:
            stream.seek(0)
            rows = ((n, _json_line(n, line)) for n, line in enumerate(stream, 1) if line.strip())
        for number, row in rows:
            if not isinstance(row, dict):
                raise ValueError(f"row {number} is not an object")
            yield row


def _json_line(number: int, line: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number} is not JSON: {error}") from error


def _plain(table: pa.Table) -> pa.Table:
    """`table` with dictionary-encoded columns as plain values."""
    for at, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            plain = table.column(at).cast(column.type.value_type)
            table = table.set_column(at, column.name, plain)
    return table


def _unreadable(path: Path, problem: str) -> UserError:
    return UserError(
        Code.DATA_UNREADABLE,
        f"The data file {path.name} cannot be read: {problem}.",
        file=path.name,
    )
