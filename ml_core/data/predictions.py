"""Predicted labels: what a job writes for each item, and reading that back without trust."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.arrays import Ints
from ml_core.data.rows import (
    ITEM_BYTES,
    READ_ERRORS,
    errors_of,
    read_rows,
    truncated_of,
    unusable,
    write_rows,
)
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


@dataclass(frozen=True)
class Predictions:
    """One row an item, in the order of the data set.

    `label_index` is the predicted label's number, `MISSING` where there is none; `probabilities`
    has shape `(n, n_labels)`, rows of NaN where there are none, or `(n, 0)` where nobody gave any;
    `errors` says why.
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
    width = predictions.probabilities.shape[1]
    lengths = np.where(absent, 0, width)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = predictions.probabilities[~absent].ravel()
    lists = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values, pa.float32()), mask=pa.array(absent)
    )
    columns = [predictions.item_ids, names, lists, predictions.truncated, predictions.errors]
    metadata = {LABELS_KEY: json.dumps(predictions.labels, ensure_ascii=False)}
    return write_rows(path, SCHEMA, columns, metadata)


def read_predictions(path: Path, item_ids: Sequence[str], labels: tuple[str, ...]) -> Predictions:
    """The predictions in a file that a caged child wrote, in the order of `item_ids`.

    Nothing in the file is believed: size, columns, ids, label names and probabilities are checked
    against what was asked for.

    Raises:
        PlatformError: `result_invalid`.
    """
    try:
        table = read_rows(
            path,
            item_ids,
            SCHEMA,
            max_item_bytes=ITEM_BYTES + 8 * len(labels),
            as_dictionary=("item_id", "prediction", "error"),
        )
        return _checked(table, tuple(item_ids), labels)
    except READ_ERRORS as error:
        raise unusable(error) from error


def _checked(table: pa.Table, item_ids: tuple[str, ...], labels: tuple[str, ...]) -> Predictions:
    numbers: dict[str | None, int] = {name: at for at, name in enumerate(labels)}
    numbers[None] = MISSING
    names = table.column("prediction").to_pylist()
    strange = [name for name in names if name not in numbers]
    if strange:
        raise ValueError(f"it predicts {strange[0]!r}, which is no label")
    index = np.array([numbers[name] for name in names], dtype=np.int64)
    probabilities = _probabilities(table.column("probabilities"), index, len(labels))
    marks = truncated_of(table), errors_of(table)
    return Predictions(item_ids, labels, index, probabilities, *marks)


def _probabilities(column: pa.ChunkedArray, index: Ints, width: int) -> NDArray[np.float32]:
    """Dense rows; a predicted item has `width` finite values, its prediction among the largest."""
    answered = index != MISSING
    rows = np.full((len(index), width), np.nan, dtype=np.float32)
    lists = column.filter(pa.array(answered)).cast(SCHEMA.field("probabilities").type)
    lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if lengths == [0]:
        return np.empty((len(index), 0), dtype=np.float32)
    if lengths not in ([], [width]):
        raise ValueError("a row has another number of probabilities than there are labels")
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False).reshape(-1, width)
    if not np.isfinite(values).all():
        raise ValueError("a probability is no number")
    chosen = np.take_along_axis(values, index[answered][:, None], axis=1)[:, 0]
    if (chosen < values.max(axis=1, initial=0)).any():
        raise ValueError("a prediction is not a label of the largest probability")
    rows[answered] = values
    return rows
