"""How much interest a repository finds just now, as one number. Pure.

    heat  = 4 · L + log2(1 + D)
    score = round(100 · heat · (1 + 2^(−A / 30)))

L sums 2^(−a / 7) over the likes of the last 30 days, a being the age of each in days; D sums
d · 2^(−a / 7) over the days of the last 30, d being the downloads of that day; A is the age of the
repository in days. So interest halves every week, a like weighs as much as sixteen times the
downloads, and what is new counts up to double. Without a like or download in 30 days it is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

WINDOW = timedelta(days=30)
HALF_LIFE_DAYS = 7.0
NOVELTY_HALF_LIFE_DAYS = 30.0
LIKE_WEIGHT = 4.0


class DayOfDownloads(NamedTuple):
    age_days: float
    downloads: int


def trending_score(
    *, like_ages_days: Iterable[float], downloads: Iterable[DayOfDownloads], age_days: float
) -> int:
    """The score; ages are in days and at least 0, those beyond the window are left out."""
    window = WINDOW.days
    likes = sum(_fade(age, HALF_LIFE_DAYS) for age in like_ages_days if age < window)
    fetched = sum(
        day.downloads * _fade(day.age_days, HALF_LIFE_DAYS)
        for day in downloads
        if day.age_days < window
    )
    heat = LIKE_WEIGHT * likes + math.log2(1 + fetched)
    return round(100 * heat * (1 + _fade(age_days, NOVELTY_HALF_LIFE_DAYS)))


def _fade(age_days: float, half_life_days: float) -> float:
    return math.exp2(-max(age_days, 0.0) / half_life_days)
