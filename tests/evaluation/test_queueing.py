"""Fair share: who is next, how fair it is, and whether the forecast is what happens."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.queueing import Busy, Forecast, Ledger, Waiting, forecast, order

START = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(*owners: int, length: float | None = 10.0) -> list[Waiting[int]]:
    """Runs queued one second after the other, by these owners."""
    return [
        Waiting(n, owner, START + timedelta(seconds=n), length) for n, owner in enumerate(owners)
    ]


def test_oldest_first_within_one_owner() -> None:
    runs = [*reversed(waiting(1, 1, 1))]
    assert [run.key for run in order(runs, running={}, used_s={})] == [0, 1, 2]


def test_owners_take_turns() -> None:
    found = [run.owner for run in order(waiting(1, 1, 1, 2, 3), running={}, used_s={})]
    assert found == [1, 2, 3, 1, 1]


def test_who_has_used_less_goes_first() -> None:
    found = [run.owner for run in order(waiting(1, 2), running={}, used_s={1: 500.0})]
    assert found == [2, 1]


def test_who_has_a_run_in_work_waits_for_those_who_have_none() -> None:
    found = [run.owner for run in order(waiting(1, 2), running={1: 1}, used_s={2: 9000.0})]
    assert found == [2, 1]


def test_free_slot_means_now() -> None:
    assert forecast(0, waiting(1), [], slots=1, used_s={}) == Forecast(0, 0.0)


def test_one_slot_is_waited_for() -> None:
    found = forecast(1, waiting(1, 2), [Busy(3, 4.0)], slots=1, used_s={})
    assert found == Forecast(ahead=1, starts_in_s=14.0)


def test_two_slots_halve_the_wait() -> None:
    busy = [Busy(8, 4.0), Busy(9, 6.0)]
    found = [forecast(n, waiting(1, 2, 3), busy, slots=2, used_s={}) for n in range(3)]
    assert found == [Forecast(0, 4.0), Forecast(1, 6.0), Forecast(2, 14.0)]


def test_without_a_worker_or_an_estimate_there_is_no_time() -> None:
    assert forecast(1, waiting(1, 2), [], slots=0, used_s={}) == Forecast(1, None)
    unknown = waiting(1, 2, length=None)
    assert forecast(1, unknown, [], slots=1, used_s={}) == Forecast(1, None)
    assert forecast(0, unknown, [], slots=1, used_s={}) == Forecast(0, 0.0)
    assert forecast(0, waiting(1), [Busy(2, None)], slots=1, used_s={}) == Forecast(0, None)


def test_a_run_that_does_not_wait_has_no_forecast() -> None:
    assert forecast(99, waiting(1), [], slots=1, used_s={}) is None


@given(
    st.lists(st.integers(0, 19), min_size=1, max_size=80),
    st.integers(1, 4),
)
@settings(deadline=None)
def test_no_owner_falls_behind_by_more_than_a_run_for_each_slot(
    owners: list[int], slots: int
) -> None:
    """Of runs of equal length, two owners who both wait have had numbers that differ by no more
    than there are slots: by one where there is one."""
    runs = waiting(*owners)
    ledger = Ledger.of(runs, running={}, used_s={})
    left = defaultdict(int)
    for owner in owners:
        left[owner] += 1
    got: dict[int, int] = defaultdict(int)
    ends: list[tuple[float, int, int]] = []
    clock = 0.0
    while sum(left.values()):
        if len(ends) == slots:
            clock, _, done = heapq.heappop(ends)
            ledger.give_back(done, 10.0)
        run = ledger.take()
        assert run is not None
        assert run.owner is not None
        left[run.owner] -= 1
        got[run.owner] += 1
        heapq.heappush(ends, (clock + 10.0, run.key, run.owner))
        still = [owner for owner in set(owners) if left[owner]]
        counts = [got[owner] for owner in still]
        assert not counts or max(counts) - min(counts) <= slots


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(1, 3))
@settings(deadline=None)
def test_forecast_says_the_order_in_which_runs_are_taken(owners: list[int], slots: int) -> None:
    runs = waiting(*owners)
    ahead = sorted(forecast(run.key, runs, [], slots=slots, used_s={}).ahead for run in runs)  # type: ignore[union-attr]
    assert ahead == list(range(len(runs)))


def test_urgent_runs_go_before_everybodys_and_high_ones_before_ones_own() -> None:
    second, urgent, high = waiting(1, 2, 1, 1)[0], *waiting(9, 2, 1)[1:]
    runs = [second, replace(urgent, priority=2), replace(high, priority=1)]
    found = order(runs, running={2: 5}, used_s={2: 9000.0})
    assert [run.key for run in found] == [1, 2, 0]


@given(st.integers(1, 8), st.integers(1, 8))
@settings(deadline=None, max_examples=30)
def test_time_is_shared_by_weight(mine: int, yours: int) -> None:
    """Of 72 equal runs on one slot, two owners who both wait get weight out of weights, give or
    take one run."""
    runs = waiting(*([1] * 72), *([2] * 72))
    ledger = Ledger.of(runs, running={}, used_s={}, weights={1: mine, 2: yours})
    got = {1: 0, 2: 0}
    for _ in range(72):
        run = ledger.take()
        assert run is not None
        assert run.owner is not None
        got[run.owner] += 1
        ledger.give_back(run.owner, 10.0)
    assert abs(got[1] - 72 * mine / (mine + yours)) <= 1
