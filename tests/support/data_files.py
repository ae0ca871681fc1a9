"""Data files as people upload them, made in memory."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def parquet(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def parquet_of(columns: dict[str, Any], features: dict[str, Any]) -> bytes:
    """With the features that the `datasets` library writes beside the schema."""
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return parquet(pa.table(columns).replace_schema_metadata(metadata))


def json_lines(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def png(width: int = 2, height: int = 2, *, claims: tuple[int, int] | None = None) -> bytes:
    """A grey picture; `claims` is what its header says instead."""
    return _grey_png(*(claims or (width, height)), [b"\x80" * width] * height)


def _grey_png(width: int, height: int, lines: Sequence[bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    parts = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def wav(n_samples: int = 8) -> bytes:
    """Silence at 8 kHz, one byte a sample."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = struct.pack("<4sI", b"data", n_samples) + b"\x80" * n_samples
    return struct.pack("<4sI", b"RIFF", 4 + len(form) + len(body)) + b"WAVE" + form + body


def segmented(width: int, height: int) -> bytes:
    """A mask of a 0 above and a 1 below, whose last line says nothing."""
    lines = [b"\0" * width] * (height // 2) + [b"\1" * width] * (height - height // 2 - 1)
    return _grey_png(width, height, [*lines, b"\xff" * width])
