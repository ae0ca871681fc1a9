"""Ringing a worker. The database holds the work; a lost ring only means a slower start."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ring(task: Task, *ids: Any) -> None:
    """Sends `task` with `ids` once the current transaction commits.

    A broker that cannot be reached is logged and forgiven: periodic sweeps find waiting work.
    """
    transaction.on_commit(lambda: _send(task, ids))


def _send(task: Task, ids: tuple[Any, ...]) -> None:
    try:
        task.apply_async(args=ids, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("broker unreachable, %s%s waits for the sweep: %s", task.name, ids, error)
