"""Files of predictions as they were handed in: where they lie, and when they go."""

from __future__ import annotations

import logging

from django.db import transaction

from evaluation.models import ErrorFamily, Run, RunKind, RunState
from hub.site import store
from hub.storage.errors import StorageError

logger = logging.getLogger(__name__)


def file_key(run: Run) -> str:
    """Where the file that was handed in lies in the store."""
    return f"runs/{run.pk}/submitted"


def drop_file(run: Run, *, state: RunState, family: str = "") -> None:
    """Removes the file of a run that ends in `state`, if nothing is left to show with it.

    What is cancelled or only checked counts against no limit, so that its file may not stay. That
    of a dry run that failed by our fault does, for an operator's second try.
    """
    if run.kind != RunKind.PREDICTIONS:
        return
    is_checked = run.is_dry_run and family != ErrorFamily.SYSTEM
    if state == RunState.CANCELLED or is_checked:
        transaction.on_commit(lambda: _delete(file_key(run)))


def _delete(key: str) -> None:
    try:
        store().delete(key)
    except StorageError:
        logger.warning("%s is left behind", key, exc_info=True)
