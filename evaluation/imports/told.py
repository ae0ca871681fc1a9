"""What is taken from a log, whichever program wrote it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hub.storable import storable_text

MAX_TASKS = 200
MAX_SCORES = 100
MAX_TEXT = 200


class LogUnreadable(ValueError):
    """The file is no log that can be read; the text says why, for whoever sent it."""


@dataclass(frozen=True)
class LoggedScore:
    """One number, called as its program calls it; `se` is None where it gave none."""

    name: str
    value: float
    se: float | None = None


@dataclass(frozen=True)
class LoggedTask:
    name: str
    dataset: str
    n: int | None
    scores: tuple[LoggedScore, ...]


@dataclass(frozen=True)
class Logged:
    """`program` is `lm-eval` or `inspect-ai`; `model` what the log calls the model."""

    program: str
    version: str
    model: str
    created: str
    tasks: tuple[LoggedTask, ...]


def number(value: Any) -> float | None:  # JSON of anyone's
    """A finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def count(value: Any) -> int | None:  # JSON of anyone's
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_count else None


def text(value: Any) -> str:  # JSON of anyone's
    """A short line; empty for what is none."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return ""
    return storable_text(" ".join(str(value).split()))[:MAX_TEXT]


def mapping(value: Any) -> dict[str, Any]:  # JSON of anyone's
    return value if isinstance(value, dict) else {}
