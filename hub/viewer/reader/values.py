"""Values of a table as JSON, cut where they are long."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
import uuid
from typing import Any

MAX_DEPTH = 60


def encode_cell(value: Any, limit_chars: int) -> tuple[Any, bool]:
    """The value as JSON, and whether it was cut.

    A long text loses its end; of a long nested value the beginning of its JSON text is given.
    Numbers that JSON does not know are the words "NaN", "Infinity" and "-Infinity".
    """
    if isinstance(value, str):
        return _cut(value, limit_chars)
    if isinstance(value, bytes):
        text, was_cut = _cut(base64.b64encode(value[:limit_chars]).decode(), limit_chars)
        return text, was_cut or len(value) > limit_chars
    plain = to_json(value)
    if isinstance(plain, list | dict):
        text = json.dumps(plain, ensure_ascii=False)
        return (plain, False) if len(text) <= limit_chars else _cut(text, limit_chars)
    return plain, False


def _cut(text: str, limit_chars: int) -> tuple[str, bool]:
    return (text, False) if len(text) <= limit_chars else (text[:limit_chars], True)


def to_json(value: Any, depth: int = 0) -> Any:
    """Any value of Arrow's as JSON; bytes inside a nested value are given by their number."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _unusual(value)
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): to_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta | decimal.Decimal | uuid.UUID):
        return str(value)
    return str(value)[:1000]


def _unusual(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
