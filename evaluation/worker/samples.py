"""The per-sample file of a run: what the job answered, beside what is right."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.actions.records import SampleFile
from ml_core.data.roles import ID_ROLE
from ml_core.data.rows import sha256_of

INPUT_COLUMN = "input_sha256"
BATCH_ROWS = 512


def write_samples(table: pa.Table, path: Path) -> SampleFile:
    """Writes the rows that an answer kind made, one an item."""
    pq.write_table(table, path, compression="zstd")
    return SampleFile(
        sha256_of(path), path.stat().st_size, table.num_rows, list(table.column_names)
    )


def with_inputs(table: pa.Table, digests: list[str]) -> pa.Table:
    """The rows with the digest of what the model was given for each; `digests` in their order."""
    return table.append_column(INPUT_COLUMN, pa.array(digests, pa.string()))


def input_digests(path: Path) -> list[str]:
    """SHA-256 of each row of a job's inputs as JSON; bytes stand there as their own SHA-256."""
    found = []
    with pq.ParquetFile(path) as file:
        columns = [name for name in file.schema_arrow.names if name != ID_ROLE]
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=_as_text)
                found.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    return found


def _as_text(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
