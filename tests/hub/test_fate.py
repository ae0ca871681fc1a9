"""The rule of the collection, for all times at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.fate import Fate, fate_of

GRACE = timedelta(days=28)
SECOND = timedelta(seconds=1)
times = st.integers(0, 600_000_000).map(lambda s: datetime(2020, 1, 1, tzinfo=UTC) + s * SECOND)


def _fate(is_needed, created_at, condemned_at, now):
    return fate_of(
        is_needed=is_needed,
        created_at=created_at,
        condemned_at=condemned_at,
        now=now,
        grace=GRACE,
    )


@given(times, st.none() | times, times)
def test_what_is_needed_is_neither_marked_nor_deleted(created_at, condemned_at, now):
    expected = Fate.CLEAR if condemned_at else Fate.KEEP
    assert _fate(True, created_at, condemned_at, now) is expected


@given(times, st.none() | times, times)
def test_only_what_was_marked_a_grace_ago_is_deleted(created_at, condemned_at, now):
    fate = _fate(False, created_at, condemned_at, now)
    assert (fate is Fate.DELETE) == (condemned_at is not None and now - condemned_at > GRACE)


@given(times, times)
def test_young_things_are_not_marked(created_at, now):
    assert (_fate(False, created_at, None, now) is Fate.MARK) == (now - created_at > GRACE)


@given(times)
def test_two_graces_and_two_runs_free_what_was_never_needed(created_at):
    """Marked by the first run after one grace, deleted by the first after another."""
    first = created_at + GRACE + timedelta(seconds=1)
    assert _fate(False, created_at, None, first) is Fate.MARK
    assert _fate(False, created_at, first, first + GRACE) is Fate.WAIT
    assert _fate(False, created_at, first, first + GRACE + timedelta(seconds=1)) is Fate.DELETE
