"""Who is next, and when: fair share between owners. Pure; claiming and forecasting share the rule.

The next run is that of the owner with the fewest runs in work, then with the least worker time
used in the last hour, both divided by the owner's weight, then whose run has waited longest. Within
one owner the run of the highest priority is first, of those the oldest. An urgent run goes before
those of all owners.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

USAGE_WINDOW_S = 3600
URGENT = 2
"""The priority from which a run goes before those of other owners."""


@dataclass(frozen=True)
class Waiting(Generic[K]):
    """A queued run. `estimate_s` is how long it should hold a worker, None where unknown."""

    key: K
    owner: int | None
    queued_at: datetime
    estimate_s: float | None = None
    priority: int = 0


@dataclass(frozen=True)
class Busy:
    """A slot in use. `remaining_s` None: nobody can tell."""

    owner: int | None
    remaining_s: float | None = None


@dataclass(frozen=True)
class Forecast:
    """`ahead` runs start before this one; `starts_in_s` is None where it cannot be told."""

    ahead: int
    starts_in_s: float | None


@dataclass
class Ledger(Generic[K]):
    """Waiting runs by owner, what each owner has had, and what each counts; without a word 1."""

    queues: dict[int | None, deque[Waiting[K]]]
    running: dict[int | None, int] = field(default_factory=dict)
    used_s: dict[int | None, float] = field(default_factory=dict)
    weights: Mapping[int | None, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        waiting: Iterable[Waiting[K]],
        *,
        running: Mapping[int | None, int],
        used_s: Mapping[int | None, float],
        weights: Mapping[int | None, float] | None = None,
    ) -> Ledger[K]:
        queues: dict[int | None, deque[Waiting[K]]] = defaultdict(deque)
        for run in sorted(waiting, key=lambda run: (-run.priority, run.queued_at, str(run.key))):
            queues[run.owner].append(run)
        return cls(dict(queues), dict(running), dict(used_s), weights or {})

    def take(self) -> Waiting[K] | None:
        """Removes and returns the next run, counted as in work; None when nothing waits."""
        if not self.queues:
            return None
        owner = min(self.queues, key=self._turn)
        run = self.queues[owner].popleft()
        if not self.queues[owner]:
            del self.queues[owner]
        self.running[owner] = self.running.get(owner, 0) + 1
        return run

    def give_back(self, owner: int | None, used_s: float) -> None:
        """A slot of `owner` is free again after `used_s` more seconds of use."""
        self.running[owner] = max(0, self.running.get(owner, 0) - 1)
        self.used_s[owner] = self.used_s.get(owner, 0.0) + used_s

    def _turn(self, owner: int | None) -> tuple[bool, float, float, datetime, str]:
        head = self.queues[owner][0]
        weight = self.weights.get(owner, 1.0)
        return (
            head.priority < URGENT,
            self.running.get(owner, 0) / weight,
            self.used_s.get(owner, 0.0) / weight,
            head.queued_at,
            str(head.key),
        )


def order(
    waiting: Iterable[Waiting[K]],
    *,
    running: Mapping[int | None, int],
    used_s: Mapping[int | None, float],
    weights: Mapping[int | None, float] | None = None,
) -> Iterable[Waiting[K]]:
    """The runs in the order in which workers that came free this instant would take them."""
    ledger = Ledger.of(waiting, running=running, used_s=used_s, weights=weights)
    while (run := ledger.take()) is not None:
        yield run


def forecast(
    key: K,
    waiting: Iterable[Waiting[K]],
    busy: Iterable[Busy],
    *,
    slots: int,
    used_s: Mapping[int | None, float],
    weights: Mapping[int | None, float] | None = None,
) -> Forecast | None:
    """When the run `key` should start, by playing the rule forward; None if it does not wait.

    Args:
        slots: how many runs the living workers execute at once; 0 gives no time.
    """
    waiting, busy = list(waiting), list(busy)
    running: dict[int | None, int] = defaultdict(int)
    for slot in busy:
        running[slot.owner] += 1
    ledger = Ledger.of(waiting, running=running, used_s=used_s, weights=weights)
    clock, ends, knows_time = _busy_slots(busy, slots)
    free = slots - len(ends)
    ahead = 0
    while True:
        while free <= 0 and ends:
            clock, _, owner, used = heapq.heappop(ends)
            ledger.give_back(owner, used)
            free += 1
        run = ledger.take()
        if run is None:
            return None
        if run.key == key:
            return Forecast(ahead, clock if knows_time and slots else None)
        ahead += 1
        free -= 1
        knows_time = knows_time and run.estimate_s is not None
        length = run.estimate_s or 0.0
        heapq.heappush(ends, (clock + length, ahead, run.owner, length))


def _busy_slots(
    busy: list[Busy], slots: int
) -> tuple[float, list[tuple[float, int, int | None, float]], bool]:
    """Clock, heap of (end, tie, owner, used) and whether every end is known."""
    known = [slot for slot in busy if slot.remaining_s is not None]
    ends = [
        (slot.remaining_s or 0.0, -1 - i, slot.owner, slot.remaining_s or 0.0)
        for i, slot in enumerate(busy)
    ]
    heapq.heapify(ends)
    return 0.0, ends, len(known) == len(busy) or len(busy) < slots
