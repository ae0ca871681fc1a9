"""Per-sample predictions: what a job writes for each item, and reading that back without trust."""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_core.arrays import Ints
from ml_core.errors import Code, PlatformError
from ml_core.results import PredictionsFile

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("prediction", pa.string()),
        ("probabilities", pa.list_(pa.float32())),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
LABELS_KEY = b"labels"
MISSING = -1
OVERHEAD_BYTES = 1 << 20
ITEM_BYTES = 4096


@dataclass(frozen=True)
class Predictions:
    """One row an item, in the order of the data set.

    `label_index` is the predicted label's number, `MISSING` where there is none; `probabilities`
    has shape `(n, n_labels)`, rows of NaN where there are none; `errors` says why.
    """

    item_ids: tuple[str, ...]
    labels: tuple[str, ...]
    label_index: Ints
    probabilities: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return int((self.label_index == MISSING).sum())


def write_predictions(predictions: Predictions, path: Path) -> PredictionsFile:
    """Write `predictions` as parquet; the label order is in the file's metadata."""
    names = [None if at == MISSING else predictions.labels[at] for at in predictions.label_index]
    absent = predictions.label_index == MISSING
    rows, width = predictions.probabilities.shape
    lengths = np.where(absent, 0, width)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = predictions.probabilities[~absent].ravel()
    lists = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values, pa.float32()), mask=pa.array(absent)
    )
    columns = [predictions.item_ids, names, lists, predictions.truncated, predictions.errors]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, kind)
        for column, kind in zip(columns, SCHEMA.types, strict=True)
    ]
    metadata = {LABELS_KEY: json.dumps(predictions.labels, ensure_ascii=False)}
    table = pa.Table.from_arrays(arrays, schema=SCHEMA).replace_schema_metadata(metadata)
    pq.write_table(table, path, compression="zstd")
    return PredictionsFile(path.name, _sha256(path), path.stat().st_size, rows)


def read_predictions(path: Path, item_ids: Sequence[str], labels: tuple[str, ...]) -> Predictions:
    """The predictions in a file that a caged child wrote, in the order of `item_ids`.

    Nothing in the file is believed: size, columns, ids, label names and probabilities are checked
    against what was asked for.

    Raises:
        PlatformError: `result_invalid`.
    """
    limit = OVERHEAD_BYTES + len(item_ids) * (ITEM_BYTES + 8 * len(labels))
    try:
        with open_plain_file(path, max_bytes=limit) as stream:
            table = _read_table(stream, len(item_ids), limit)
        return _checked(table, tuple(item_ids), labels)
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        message = f"The job's predictions cannot be used: {error}"
        raise PlatformError(Code.RESULT_INVALID, message) from error


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


def _read_table(stream: IO[bytes], n_items: int, limit: int) -> pa.Table:
    with pq.ParquetFile(stream) as file:
        metadata, names = file.metadata, list(file.schema_arrow.names)
    if metadata.num_rows != n_items:
        raise ValueError(f"it has {metadata.num_rows} rows for {n_items} items")
    if names != SCHEMA.names:
        raise ValueError("it has other columns than asked for")
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > 4 * limit:
        raise ValueError("it unpacks to too many bytes")
    stream.seek(0)
    return pq.ParquetFile(stream, read_dictionary=["item_id", "prediction", "error"]).read()


def _checked(table: pa.Table, item_ids: tuple[str, ...], labels: tuple[str, ...]) -> Predictions:
    found = [str(value) for value in table.column("item_id").to_pylist()]
    places = {item: at for at, item in enumerate(found)}
    if len(places) != len(found) or set(places) != set(item_ids):
        raise ValueError("its item ids are not those asked for, each once")
    table = table.take(pa.array([places[item] for item in item_ids], pa.int64()))
    numbers: dict[str | None, int] = {name: at for at, name in enumerate(labels)}
    numbers[None] = MISSING
    names = table.column("prediction").to_pylist()
    strange = [name for name in names if name not in numbers]
    if strange:
        raise ValueError(f"it predicts {strange[0]!r}, which is no label")
    index = np.array([numbers[name] for name in names], dtype=np.int64)
    truncated = np.array([bool(v) for v in table.column("truncated").to_pylist()], dtype=np.bool_)
    errors = tuple(None if e is None else str(e) for e in table.column("error").to_pylist())
    probabilities = _probabilities(table.column("probabilities"), index, len(labels))
    return Predictions(item_ids, labels, index, probabilities, truncated, errors)


def _probabilities(column: pa.ChunkedArray, index: Ints, width: int) -> NDArray[np.float32]:
    """Dense rows; a predicted item must have `width` finite values, its prediction the largest."""
    answered = index != MISSING
    rows = np.full((len(index), width), np.nan, dtype=np.float32)
    lists = column.filter(pa.array(answered)).cast(SCHEMA.field("probabilities").type)
    lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if lengths not in ([], [width]):
        raise ValueError("a row has another number of probabilities than there are labels")
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False).reshape(-1, width)
    if not np.isfinite(values).all():
        raise ValueError("a probability is no number")
    if (values.argmax(axis=1) != index[answered]).any():
        raise ValueError("a prediction is not the label of the largest probability")
    rows[answered] = values
    return rows


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
