"""The per-sample file of a run: what the job answered, beside what is right."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.actions.records import SampleFile
from ml_core.data.rows import sha256_of


def write_samples(table: pa.Table, path: Path) -> SampleFile:
    """Writes the rows that an answer kind made, one an item."""
    pq.write_table(table, path, compression="zstd")
    return SampleFile(
        sha256_of(path), path.stat().st_size, table.num_rows, list(table.column_names)
    )


def items_digest(item_ids: Sequence[str]) -> str:
    """SHA-256 over the item ids in order: two runs with the same value saw the same items."""
    return hashlib.sha256("\n".join(item_ids).encode()).hexdigest()
