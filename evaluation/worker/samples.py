"""The per-sample file of a run: what the job answered, beside what is right."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.actions.records import SampleFile
from ml_core.data.labels import Truth
from ml_core.data.predictions import MISSING, Predictions

COLUMNS = ["item_id", "target", "prediction", "correct", "probabilities", "truncated", "error"]


def write_samples(predictions: Predictions, truth: Truth, path: Path) -> SampleFile:
    """Writes one row an item, in the data set's order; the label order is in the metadata.

    `correct` is null where there is no prediction.
    """
    labels = truth.labels
    answered = [int(at) for at in predictions.label_index]
    right = [int(at) for at in truth.label_index]
    pairs = list(zip(answered, right, strict=True))
    table = pa.table(
        {
            "item_id": pa.array(truth.item_ids, pa.string()),
            "target": pa.array([labels[at] for at in right], pa.string()),
            "prediction": pa.array(
                [None if at == MISSING else labels[at] for at in answered], pa.string()
            ),
            "correct": pa.array([None if a == MISSING else a == t for a, t in pairs], pa.bool_()),
            "probabilities": pa.array(
                [
                    None if at == MISSING else row
                    for at, row in zip(answered, predictions.probabilities.tolist(), strict=True)
                ],
                pa.list_(pa.float32()),
            ),
            "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
            "error": pa.array(predictions.errors, pa.string()),
        }
    )
    metadata = {"labels": json.dumps(labels, ensure_ascii=False)}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
    return SampleFile(sha256_of(path), path.stat().st_size, table.num_rows, COLUMNS)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def items_digest(truth: Truth) -> str:
    """SHA-256 over the item ids in order: two runs with the same value saw the same items."""
    return hashlib.sha256("\n".join(truth.item_ids).encode()).hexdigest()
