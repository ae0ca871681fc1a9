"""Applies conditions, search and order to batches of rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from hub.viewer.reader.errors import ReadError
from hub.viewer.reader.features import Feature, label_names
from hub.viewer.reader.filters import (
    Both,
    Compare,
    Condition,
    Either,
    IsNull,
    Literal,
    Not,
    describe,
)

_COMPARE = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def plain(array: pa.Array) -> pa.Array:
    """The array without dictionary, and views as plain strings."""
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_string()) if pt.is_string_view(array.type) else array


def search_mask(batch: pa.RecordBatch, words: str) -> pa.Array:
    """Rows in which some text column contains `words`, in any case."""
    found: Any = pa.array([False] * len(batch))
    for column in map(plain, batch.columns):
        if is_text(column.type):
            hits = pc.match_substring(column, words, ignore_case=True)
            found = pc.or_(found, pc.fill_null(hits, False))
    return found


def condition_mask(
    condition: Condition, batch: pa.RecordBatch, features: dict[str, Feature]
) -> pa.Array:
    """Rows for which the condition is true; unknown (a null compared) is not.

    Raises:
        ReadError: `BadFilter`, where a value does not fit its column.
    """
    return pc.fill_null(_evaluate(condition, batch, features), False)


def _evaluate(
    condition: Condition, batch: pa.RecordBatch, features: dict[str, Feature]
) -> pa.Array:
    if isinstance(condition, IsNull):
        return pc.is_null(batch.column(condition.column))
    if isinstance(condition, Not):
        return pc.invert(_evaluate(condition.term, batch, features))
    if isinstance(condition, Both | Either):
        join = pc.and_kleene if isinstance(condition, Both) else pc.or_kleene
        left = _evaluate(condition.left, batch, features)
        return join(left, _evaluate(condition.right, batch, features))
    return _compare(condition, plain(batch.column(condition.column)), features)


def _compare(condition: Compare, column: pa.Array, features: dict[str, Feature]) -> pa.Array:
    names = label_names(features.get(condition.column))
    if condition.operator in {"LIKE", "ILIKE"}:
        if not is_text(column.type):
            raise _does_not_fit(condition.column, "text", condition.values[0])
        pattern = str(condition.values[0])
        return pc.match_like(column, pattern, ignore_case=condition.operator == "ILIKE")
    if condition.operator == "IN":
        found = None
        for value in condition.values:
            hit = _single(condition.column, "=", column, value, names)
            found = hit if found is None else pc.or_kleene(found, hit)
        return found
    return _single(condition.column, condition.operator, column, condition.values[0], names)


def _single(
    name: str, operator: str, column: pa.Array, value: Literal, names: list[str] | None
) -> pa.Array:
    if names is not None and isinstance(value, str):
        value = _label_number(name, value, names)
    column, scalar = _fitting(name, column, value)
    return _COMPARE[operator](column, scalar)


def _label_number(column: str, value: str, names: list[str]) -> int:
    if value not in names:
        text = f"“{column}” has no label {value[:80]}. Its labels: {', '.join(names[:30])[:500]}."
        raise ReadError("BadFilter", text, column=column)
    return names.index(value)


def _fitting(name: str, column: pa.Array, value: Literal) -> tuple[pa.Array, pa.Scalar]:
    """Column and value in one type. Raises `ReadError` where there is none."""
    kind = column.type
    if pt.is_boolean(kind) and isinstance(value, bool):
        return column, pa.scalar(value)
    if is_text(kind) and isinstance(value, str):
        return column, pa.scalar(value, kind)
    if pt.is_integer(kind) and isinstance(value, int) and not isinstance(value, bool):
        if pt.is_uint64(kind):
            return column.cast(pa.float64(), safe=False), pa.scalar(float(value))
        return column.cast(pa.int64()), pa.scalar(value, pa.int64())
    if _is_number(kind) and isinstance(value, int | float) and not isinstance(value, bool):
        return column.cast(pa.float64(), safe=False), pa.scalar(float(value))
    if pt.is_temporal(kind) and isinstance(value, str):
        try:
            return column, pa.scalar(value).cast(kind)
        except pa.ArrowInvalid:
            raise _does_not_fit(name, "dates or times such as '2026-01-31'", value) from None
    raise _does_not_fit(name, _holds(kind), value)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def _holds(kind: pa.DataType) -> str:
    if is_text(kind):
        return "text"
    if pt.is_boolean(kind):
        return "true and false"
    if _is_number(kind):
        return "numbers"
    if pt.is_temporal(kind):
        return "dates or times"
    return "nested values, which can only be asked for IS NULL"


def _does_not_fit(column: str, holds: str, value: Literal) -> ReadError:
    text = f"The column “{column}” holds {holds}; {describe(value)} cannot be compared with that."
    return ReadError("BadFilter", text, column=column)
