"""What a worker notes of a training while it holds the run: curves and checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from evaluation.actions.leases import require_claim, require_held
from evaluation.models import CLOSED, Checkpoint, CurvePoint, Run, RunState
from hub.site import store
from hub.storage.errors import StorageError

logger = logging.getLogger(__name__)

MAX_POINTS = 5000
"""Of one run; a job thins its points out long before."""
KEPT_CHECKPOINTS = 2
"""The one before the newest stays, in case that the newest cannot be read back."""
_BATCH = 100


def add_points(*, run: Run, points: Iterable[CurvePoint]) -> None:
    """Notes points of the curves; one that is there already gets the new value.

    Raises: LeaseLost.
    """
    new = {(point.series, point.name, point.step): point for point in points}
    with transaction.atomic():
        require_held(run)
        room = MAX_POINTS - run.points.count()
        kept = list(new.values())[: max(0, room)]
        for point in kept:
            point.run = run
        CurvePoint.objects.bulk_create(
            kept,
            update_conflicts=True,
            unique_fields=["run", "series", "name", "step"],
            update_fields=["value"],
        )


def drop_points_after(*, run: Run, step: int) -> None:
    """Forgets points beyond `step`, from where the training goes on. Raises `LeaseLost`."""
    with transaction.atomic():
        require_held(run)
        run.points.filter(step__gt=step).delete()


def add_checkpoint(
    *,
    run: Run,
    step: int,
    name: str,
    folder: str,
    files: list[dict[str, Any]],
    best_step: int | None = None,
) -> None:
    """Notes a checkpoint whose files are stored, and lets go of older ones.

    Args:
        best_step: the checkpoint of that step stays, however old: a later one refers to it.

    Raises: LeaseLost: another has the run, or it ended otherwise than by being stopped.
    """
    size_bytes = sum(file["size_bytes"] for file in files)
    with transaction.atomic():
        require_claim(run)
        Checkpoint.objects.create(
            run=run, step=step, name=name, folder=folder, files=files, size_bytes=size_bytes
        )
    for old in run.checkpoints.all()[KEPT_CHECKPOINTS:]:
        if old.step != best_step:
            drop_checkpoint(checkpoint=old)


def checkpoints_of(run: Run) -> list[Checkpoint]:
    """The stored checkpoints, the newest first."""
    return list(run.checkpoints.all())


def drop_checkpoint(*, checkpoint: Checkpoint) -> None:
    """Removes it from the store, then its row: what is left by a fault is found by its row."""
    for file in checkpoint.files:
        store().delete(f"{checkpoint.folder}/{file['path']}")
    checkpoint.delete()


def sweep_checkpoints() -> int:
    """Removes checkpoints that nobody can go on from any more; returns how many.

    Those of a finished run at once; those of a failed or stopped one after
    `settings.RUN_CHECKPOINT_DAYS`.
    """
    limit = timezone.now() - timedelta(days=settings.RUN_CHECKPOINT_DAYS)
    closed = Checkpoint.objects.filter(run__state__in=CLOSED)
    old = closed.filter(run__finished_at__lt=limit) | closed.filter(run__state=RunState.FINISHED)
    count = 0
    for checkpoint in old.order_by("pk")[:_BATCH]:
        try:
            drop_checkpoint(checkpoint=checkpoint)
            count += 1
        except StorageError:
            logger.warning("checkpoint %s could not be removed", checkpoint.pk)
    return count
