"""Order on a leaderboard: direction, ties, missing values. Pure.

A rank is a range: `ml_core.statistics.ranking` says which ranks the models' 95 % intervals allow.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ml_core.statistics.ranking import interval_groups, interval_ranges

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Contender(Generic[K]):
    """One model's score. Without an interval its value alone stands for it; None has no rank."""

    key: K
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Placed(Generic[K]):
    """Where a contender stands.

    `best` and `worst` are None where there is no value. `opens_group` marks the first of a group
    that is separated from the best of the group before; the very first opens none.
    """

    key: K
    best: int | None
    worst: int | None
    opens_group: bool = False


def place(contenders: Iterable[Contender[K]], *, direction: str = "higher") -> list[Placed[K]]:
    """All contenders in order, best first; equal values by name, missing values last.

    Args:
        direction: "higher" or "lower" is better.
    """
    everyone = list(contenders)
    sign = 1.0 if direction == "higher" else -1.0
    valued = [(c, *_span(c, sign)) for c in everyone if c.value is not None]
    missing = sorted((c for c in everyone if c.value is None), key=lambda c: c.name)
    valued.sort(key=lambda row: (-sign * (row[0].value or 0.0), row[0].name))
    lows = np.array([low for _, low, _ in valued], dtype=np.float64)
    highs = np.array([high for _, _, high in valued], dtype=np.float64)
    best, worst = interval_ranges(lows, highs)
    opens = np.diff(interval_groups(lows, highs), prepend=1) > 0
    rows = zip(valued, best.tolist(), worst.tolist(), opens.tolist(), strict=True)
    placed = [Placed(row[0].key, first, last, is_new) for row, first, last, is_new in rows]
    return placed + [Placed(c.key, None, None) for c in missing]


def _span(contender: Contender[K], sign: float) -> tuple[float, float]:
    """The interval with higher as better; the value alone where there is none."""
    assert contender.value is not None
    low = contender.value if contender.low is None else contender.low
    high = contender.value if contender.high is None else contender.high
    return (low, high) if sign > 0 else (-high, -low)
