"""What is wrong with queue and workers at this moment, each thing in one sentence. Only reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, Q
from django.utils import timezone

from evaluation.models import (
    ALIVE_WITHIN,
    CLOSED,
    ErrorFamily,
    IncidentKind,
    Run,
    RunState,
    Worker,
)
from evaluation.queries import idle_slots, slots_of

STALLED_AFTER = timedelta(minutes=2)
"""Sweeps ring every ten seconds; a run that waits longer beside an idle worker is not rung for."""
ERRORS_WITHIN = timedelta(hours=1)
MIN_ERRORS = 3
ERROR_SHARE = 0.2
GIB = 1 << 30


@dataclass(frozen=True)
class Alarm:
    kind: IncidentKind
    subject: str
    text: str

    @property
    def public(self) -> str:
        """What a stranger may know: names of machines are not among it."""
        is_of_pool = self.kind in (
            IncidentKind.QUEUE_OLD,
            IncidentKind.STALLED,
            IncidentKind.NO_WORKER,
        )
        return f"{self.kind.value} {self.subject}" if is_of_pool else self.kind.value


def find_alarms(now: datetime | None = None) -> list[Alarm]:
    """All that an operator should know of now."""
    now = now or timezone.now()
    return [*_of_queue(now), *_of_workers(now), *_of_errors(now), *_of_disks()]


def _of_queue(now: datetime) -> Iterator[Alarm]:
    waiting = (
        Run.objects.filter(state=RunState.QUEUED, not_before__lte=now)
        .values_list("pool")
        .annotate(n=Count("pk"), since=Min("state_since"))
        .order_by("pool")
    )
    limit = timedelta(minutes=settings.ALERT_QUEUE_MINUTES)
    for pool, n, since in waiting:
        waited = now - since
        minutes = int(waited.total_seconds() // 60)
        wait = (
            f"{_counted(n, 'run waits', 'runs wait')} in the pool {pool!r}, "
            f"the first for {_counted(minutes, 'minute', 'minutes')}"
        )
        if slots_of(pool) == 0 and not _is_draining(pool):
            yield Alarm(IncidentKind.NO_WORKER, pool, f"{wait}; no worker serves it.")
        elif waited > STALLED_AFTER and idle_slots(pool) > 0 and not _is_served(pool, now):
            text = f"{wait}, beside idle workers. Do the broker and beat run?"
            yield Alarm(IncidentKind.STALLED, pool, text)
        if waited > limit:
            yield Alarm(IncidentKind.QUEUE_OLD, pool, f"{wait}.")


def _counted(n: int, one: str, many: str) -> str:
    """In English, as all that goes to the operator."""
    return f"{n} {one if n == 1 else many}"


def _is_served(pool: str, now: datetime) -> bool:
    """Whether a run of the pool was taken lately; a worker is idle for a moment after each."""
    return Run.objects.filter(pool=pool, claimed_at__gt=now - STALLED_AFTER).exists()


def _is_draining(pool: str) -> bool:
    alive = Worker.objects.alive().filter(draining_at__isnull=False)
    return any(pool in pools for pools in alive.values_list("pools", flat=True))


def _of_workers(now: datetime) -> Iterator[Alarm]:
    lost = Worker.objects.filter(
        heartbeat_at__lt=now - 2 * ALIVE_WITHIN, stopping_at__isnull=True, stopped_at__isnull=True
    )
    for worker in lost.order_by("name"):
        text = (
            f"The worker {worker.name} has not been heard of since {worker.heartbeat_at:%F %T} UTC."
            " Start it again, or delete its row in the admin."
        )
        yield Alarm(IncidentKind.WORKER_LOST, worker.name, text)


def _of_errors(now: datetime) -> Iterator[Alarm]:
    since = now - ERRORS_WITHIN
    ours = Q(error_family=ErrorFamily.SYSTEM, state_since__gt=since)
    n_ours = Run.objects.filter(ours).count()
    n_others = Run.objects.filter(state__in=CLOSED, finished_at__gt=since).exclude(ours).count()
    if n_ours >= MIN_ERRORS and n_ours >= ERROR_SHARE * (n_ours + n_others):
        codes = Run.objects.filter(ours).values_list("error_code").annotate(n=Count("pk"))
        named = ", ".join(f"{code} ({n})" for code, n in codes.order_by("-n", "error_code"))
        text = f"{n_ours} runs failed by a fault of ours within an hour: {named}."
        yield Alarm(IncidentKind.SYSTEM_ERRORS, "runs", text)


def _of_disks() -> Iterator[Alarm]:
    found: list[tuple[str, int]] = []
    with suppress(OSError):
        found.append(("site", shutil.disk_usage(settings.DATA_DIR).free))
    found += [
        (worker.name, worker.disk_free_bytes)
        for worker in Worker.objects.alive().order_by("name")
        if worker.disk_free_bytes is not None
    ]
    for place, free in found:
        if free < settings.ALERT_DISK_FREE_BYTES:
            text = f"{free / GIB:.1f} GiB are free on the disk of {place}."
            yield Alarm(IncidentKind.DISK_LOW, place, text)
