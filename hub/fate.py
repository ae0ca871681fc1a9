"""The rule by which collection marks and deletes. Pure.

What nobody needs is marked first and deleted a grace later, so that a client that remembers it,
or an upload that is under way, can still make use of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum


class Fate(StrEnum):
    """What a run of the collection does with one thing."""

    KEEP = "keep"
    MARK = "mark"
    """Unneeded from now on, as far as we know."""
    WAIT = "wait"
    """Marked, and the grace is not over."""
    DELETE = "delete"
    CLEAR = "clear"
    """Marked, and needed again."""


def fate_of(
    *,
    is_needed: bool,
    created_at: datetime,
    condemned_at: datetime | None,
    now: datetime,
    grace: timedelta,
) -> Fate:
    """What to do with something; nothing younger than the grace is ever marked."""
    if is_needed:
        return Fate.KEEP if condemned_at is None else Fate.CLEAR
    if condemned_at is not None:
        return Fate.DELETE if now - condemned_at > grace else Fate.WAIT
    return Fate.MARK if now - created_at > grace else Fate.KEEP
