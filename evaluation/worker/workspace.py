"""Folders of one run on a worker, and a child that waits for it with everything imported.

`stage` is what the job may read (spec, model, inputs), `out` where it may write, `hidden` what
it never sees: the data with its labels.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from evaluation.cage import Cage, Limits, core_job, find_cage
from evaluation.cage import Job as CageJob
from evaluation.child import Child, start_child
from evaluation.pools import memory_of
from ml_core.errors import CoreError

logger = logging.getLogger(__name__)

_GPU = Path("/dev/nvidiactl")
WARM_VERB = "evaluate"
"""The job for which a child waits: runs of this kind are many and short."""


@dataclass(frozen=True)
class Workspace:
    root: Path

    @classmethod
    def make(cls) -> Workspace:
        """Fresh folders below the worker's own."""
        jobs = settings.WORKER_DIR / "jobs"
        jobs.mkdir(parents=True, exist_ok=True)
        space = cls(Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=jobs)))
        for folder in (space.model, space.inputs, space.out, space.hidden):
            folder.mkdir(parents=True)
        for folder in (space.root, space.stage, space.model, space.inputs):
            folder.chmod(0o755)
        space.out.chmod(0o777)
        return space

    @property
    def stage(self) -> Path:
        return self.root / "stage"

    @property
    def spec(self) -> Path:
        return self.stage / "spec.json"

    @property
    def model(self) -> Path:
        return self.stage / "model"

    @property
    def base(self) -> Path:
        """Of an adapter; made where there is one."""
        return self.stage / "base"

    @property
    def inputs(self) -> Path:
        return self.stage / "inputs"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def hidden(self) -> Path:
        return self.root / "hidden"

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def job(self, verb: str, *, standby: bool = False) -> CageJob:
        return core_job(
            verb,
            self.spec,
            self.out,
            read_only=[self.stage],
            use_gpu=_GPU.exists(),
            standby=standby,
        )


@dataclass
class Standby:
    """A workspace and a child in it that has imported what jobs need."""

    space: Workspace
    child: Child
    limits: Limits

    @property
    def is_waiting(self) -> bool:
        return self.child.process.poll() is None

    def end(self) -> None:
        self.child.end()
        self.space.remove()


@dataclass
class _Warm:
    """The child of this process that waits, if there is one."""

    standby: Standby | None = None


_warm = _Warm()


def limits_of(spec: dict[str, dict[str, int]]) -> Limits:
    """What the job of a run with this spec may use."""
    asked = spec["limits"]
    return Limits(
        wall_s=asked["wall_s"],
        cpu_s=asked["wall_s"] * settings.RUN_THREADS,
        memory_bytes=asked["memory_bytes"],
        threads=settings.RUN_THREADS,
        **_output_limits(asked.get("out_bytes")),
    )


def _output_limits(out_bytes: int | None) -> dict[str, int]:
    """Of a job that makes a model: one file of it may be as large as all."""
    return {} if out_bytes is None else {"out_bytes": out_bytes, "file_bytes": out_bytes}


def cage() -> Cage:
    """This machine's cage. Raises `PlatformError`."""
    return find_cage(allow_uncaged=settings.ALLOW_UNCAGED_RUNS)


def stand_by() -> None:
    """Starts a child that waits for the next run, if none does.

    Must be called in the thread that lives as long as the process: the kernel ends the child with
    the thread that started it.
    """
    if not settings.WARM_JOBS or (_warm.standby is not None and _warm.standby.is_waiting):
        return
    drop_standby()
    limits = limits_of(
        {
            "limits": {
                "wall_s": settings.RUN_WALL_LIMIT_S,
                "memory_bytes": memory_of(settings.WORKER_POOLS[0]),
            }
        }
    )
    space = Workspace.make()
    try:
        child = start_child(space.job(WARM_VERB, standby=True), cage=cage(), limits=limits)
    except BaseException:
        space.remove()
        raise
    _warm.standby = Standby(space, child, limits)


def try_stand_by() -> None:
    """`stand_by`, where a failure only means that the next run starts slower."""
    try:
        stand_by()
    except (CoreError, OSError):
        logger.warning("no warm child could be started", exc_info=True)


def take_standby(verb: str, limits: Limits) -> Standby | None:
    """The child that waits for such a job, if it is alive and has these limits; it is the caller's
    to end."""
    if verb != WARM_VERB:
        return None
    taken, _warm.standby = _warm.standby, None
    if taken is None:
        return None
    if taken.is_waiting and taken.limits == limits:
        return taken
    taken.end()
    return None


def drop_standby() -> None:
    """Ends the waiting child, if there is one."""
    if _warm.standby is not None:
        _warm.standby.end()
        _warm.standby = None


def sweep_workspaces() -> None:
    """Removes folders of processes that are gone."""
    jobs = settings.WORKER_DIR / "jobs"
    for folder in jobs.glob("*-*") if jobs.is_dir() else []:
        pid = folder.name.partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
