"""What a reader does with its one job."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from hub.viewer.reader import wire
from hub.viewer.reader.delimited import DelimitedTable
from hub.viewer.reader.errors import ReadError, Retype
from hub.viewer.reader.features import Feature, features_of, media_kind
from hub.viewer.reader.folders import is_metadata, open_folder
from hub.viewer.reader.jobs import Job
from hub.viewer.reader.json_lines import TextTable, open_json
from hub.viewer.reader.parquet import ParquetTable
from hub.viewer.reader.rows import describe_media, no_such_column, read_rows
from hub.viewer.reader.source import Budget, Files
from hub.viewer.reader.statistics import read_statistics
from hub.viewer.reader.tables import Kinds, Table

MAX_RETYPES = 40
MAX_MEDIA_BYTES = 64 * 1024 * 1024
"""Pictures and sounds that one answer carries; a single larger one is not shown."""


def do_job(job: Job, sock: socket.socket) -> None:
    """Answers `job`."""
    files = Files(sock, job.files, Budget(job.limits))
    files.finish(*_frame(job, files))


def _frame(job: Job, files: Files) -> tuple[bytes, bytes]:
    try:
        return wire.ANSWER, _answer(job, files)
    except ReadError as error:
        return wire.ERROR, wire.pack_error(error)
    except (pa.ArrowMemoryError, MemoryError):
        text = "These rows need more memory than the viewer has."
        return wire.ERROR, wire.pack_error(ReadError("OutOfMemory", text))
    except (pa.ArrowException, OSError, EOFError, UnicodeError, ValueError, OverflowError) as error:
        return wire.ERROR, wire.pack_error(_broken(job, error))


def _answer(job: Job, files: Files) -> bytes:
    """Reads anew with a column as text each time that its values deceived."""
    kinds: Kinds = {}
    for _ in range(MAX_RETYPES):
        try:
            table, features = _open(job, files, kinds)
            return _VERBS[job.verb](job, table, features, files)
        except Retype as wish:
            kinds[wish.column] = wish.kind
    raise ReadError("BrokenFile", "Too many columns hold values of more than one kind.")


def _open(job: Job, files: Files, kinds: Kinds) -> tuple[Table, dict[str, Feature]]:
    declared = dict(job.declared)
    if job.format == "parquet":
        parquet = ParquetTable(files, declared, with_media=job.verb == "media")
        return parquet, parquet.features
    if job.format in {"csv", "tsv"}:
        table: Table = DelimitedTable(files, "\t" if job.format == "tsv" else ",", kinds)
    elif job.format == "json":
        table = open_json(files, kinds)
    elif job.format == "text":
        table = TextTable(files)
    else:
        table, own = open_folder(files, job.format.removesuffix("folder"), kinds)
        declared = own | declared
    return table, features_of(table.schema, declared)


def _rows(job: Job, table: Table, features: dict[str, Feature], files: Files) -> bytes:
    return wire.pack_answer(read_rows(job, table, features, files))


def _statistics(job: Job, table: Table, features: dict[str, Feature], files: Files) -> bytes:
    return wire.pack_answer(read_statistics(job, table, features, files))


def _media(job: Job, table: Table, features: dict[str, Feature], files: Files) -> bytes:
    """The bytes of one column of pictures or sounds, one behind the other."""
    if job.column not in table.schema.names:
        raise no_such_column(job.column, table)
    if media_kind(features[job.column]) is None:
        text = f"The column “{job.column[:80]}” holds neither pictures nor sounds."
        raise ReadError("NoMedia", text)
    numbers = list(range(job.offset, job.offset + job.length))
    picked = table.pick(numbers, [job.column], files.budget)
    items, tail = [], bytearray()
    for value in picked.column(job.column).to_pylist():
        data = value.get("bytes") if isinstance(value, dict) else value
        data = data if isinstance(data, bytes) else b""
        facts = describe_media(data, len(data))
        if facts["problem"] is None and len(tail) + len(data) > MAX_MEDIA_BYTES:
            facts["problem"] = "left_out" if tail else "too_large"
        kept = data if facts["problem"] is None else b""
        items.append({**facts, "start": len(tail), "end": len(tail) + len(kept)})
        tail += kept
    return wire.pack_answer({"items": items}, bytes(tail))


def _broken(job: Job, error: Exception) -> ReadError:
    names = [file.path for file in job.files if not is_metadata(file.path)]
    where = names[0] if len(names) == 1 else f"One of {', '.join(names[:3])}"[:300]
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return ReadError("BrokenFile", f"{where} cannot be read: {reason}")


_VERBS: dict[str, Callable[[Job, Table, dict[str, Any], Files], bytes]] = {
    "rows": _rows,
    "statistics": _statistics,
    "media": _media,
}
