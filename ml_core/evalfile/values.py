"""Reading one value after the other, and collecting what is wrong with them."""

from __future__ import annotations

import difflib
import math
import re
from typing import Any

from ml_core.evalfile.spec import Problem
from ml_core.metrics.registry import Metric


class Values:
    """Collects problems while it reads; each method answers the checked value or None."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, where: str, code: str, **params: Any) -> None:
        self.problems.append(Problem(where, code, params))

    def known(self, data: dict[Any, Any], names: tuple[str, ...], where: str) -> None:
        for key in data:
            if key not in names:
                close = difflib.get_close_matches(str(key), names, n=1)
                self.add(
                    join(where, shown(key)), "unknown_field", suggestion=close[0] if close else ""
                )

    def text(self, data: dict[Any, Any], key: str, where: str, *, limit: int) -> str | None:
        value = data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.add(where, "not_text")
            return None
        if len(value) > limit:
            self.add(where, "too_long", limit=limit)
            return None
        return " ".join(value.split()) if limit <= 150 else value.strip()

    def matching(
        self, data: dict[Any, Any], key: str, where: str, form: re.Pattern[str], *, required: bool
    ) -> str | None:
        value = data.get(key)
        if value is None:
            if required:
                self.add(join(where, key), "missing")
            return None
        if not isinstance(value, str) or not form.match(value) or ".." in value:
            self.add(join(where, key), "bad_name", value=shown(value))
            return None
        return value

    def choice(
        self, data: dict[Any, Any], key: str, where: str, choices: tuple[str, ...]
    ) -> str | None:
        value = data.get(key)
        if value is None:
            self.add(join(where, key), "missing_choice", choices=", ".join(choices))
        elif value not in choices:
            self.add(
                join(where, key), "not_a_choice", value=shown(value), choices=", ".join(choices)
            )
        else:
            return str(value)
        return None

    def value_of(self, metric: Metric | None, value: Any, where: str) -> float | None:
        """A number that the metric can take, a share where there is none."""
        if value is None:
            return None
        low, high = (0.0, 1.0) if metric is None else (metric.low, metric.high)
        is_within = is_number(value) and (low is None or value >= low)
        if not is_within or (high is not None and value > high):
            code = "not_a_share" if (low, high) == (0.0, 1.0) else "not_a_value"
            self.add(where, code, value=shown(value), metric=metric.name if metric else "")
            return None
        return float(value)

    def integer(self, data: dict[Any, Any], key: str, where: str, *, high: int) -> int | None:
        """A whole number from 1 to `high`; None where nothing is said."""
        value = data.get(key)
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= high:
            self.add(join(where, key), "not_a_count", value=shown(value), limit=high)
            return None
        return value

    def flag(self, data: dict[Any, Any], key: str, where: str, *, default: bool) -> bool:
        value = data.get(key)
        if value is not None and type(value) is not bool:
            self.add(join(where, key), "not_a_flag", value=shown(value))
        return value if type(value) is bool else default


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def shown(value: Any) -> str:
    """`value` short enough to be shown in a message."""
    if isinstance(value, (dict, list)):
        return type(value).__name__
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
