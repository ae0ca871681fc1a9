"""Holding a run: a thread that renews its lease, tells how far it is, and learns when to stop."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, connection

from evaluation.actions.leases import Progress, heartbeat_run
from evaluation.errors import LeaseLost, RunCancelled, RunInterrupted
from evaluation.models import Run

logger = logging.getLogger(__name__)

BEAT_S = 0.7
"""Time within which a cancellation is seen; the watch adds a tenth of a second, and a job that is
asked to end has a second for it, so that its device is free within two."""


class LeaseKeeper:
    """Context manager around the work on one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._progress = Progress()
        self._reason: type[Exception] | None = None
        self._wake = threading.Event()
        self._is_done = False
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_done = True
        self._wake.set()
        self._thread.join()

    def report(self, progress: Progress) -> None:
        """Takes news; those of one second go out together. A new phase goes out at once."""
        old = self._progress
        self._progress = Progress(
            phase=progress.phase or old.phase,
            items_done=_newer(progress.items_done, old.items_done),
            items_total=_newer(progress.items_total, old.items_total),
            items_per_s=progress.items_per_s or old.items_per_s,
        )
        if progress.phase and progress.phase != old.phase:
            self._wake.set()

    def should_stop(self) -> bool:
        return self._reason is not None

    def is_unwanted(self) -> bool:
        """Whether nobody waits for what the run would still make."""
        return self._reason in (RunCancelled, LeaseLost)

    def raise_if_stopped(self) -> None:
        """Raises `RunCancelled`, `RunInterrupted` or `LeaseLost` where the work has to end."""
        if self._reason is not None:
            raise self._reason(str(self._run.pk))

    def _beat(self) -> None:
        renewed = time.monotonic()
        try:
            while not self._is_done and self._reason is not LeaseLost:
                try:
                    beat = heartbeat_run(run=self._run, progress=self._progress)
                    renewed = time.monotonic()
                    if beat.is_cancel_requested:
                        self._reason = RunCancelled
                    elif beat.is_worker_stopping:
                        self._reason = self._reason or RunInterrupted
                except LeaseLost:
                    self._reason = LeaseLost
                except DatabaseError:
                    logger.warning("lease of %s could not be renewed", self._run.pk, exc_info=True)
                    connection.close()
                    if time.monotonic() - renewed > settings.RUN_LEASE_S:
                        self._reason = LeaseLost
                self._wake.wait(BEAT_S)
                self._wake.clear()
        finally:
            connection.close()


def _newer(new: int | None, old: int | None) -> int | None:
    return old if new is None else new
