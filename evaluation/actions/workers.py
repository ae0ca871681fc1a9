"""Workers come and go."""

from __future__ import annotations

from django.db import transaction

from evaluation.actions.leases import release_run
from evaluation.actions.sweep import ring_idle_workers
from evaluation.clock import shared_now
from evaluation.errors import LeaseLost
from evaluation.models import HELD, Run, Worker
from hub.actions.audit import record
from hub.models import User


def register_worker(
    *, name: str, pools: list[str], slots: int, device: str, versions: dict[str, str]
) -> Worker:
    """The row of a worker that has just started.

    What an earlier process of that name still holds goes back to the queue: it cannot be alive,
    and if it were, its lease is gone.
    """
    now = shared_now()
    with transaction.atomic():
        worker, _ = Worker.objects.update_or_create(
            name=name,
            defaults={
                "pools": list(pools),
                "slots": slots,
                "device": device,
                "versions": versions,
                "started_at": now,
                "heartbeat_at": now,
                "stopping_at": None,
                "stopped_at": None,
                "draining_at": None,
                "hands_back": False,
            },
        )
    _release_all(worker)
    ring_idle_workers()
    return worker


def beat_worker(*, name: str, disk_free_bytes: int | None = None) -> None:
    """Notes that the worker lives, and what room it has left."""
    Worker.objects.filter(name=name).update(
        heartbeat_at=shared_now(), disk_free_bytes=disk_free_bytes
    )


def drain_worker(*, worker: Worker, acting_user: User | None, hands_back: bool = False) -> None:
    """From now on the worker takes nothing new; it finishes what it holds, or hands it back.

    Until `resume_worker`, or until it starts again.
    """
    with transaction.atomic():
        Worker.objects.filter(pk=worker.pk).update(
            draining_at=worker.draining_at or shared_now(), hands_back=hands_back
        )
        record(verb="worker.drained", actor=acting_user, target=worker.name, hands_back=hands_back)


def resume_worker(*, worker: Worker, acting_user: User | None) -> None:
    """The worker takes runs again; it is rung for those that wait."""
    with transaction.atomic():
        Worker.objects.filter(pk=worker.pk).update(draining_at=None, hands_back=False)
        record(verb="worker.resumed", actor=acting_user, target=worker.name)
    ring_idle_workers()


def announce_stop(*, name: str) -> None:
    """From now on the worker claims nothing, and its runs are interrupted and handed back."""
    Worker.objects.filter(name=name, stopping_at__isnull=True).update(stopping_at=shared_now())


def retire_worker(*, name: str) -> None:
    """The worker is gone; runs it still held are handed back."""
    now = shared_now()
    worker = Worker.objects.filter(name=name).first()
    if worker is None:
        return
    Worker.objects.filter(pk=worker.pk).update(stopped_at=now)
    _release_all(worker)


def _release_all(worker: Worker) -> None:
    for run in Run.objects.filter(worker=worker, state__in=HELD).select_related("model_repo"):
        try:
            release_run(run=run)
        except LeaseLost:
            continue
