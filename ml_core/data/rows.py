"""A file with one row an item: what a job writes, and reading that back without trust."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_core.errors import Code, PlatformError
from ml_core.results import PredictionsFile

OVERHEAD_BYTES = 1 << 20
ITEM_BYTES = 4096


def write_rows(
    path: Path,
    schema: pa.Schema,
    columns: Sequence[Any],  # arrays, or sequences of plain values
    metadata: Mapping[bytes, str] | None = None,
) -> PredictionsFile:
    """Write one row an item as parquet."""
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, kind)
        for column, kind in zip(columns, schema.types, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
    return PredictionsFile(path.name, sha256_of(path), path.stat().st_size, table.num_rows)


def read_rows(
    path: Path,
    item_ids: Sequence[str],
    schema: pa.Schema,
    *,
    max_item_bytes: int = ITEM_BYTES,
    as_dictionary: Sequence[str] = ("item_id", "error"),
) -> pa.Table:
    """The rows of a file that a caged child wrote, in the order of `item_ids`.

    Size, column names and ids are checked here, the values of the columns are not.

    Raises:
        OSError, ValueError, TypeError, pa.ArrowException: see `refusing`, which turns them.
    """
    limit = OVERHEAD_BYTES + len(item_ids) * max_item_bytes
    with open_plain_file(path, max_bytes=limit) as stream:
        table = _read_table(stream, schema, len(item_ids), limit, as_dictionary)
    found = [str(value) for value in table.column("item_id").to_pylist()]
    places = {item: at for at, item in enumerate(found)}
    if len(places) != len(found) or set(places) != set(item_ids):
        raise ValueError("its item ids are not those asked for, each once")
    return table.take(pa.array([places[item] for item in item_ids], pa.int64()))


READ_ERRORS = (OSError, pa.ArrowException, ValueError, TypeError, OverflowError)
"""What reading a stranger's file may raise."""


def unusable(error: Exception) -> PlatformError:
    """The error for predictions that cannot be believed."""
    return PlatformError(
        Code.RESULT_INVALID, f"The job's predictions cannot be used: {error}"
    )


def truncated_of(table: pa.Table) -> NDArray[np.bool_]:
    """The column `truncated`, null as false."""
    return np.array([bool(v) for v in table.column("truncated").to_pylist()], dtype=np.bool_)


def errors_of(table: pa.Table) -> tuple[str | None, ...]:
    """The column `error` as text."""
    return tuple(None if e is None else str(e) for e in table.column("error").to_pylist())


def open_plain_file(path: Path, *, max_bytes: int) -> IO[bytes]:
    """The file at `path`, refused where it is a link, a pipe, a device or too large.

    Raises:
        OSError: it cannot be opened, or the final part of the path is a link.
        ValueError: it is no plain file, or larger than `max_bytes`.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > max_bytes:
        os.close(handle)
        raise ValueError(f"{path.name} is no plain file of at most {max_bytes:,} bytes")
    return os.fdopen(handle, "rb")


def _read_table(
    stream: IO[bytes], schema: pa.Schema, n_items: int, limit: int, as_dictionary: Sequence[str]
) -> pa.Table:
    with pq.ParquetFile(stream) as file:
        metadata, names = file.metadata, list(file.schema_arrow.names)
    if metadata.num_rows != n_items:
        raise ValueError(f"it has {metadata.num_rows} rows for {n_items} items")
    if names != schema.names:
        raise ValueError("it has other columns than asked for")
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > 4 * limit:
        raise ValueError("it unpacks to too many bytes")
    counts = [group.column(at).num_values for group in groups for at in range(group.num_columns)]
    if max(counts, default=0) > limit:
        raise ValueError("its lists hold too many values")
    stream.seek(0)
    return pq.ParquetFile(stream, read_dictionary=list(as_dictionary)).read()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
