"""A page of rows: plain, searched, filtered or in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.viewer.reader import matching
from hub.viewer.reader.errors import ReadError
from hub.viewer.reader.features import Feature, media_kind
from hub.viewer.reader.filters import Condition, Order, columns_of, parse_order, parse_where
from hub.viewer.reader.jobs import Job
from hub.viewer.reader.media import HEAD_BYTES, sniff
from hub.viewer.reader.pruning import beyond_first, without_match
from hub.viewer.reader.source import Files
from hub.viewer.reader.tables import Table
from hub.viewer.reader.values import encode_cell

COUNT_BELOW_BYTES = 16 * 1024 * 1024
"""Files up to this size are read to their end to count their rows."""
FETCH_TIMES = 5
"""How much more may be read to fetch what was found than to find it."""
MAX_SORT_ROWS = 2_000_000
SORT_CHARS = 200
FIRST_HEAD_BYTES = 4096
MIN_CELL_CHARS = 64


@dataclass(frozen=True)
class Found:
    """Numbers of the rows of a page in order, how many match in all, and how far we looked."""

    numbers: list[int]
    total: int | None
    scanned_rows: int
    is_complete: bool


@dataclass(frozen=True)
class Question:
    """What a job asks of the rows, parsed."""

    words: str
    condition: Condition | None
    order: Order | None

    @classmethod
    def of(cls, job: Job, table: Table) -> Question:
        """Raises `ReadError` for what cannot be parsed, or names a column that is not there."""
        order = parse_order(job.order_by)
        question = cls(job.query.strip(), parse_where(job.where), order)
        known = set(table.schema.names)
        for name in [*columns_of(question.condition), *([order.column] if order else [])]:
            if name not in known:
                raise no_such_column(name, table)
        return question

    def is_plain(self) -> bool:
        return not self.words and self.condition is None and self.order is None

    def is_order_alone(self) -> bool:
        """All rows, put in order."""
        return self.order is not None and not self.words and self.condition is None

    def columns(self, table: Table) -> list[str]:
        """The columns that must be read to answer it."""
        names = columns_of(self.condition) + ([self.order.column] if self.order else [])
        if self.words:
            names += [
                field.name
                for field in table.schema
                if matching.is_text(field.type) or pa.types.is_dictionary(field.type)
            ]
        return list(dict.fromkeys(names))


def read_rows(job: Job, table: Table, features: dict[str, Feature], files: Files) -> dict[str, Any]:
    """The page that `job` wants, as JSON."""
    columns = _wanted_columns(job, table)
    question = Question.of(job, table)
    if question.is_plain():
        numbers = list(range(job.offset, job.offset + job.length))
        picked = table.pick(numbers, columns, files.budget)
        numbers = numbers[: picked.num_rows]
        _count(table, files)
        found = Found(numbers, table.num_rows, 0, is_complete=table.num_rows is not None)
    else:
        found = _find(job, table, question, features, files)
        files.budget.renew(FETCH_TIMES)
        picked = table.pick(sorted(found.numbers), columns, files.budget)
        picked = picked.take(pa.array(np.argsort(np.argsort(found.numbers)), pa.int64()))
    return _answer(job, table, features, found, picked, files)


def no_such_column(name: str, table: Table) -> ReadError:
    known = ", ".join(table.schema.names[:30])[:500]
    text = f"There is no column “{name[:80]}”. The columns are: {known}."
    return ReadError("ColumnNotFound", text, column=name[:80])


def _wanted_columns(job: Job, table: Table) -> list[str]:
    for name in job.columns or []:
        if name not in table.schema.names:
            raise no_such_column(name, table)
    return table.schema.names if job.columns is None else list(dict.fromkeys(job.columns))


def _count(table: Table, files: Files) -> None:
    """Reads small files to their end, after which their number of rows is known."""
    is_small = sum(file.size_bytes for file in files.listed) <= COUNT_BELOW_BYTES
    if table.num_rows is None and is_small:
        for _ in table.batches(table.schema.names[:1]):
            if files.budget.is_spent():
                return


def _find(
    job: Job, table: Table, question: Question, features: dict[str, Feature], files: Files
) -> Found:
    """Goes through the rows until the end or until the budget is spent."""
    numbers: list[pa.Array] = []
    keys: list[pa.Array] = []
    scanned, matched, is_complete = 0, 0, True
    end = job.offset + job.length
    skipped = _irrelevant(question, table, features, end)
    for start, rows in table.batches(question.columns(table), without=skipped):
        mask = _mask(question, rows, features)
        hits = pa.array(np.flatnonzero(mask.to_numpy(zero_copy_only=False)) + start)
        scanned = start + len(rows)
        matched += len(hits)
        if question.order is not None:
            keys.append(_sort_key(rows.column(question.order.column)).filter(mask))
            numbers.append(hits)
        elif sum(map(len, numbers)) < end:
            numbers.append(hits)
        if files.budget.is_spent() or (question.order and matched > MAX_SORT_ROWS):
            is_complete = table.num_rows == scanned
            break
    else:
        scanned = table.num_rows or scanned
    if question.is_order_alone():
        matched = scanned
    page = _in_order(question.order, numbers, keys)[job.offset : end]
    return Found(page.to_pylist(), matched, scanned, is_complete)


def _irrelevant(
    question: Question, table: Table, features: dict[str, Feature], end: int
) -> frozenset[int]:
    """Stretches of the table that need not be read: nothing in them matches, or they lie behind
    the page in an order of all rows."""
    if question.condition is not None:
        names = columns_of(question.condition)
        schema = table.subschema(names)
        empty = pa.RecordBatch.from_arrays(
            [pa.nulls(0, field.type) for field in schema], schema=schema
        )
        matching.condition_mask(question.condition, empty, features)  # raises what is to be said
        return without_match(table.stretches(), question.condition, features)
    if question.order is not None and question.is_order_alone():
        return beyond_first(table.stretches(), question.order, end)
    return frozenset()


def _mask(question: Question, rows: pa.RecordBatch, features: dict[str, Feature]) -> pa.Array:
    mask: Any = pa.array(np.ones(len(rows), bool))
    if question.words:
        mask = matching.search_mask(rows, question.words)
    if question.condition is not None:
        mask = pc.and_(mask, matching.condition_mask(question.condition, rows, features))
    return mask


def _sort_key(column: pa.Array) -> pa.Array:
    column = matching.plain(column)
    if matching.is_text(column.type):
        return pc.utf8_slice_codeunits(column, 0, SORT_CHARS)
    if pa.types.is_nested(column.type):
        raise ReadError("BadFilter", "Rows cannot be put in the order of nested values.")
    return column


def _in_order(order: Order | None, numbers: list[pa.Array], keys: list[pa.Array]) -> pa.Array:
    """Row numbers as asked for; ties and nulls keep the order of the file, nulls last."""
    if not numbers:
        return pa.array([], pa.int64())
    rows = pa.chunked_array(numbers)
    if order is not None:
        direction = "descending" if order.is_descending else "ascending"
        table = pa.table({"key": pa.chunked_array(keys), "row": rows})
        by = [("key", direction), ("row", "ascending")]
        rows = rows.take(pc.sort_indices(table, sort_keys=by))
    return rows


def _answer(
    job: Job,
    table: Table,
    features: dict[str, Feature],
    found: Found,
    picked: pa.Table,
    files: Files,
) -> dict[str, Any]:
    n_cells = max(1, picked.num_rows * picked.num_columns)
    limit = min(job.limits.cell_chars, max(MIN_CELL_CHARS, job.limits.answer_bytes // 2 // n_cells))
    rows: list[dict[str, Any]] = [
        {"row_idx": number, "row": {}, "truncated_cells": []} for number in found.numbers
    ]
    for name in picked.column_names:
        kind = media_kind(features[name])
        for row, value in zip(rows, picked.column(name).to_pylist(), strict=True):
            if kind is not None:
                row["row"][name] = _media_cell(value, row["row_idx"], files)
                continue
            row["row"][name], was_cut = encode_cell(value, limit)
            if was_cut:
                row["truncated_cells"].append(name)
    _check_size(rows, job)
    return {
        "features": [
            {"feature_idx": i, "name": name, "type": features[name]}
            for i, name in enumerate(picked.column_names)
        ],
        "rows": rows,
        "columns": table.schema.names,
        "num_rows_total": found.total,
        "num_rows_per_page": 100,
        "partial": not found.is_complete,
        "scanned_rows": found.scanned_rows,
        "scanned_bytes": files.budget.bytes_read,
    }


def _check_size(rows: list[dict[str, Any]], job: Job) -> None:
    if len(json.dumps(rows, ensure_ascii=False)) > job.limits.answer_bytes:
        limit_mb = job.limits.answer_bytes // 1_000_000
        text = f"The answer would be larger than {limit_mb} MB. Ask for fewer rows or columns."
        raise ReadError("AnswerTooLarge", text)


def _media_cell(value: Any, number: int, files: Files) -> dict[str, Any] | None:
    """What is known of a picture or sound: the file it is, or the row that holds its bytes."""
    if value is None:
        return None
    path = value.get("path") if isinstance(value, dict) else None
    listed = {file.path: i for i, file in enumerate(files.listed)}
    if path not in listed:
        return {"row": number, "width": None, "height": None, "problem": None}
    return {"file": path, **_look_at(files, listed[path])}


def _look_at(files: Files, number: int) -> dict[str, Any]:
    """Size in pixels, and why it is not shown where it is not."""
    size = files.listed[number].size_bytes
    if size == 0:
        return describe_media(b"", 0)
    facts = describe_media(files.read(number, 0, min(size, FIRST_HEAD_BYTES)), size)
    is_unclear = facts["content_type"] == "image/jpeg" and facts["width"] is None
    if is_unclear and size > FIRST_HEAD_BYTES:
        facts = describe_media(files.read(number, 0, min(size, HEAD_BYTES)), size)
    return facts


def describe_media(head: bytes | bytearray, size_bytes: int) -> dict[str, Any]:
    """`content_type`, `width`, `height`, and as `problem` "empty", "unknown" or "too_large"."""
    media = sniff(bytes(head))
    problem = None
    if size_bytes == 0:
        problem = "empty"
    elif media is None:
        problem = "unknown"
    elif media.is_too_large:
        problem = "too_large"
    return {
        "content_type": media.content_type if media else None,
        "width": media.width if media else None,
        "height": media.height if media else None,
        "problem": problem,
    }
