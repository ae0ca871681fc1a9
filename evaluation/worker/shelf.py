"""Checkpoints of a running job, brought to the store from a thread, and back to a later job."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from evaluation.actions.training import add_checkpoint, checkpoints_of
from evaluation.errors import LeaseLost
from evaluation.models import Run
from evaluation.worker.keeping import (
    NotWhole,
    StoredFile,
    fetch_kept,
    forget_files,
    keep_files,
    open_below,
)
from evaluation.worker.work import claim_folder
from hub.storage.errors import StorageError
from ml_core.train.events import CheckpointSaved

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
"""Of a checkpoint, as the job writes it last: `{"files": {path: {"size_bytes", "sha256"}}, …}`."""
MAX_MANIFEST_BYTES = 1 << 20
NAME = re.compile(r"step-\d{8}")
CHECKPOINTS = "checkpoints"
"""The folder that a job keeps them in, below its own."""
END_S = 60.0
"""How long the last checkpoint may take when the job has ended."""
LET_GO_S = 0.3
"""The same where somebody has stopped the run; what takes longer is stored beside the next one."""


class Shelf:
    """Stores what the job reports; of several that wait only the newest is worth the time."""

    def __init__(self, run: Run, *, out: Path, scratch: Path) -> None:
        self._run = run
        self._out = out
        self._scratch = scratch
        self._waiting: CheckpointSaved | None = None
        self._best_step: int | None = None
        self._wake = threading.Condition()
        self._is_done = False
        self._thread = threading.Thread(target=self._work, name="shelf", daemon=True)
        self._thread.start()

    def take(self, event: CheckpointSaved) -> None:
        """A checkpoint lies whole in the job's folder."""
        with self._wake:
            self._waiting = event
            self._wake.notify()

    def note_best(self, step: int) -> None:
        """The best weights so far are those of `step`: without them no later one is of use."""
        self._best_step = step

    def end(self, *, lets_go: bool = False) -> threading.Thread | None:
        """Waits for what is under way; nothing is taken any more.

        Args:
            lets_go: do not hold up the slot; the thread that still stores, and still needs the
                job's folder, is returned if there is one.
        """
        with self._wake:
            self._is_done = True
            self._wake.notify()
        self._thread.join(LET_GO_S if lets_go else END_S)
        return self._thread if lets_go and self._thread.is_alive() else None

    def _work(self) -> None:
        try:
            while (event := self._next()) is not None:
                self._store(event)
        finally:
            connection.close()

    def _next(self) -> CheckpointSaved | None:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting is not None or self._is_done)
            event, self._waiting = self._waiting, None
            return event

    def _store(self, event: CheckpointSaved) -> None:
        """A fault costs this checkpoint, never the run."""
        folder = f"{claim_folder(self._run)}/checkpoints/{event.name}"
        try:
            files = keep_files(
                _manifest_files(self._out, f"{CHECKPOINTS}/{event.name}"),
                source=self._out,
                below=f"{CHECKPOINTS}/{event.name}",
                scratch=self._scratch,
                folder=folder,
                max_bytes=settings.FINETUNE_OUTPUT_LIMIT_BYTES,
            )
            try:
                add_checkpoint(
                    run=self._run,
                    step=event.step,
                    name=event.name,
                    folder=folder,
                    files=files,
                    best_step=self._best_step,
                )
            except LeaseLost:
                forget_files(files, folder=folder)
                raise
        except (NotWhole, StorageError, OSError, DatabaseError, LeaseLost) as error:
            logger.warning("run %s: checkpoint %s not stored: %s", self._run.pk, event.name, error)


def bring_back(run: Run, folder: Path) -> int | None:
    """Writes the stored checkpoints of `run` below `folder`; the newest step, None without any.

    One that is gone or damaged is left out; the job goes on from the newest that is whole.
    """
    newest: int | None = None
    for checkpoint in checkpoints_of(run):
        if not NAME.fullmatch(checkpoint.name):
            continue
        try:
            fetch_kept(checkpoint.files, folder=checkpoint.folder, target=folder / checkpoint.name)
            newest = max(newest or 0, checkpoint.step)
        except NotWhole as error:
            logger.warning("run %s: checkpoint %s: %s", run.pk, checkpoint.name, error)
    return newest


def _manifest_files(out: Path, folder: str) -> list[StoredFile]:
    """The files that the checkpoint's manifest names, and the manifest itself."""
    try:
        with open_below(out, f"{folder}/{MANIFEST}", max_bytes=MAX_MANIFEST_BYTES) as stream:
            raw = stream.read()
        named = json.loads(raw)["files"].items()
        files = [
            {"path": str(path), "sha256": str(f["sha256"]), "size_bytes": int(f["size_bytes"])}
            for path, f in named
        ]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise NotWhole(f"its manifest cannot be read: {error}") from error
    own = {"path": MANIFEST, "sha256": hashlib.sha256(raw).hexdigest(), "size_bytes": len(raw)}
    return [*files, own]
