"""Which stretches of rows cannot matter to a question, told from the bounds that a file states.

Bounds may lie wide of the values, never inside them. What is not surely irrelevant is read. A file
whose bounds are false hides rows of its own from filters, and nothing else.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.types as pt

from hub.viewer.reader.features import Feature, label_names
from hub.viewer.reader.filters import Both, Compare, Condition, Either, IsNull, Literal, Not, Order


@dataclass(frozen=True)
class Bounds:
    """Of one column in a stretch: no value lies outside [low, high]; None where that is unknown."""

    kind: pa.DataType
    low: Any
    high: Any
    n_nulls: int | None


class Stretch(NamedTuple):
    """The rows [start, stop), and what is known of each column in them."""

    start: int
    stop: int
    bounds: Callable[[str], Bounds | None]


class Outcomes(NamedTuple):
    """Whether a condition can be true, and whether it can be false, of some row."""

    can_hold: bool
    can_fail: bool


_UNKNOWN = Outcomes(can_hold=True, can_fail=True)


def without_match(
    stretches: Iterable[Stretch], condition: Condition, features: dict[str, Feature]
) -> frozenset[int]:
    """The starts of the stretches in which the condition holds for no row."""
    return frozenset(
        one.start for one in stretches if not _outcomes(condition, one, features).can_hold
    )


def beyond_first(stretches: Sequence[Stretch], order: Order, n_first: int) -> frozenset[int]:
    """The starts of the stretches that hold none of the first `n_first` rows in an order."""
    sided = [(one, _sided(one, order)) for one in stretches]
    ends = sorted(
        (far, one.stop - one.start - (n_nulls or 0))
        for one, (_, far, n_nulls) in sided
        if far is not None and n_nulls is not None
    )
    found, limit = 0, None
    for far, n_rows in ends:
        found += n_rows
        if found >= n_first:
            limit = far
            break
    if limit is None:
        return frozenset()
    return frozenset(one.start for one, (near, _, _) in sided if near is not None and near > limit)


def _sided(stretch: Stretch, order: Order) -> tuple[Any, Any, int | None]:
    """The first and the last value that may be there in the order, as numbers; and the nulls."""
    bounds = stretch.bounds(order.column)
    if bounds is None or not _is_number(bounds.kind) or bounds.low is None or bounds.high is None:
        return None, None, None
    if pt.is_floating(bounds.kind):
        return None, None, None  # NaN is outside the bounds and has its place in the order
    low, high = bounds.low, bounds.high
    near, far = (-high, -low) if order.is_descending else (low, high)
    return near, far, bounds.n_nulls


def _outcomes(condition: Condition, stretch: Stretch, features: dict[str, Feature]) -> Outcomes:
    if isinstance(condition, Not):
        inner = _outcomes(condition.term, stretch, features)
        return Outcomes(inner.can_fail, inner.can_hold)
    if isinstance(condition, Both | Either):
        left = _outcomes(condition.left, stretch, features)
        right = _outcomes(condition.right, stretch, features)
        if isinstance(condition, Both):
            return Outcomes(left.can_hold and right.can_hold, left.can_fail or right.can_fail)
        return Outcomes(left.can_hold or right.can_hold, left.can_fail and right.can_fail)
    bounds = stretch.bounds(condition.column)
    if bounds is None:
        return _UNKNOWN
    n_rows = stretch.stop - stretch.start
    if isinstance(condition, IsNull):
        if bounds.n_nulls is None:
            return _UNKNOWN
        return Outcomes(bounds.n_nulls > 0, bounds.n_nulls < n_rows)
    if bounds.n_nulls == n_rows:
        return Outcomes(can_hold=False, can_fail=False)
    return _of_compare(condition, bounds, label_names(features.get(condition.column)))


def _of_compare(condition: Compare, bounds: Bounds, names: list[str] | None) -> Outcomes:
    if condition.operator in {"LIKE", "ILIKE"} or bounds.low is None or bounds.high is None:
        return _UNKNOWN
    operator = "=" if condition.operator == "IN" else condition.operator
    found = [_single(operator, bounds, value, names) for value in condition.values]
    return Outcomes(
        any(one.can_hold for one in found),
        all(one.can_fail for one in found),
    )


def _single(operator: str, bounds: Bounds, value: Literal, names: list[str] | None) -> Outcomes:
    sides = _comparable(bounds, value, names)
    if sides is None:
        return _UNKNOWN
    low, high, wanted = sides
    has_equal, has_other = low <= wanted <= high, not low == wanted == high
    found = {
        "=": Outcomes(has_equal, has_other),
        "<>": Outcomes(has_other, has_equal),
        "<": Outcomes(low < wanted, high >= wanted),
        "<=": Outcomes(low <= wanted, high > wanted),
        ">": Outcomes(high > wanted, low <= wanted),
        ">=": Outcomes(high >= wanted, low < wanted),
    }[operator]
    if not pt.is_floating(bounds.kind):
        return found
    # NaN lies outside all bounds: it differs from everything and is neither less nor more.
    return Outcomes(found.can_hold or operator == "<>", found.can_fail or operator != "<>")


def _comparable(
    bounds: Bounds, value: Literal, names: list[str] | None
) -> tuple[Any, Any, Any] | None:
    """Bounds and value in one type, rounded as `matching` rounds the rows; None where unsure."""
    kind = bounds.kind
    if names is not None and isinstance(value, str):
        if value not in names:
            return None
        value = names.index(value)
    if isinstance(value, bool):
        return (bounds.low, bounds.high, value) if pt.is_boolean(kind) else None
    if isinstance(value, str):
        is_alike = isinstance(bounds.low, str) and isinstance(bounds.high, str)
        return (bounds.low, bounds.high, value) if is_alike else _of_day(bounds, value)
    if not _is_number(kind):
        return None
    if pt.is_integer(kind) and isinstance(value, int) and not pt.is_uint64(kind):
        return bounds.low, bounds.high, value
    return float(bounds.low), float(bounds.high), float(value)


def _of_day(bounds: Bounds, value: str) -> tuple[Any, Any, Any] | None:
    if not pt.is_date32(bounds.kind):
        return None
    try:
        return bounds.low, bounds.high, dt.date.fromisoformat(value)
    except ValueError:
        return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def stated_bounds(kind: pa.DataType, statistics: Any) -> Bounds | None:  # Any: pyarrow's, untyped
    """What a parquet column chunk says of itself, as far as it can be relied on."""
    if statistics is None:
        return None
    n_nulls = statistics.null_count if statistics.has_null_count else None
    low: Any = None
    high: Any = None
    if statistics.has_min_max:
        try:
            low, high = statistics.min, statistics.max
        except (UnicodeDecodeError, ValueError, OverflowError, pa.ArrowException):
            low = high = None
    if not _is_ordered(low, high):
        low = high = None
    return Bounds(kind, low, high, n_nulls)


def _is_ordered(low: Any, high: Any) -> bool:
    """Whether these are two values of one known type, the lesser first; NaN never is."""
    is_known = isinstance(low, str | bool | int | float | decimal.Decimal | dt.date)
    return is_known and type(low) is type(high) and bool(low <= high)
