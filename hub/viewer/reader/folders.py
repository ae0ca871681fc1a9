"""Folders of pictures or sounds: a row a file, with labels from folders or columns from metadata.

Source: the ImageFolder and AudioFolder rules of the `datasets` library.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from hub.viewer.reader.delimited import DelimitedTable
from hub.viewer.reader.errors import ReadError, Retype
from hub.viewer.reader.jobs import DataFile
from hub.viewer.reader.json_lines import open_json
from hub.viewer.reader.source import Files
from hub.viewer.reader.tables import Kinds, MemoryTable, Table

METADATA_NAMES = frozenset({"metadata.csv", "metadata.jsonl"})
MAX_METADATA_BYTES = 32 * 1024 * 1024
MAX_METADATA_ROWS = 200_000


def open_folder(files: Files, kind: str, kinds: Kinds) -> tuple[Table, dict[str, Any]]:
    """The rows, and the features that only the folder itself tells.

    Args:
        kind: "image" or "audio": what the files are, and the name of their column.
    """
    paths = [file.path for file in files.listed if not is_metadata(file.path)]
    columns: dict[str, pa.Array] = {
        kind: pa.array([{"path": path} for path in paths], pa.struct([("path", pa.string())]))
    }
    features: dict[str, Any] = {kind: {"_type": kind.capitalize()}}
    rows = _metadata_rows(files, kinds)
    if rows is not None:
        columns |= _columns_of(rows, paths, taken=kind)
    elif names := _labels(paths):
        columns["label"] = pa.array([names.index(PurePosixPath(p).parent.name) for p in paths])
        features["label"] = {"_type": "ClassLabel", "names": names}
    return MemoryTable(pa.table(columns)), features


def is_metadata(path: str) -> bool:
    return PurePosixPath(path).name in METADATA_NAMES


def _labels(paths: list[str]) -> list[str] | None:
    """Names of the folders that hold the files, where that tells two kinds apart."""
    parents = {PurePosixPath(path).parent for path in paths}
    names = sorted({parent.name for parent in parents})
    return names if len(names) > 1 and len({len(p.parts) for p in parents}) == 1 else None


def _metadata_rows(files: Files, kinds: Kinds) -> dict[str, dict[str, Any]] | None:
    """Metadata by the path of the file it speaks of; None where there is no such file."""
    found: dict[str, dict[str, Any]] | None = None
    for file in files.listed:
        if not is_metadata(file.path):
            continue
        found = {} if found is None else found
        folder = PurePosixPath(file.path).parent
        for row in _read_metadata(files, file, kinds):
            found[str(folder / str(row.pop("file_name")))] = row
    return found


def _read_metadata(files: Files, file: DataFile, kinds: Kinds) -> list[dict[str, Any]]:
    if file.size_bytes > MAX_METADATA_BYTES:
        raise ReadError("DocumentTooLarge", f"{file.path} is too large to be read whole.")
    alone = files.only(files.listed.index(file))
    is_csv = file.path.endswith(".csv")
    table = DelimitedTable(alone, ",", kinds) if is_csv else open_json(alone, kinds)
    if "file_name" not in table.schema.names:
        text = f"{file.path} has no column “file_name”, which says what file a row is about."
        raise ReadError("NoFileName", text, path=file.path)
    rows: list[dict[str, Any]] = []
    for batch in table.batches(table.schema.names):
        rows += batch.rows.to_pylist()
        if len(rows) > MAX_METADATA_ROWS:
            raise ReadError("DocumentTooLarge", f"{file.path} has too many rows to be read whole.")
    return rows


def _columns_of(
    rows: dict[str, dict[str, Any]], paths: list[str], *, taken: str
) -> dict[str, pa.Array]:
    names = dict.fromkeys(name for row in rows.values() for name in row if name != taken)
    columns = {}
    for name in names:
        values = [rows.get(path, {}).get(name) for path in paths]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise Retype(name, "text") from None
    return columns
