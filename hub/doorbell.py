"""Ringing a worker. The database holds the work; a lost ring only means a slower start."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ring(task: Task, *ids: Any, queue: str | None = None) -> None:
    """Sends `task` with `ids` once the current transaction commits, to its own queue or another.

    A broker that cannot be reached is logged and forgiven: periodic sweeps find waiting work.
    """
    transaction.on_commit(lambda: _send(task, ids, queue))


def _send(task: Task, ids: tuple[Any, ...], queue: str | None) -> None:
    try:
        task.apply_async(args=ids, retry=False, **({"queue": queue} if queue else {}))
    except (OperationalError, OSError) as error:
        logger.warning("broker unreachable, %s%s waits for the sweep: %s", task.name, ids, error)
