"""The contract between the life of a run and what is particular to its kind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from django.conf import settings

from evaluation.actions.leases import Outcome, Progress
from evaluation.errors import JobFailed
from evaluation.models import Run
from evaluation.stream import Event
from evaluation.verdicts import Outcome as JobOutcome
from evaluation.worker.background import Background
from evaluation.worker.fetch import Source
from evaluation.worker.lease import LeaseKeeper
from evaluation.worker.workspace import Workspace
from hub.site import store
from hub.storage.errors import StorageError
from ml_core.data.rows import sha256_of
from ml_core.errors import CoreError

T = TypeVar("T")


@dataclass(frozen=True)
class Desk:
    """What the work on one claim of a run has at hand."""

    run: Run
    space: Workspace
    keeper: LeaseKeeper
    token: str

    def source(self, part: str) -> Source:
        """The run's model, base or data set at its frozen commit."""
        asked = self.run.spec[part]
        return Source(
            repo_id=asked["repo"],
            repo_type="dataset" if part == "dataset" else "model",
            commit=asked["commit"],
            endpoint=settings.HUB_URL,
            token=self.token,
            cache_dir=settings.WORKER_DIR / "cache",
        )

    def beside(self, function: Callable[[], T]) -> T:
        """The result of `function`, which must not touch the database; the run can be stopped
        meanwhile."""
        return Background(function).wait(check=self.keeper.raise_if_stopped)

    def put_file(self, key: str, path: Any) -> None:
        """Stores a file under the run's name. Raises `JobFailed`."""
        try:
            store().put_file(key, path)
        except StorageError as error:
            text = "A file of the run could not be stored."
            raise JobFailed("system", "storage_unavailable", text) from error


class Work(Protocol):
    """One kind of run: what its job needs, what the job says, and what is made of what it leaves.

    `verb` names the job, `python -m ml_core.<verb> SPEC OUT`. Each method may raise what ends a
    run: `JobFailed`, `RunCancelled`, `RunInterrupted`, `LeaseLost`.
    """

    verb: ClassVar[str]

    @staticmethod
    def parse(line: bytes) -> Event | None:
        """The event in a line of what the job prints; None for anything else."""

    def __init__(self, desk: Desk) -> None: ...

    def prepare(self) -> None:
        """Puts in place what the job reads, its spec last."""

    def relay(self, event: dict[str, Any]) -> None:
        """Takes what the job says; from the thread that watches it."""

    def conclude(self, ended: JobOutcome, job_s: float) -> Outcome:
        """All that a job that ended well leaves, stored but for the rows; nothing in its files is
        believed unchecked."""

    def end(self) -> threading.Thread | None:
        """Called at last, however the job ended, while its folders are still there.

        Returns the thread that needs them longer, if there is one.
        """


def relay_progress(keeper: LeaseKeeper, event: dict[str, Any]) -> None:
    """Phases and progress of a job, as progress of the run."""
    if event.get("event") == "phase" and event.get("phase") != "ready":
        keeper.report(Progress(phase=str(event["phase"])))
    elif event.get("event") == "progress":
        done, total, rate = (event.get(name) for name in ("done", "total", "per_second"))
        if isinstance(done, int) and isinstance(total, int) and 0 <= done <= total < 2**31:
            is_rate = isinstance(rate, (int, float)) and 0 < rate < 1e12
            keeper.report(
                Progress(
                    items_done=done,
                    items_total=total,
                    items_per_s=float(rate) if is_rate else None,  # type: ignore[arg-type]
                )
            )


def claim_folder(run: Run) -> str:
    """Where this claim stores what it makes: each its own place, so that none spoils another's."""
    return f"runs/{run.pk}/{run.lease_token[:8]}"


def digests_below(folder: Path) -> dict[str, str]:
    """SHA-256 of the files in a fetched repository, by path; empty ones stand for what was not
    fetched."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size
    }


def job_facts(ended: JobOutcome, job_s: float) -> dict[str, Any]:
    """What the job took, for the record."""
    return {
        "wall_s": round(job_s, 3),
        "cpu_s": ended.cpu_s,
        "peak_memory_bytes": ended.peak_memory_bytes,
        "confinement": dict(ended.confinement),
    }


def worker_facts(run: Run) -> dict[str, Any]:
    """Who did the work, for the record."""
    worker = run.worker
    return {
        "worker": worker.name if worker else "",
        "device": worker.device if worker else "",
        "versions": dict(worker.versions) if worker else {},
    }


def as_failure(error: CoreError) -> JobFailed:
    """An error of the library as the end of a run."""
    return JobFailed(error.family, str(error.code), error.message, **error.details)
