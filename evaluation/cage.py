"""The cage of a job: what a child sees, may use and may write. No Django.

With bubblewrap: own user, process, IPC, host-name and network namespaces (no network, not even the
host's loopback), a root that holds the system's libraries, this Python, `ml_core` and what the job
names, all read-only; a small /tmp of its own; one writable folder; no capabilities; a seccomp
filter; an environment made from nothing. Resource limits hold for every cage.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import ml_core
from evaluation import cgroups, seccomp
from evaluation.visible import (
    KERNEL_FILES,
    closed_kernel_files,
    gpu_binds,
    system_binds,
    visible_paths,
)
from ml_core.errors import Code, PlatformError

MIB, GIB = 1 << 20, 1 << 30

Kind = Literal["bubblewrap", "uncaged"]

NOBODY = "65534"
PROBE_TIMEOUT_S = 10
CPU_GRACE_S = 5


@dataclass(frozen=True)
class Limits:
    """What one job may use.

    `cpu_s` is of one process, `memory_bytes` of all together with their /tmp, `file_bytes` of one
    file, `out_bytes` of the whole output folder, `output_bytes` of what is printed, `processes`
    counts threads.
    """

    wall_s: float = 3600.0
    cpu_s: int = 4 * 3600
    memory_bytes: int = 8 * GIB
    file_bytes: int = 2 * GIB
    out_bytes: int = 2 * GIB
    tmp_bytes: int = 512 * MIB
    output_bytes: int = 8 * MIB
    processes: int = 256
    open_files: int = 1024
    threads: int = 1


@dataclass(frozen=True)
class Job:
    """A command, what it may read besides the system and `ml_core`, and where it may write.

    `standby` keeps standard input open: the job waits there until it is let go.
    """

    arguments: tuple[str, ...]
    out_dir: Path
    read_only: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    use_gpu: bool = False
    standby: bool = False


def core_job(
    verb: str,
    spec_path: Path,
    out_dir: Path,
    *,
    read_only: Iterable[Path],
    use_gpu: bool = False,
    standby: bool = False,
) -> Job:
    """The job `python -m ml_core.<verb> SPEC OUT`.

    Args:
        read_only: model folder and data files (the spec's own folder need not be named).
    """
    flags = ("--standby",) if standby else ()
    command = (sys.executable, "-m", f"ml_core.{verb}", *flags, str(spec_path), str(out_dir))
    visible = (*read_only, spec_path)
    return Job(command, out_dir, visible, use_gpu=use_gpu, standby=standby)


@dataclass(frozen=True)
class Cage:
    """What this machine can do to confine a job. `bwrap` is the program's path."""

    kind: Kind
    bwrap: str = ""
    can_disable_userns: bool = False
    parents: cgroups.Parents | None = None

    def facts(self) -> dict[str, object]:
        """How jobs are confined, for the record of a run."""
        caged = self.kind == "bubblewrap"
        return {
            "cage": self.kind,
            "network": "none" if caged else "host",
            "seccomp": caged and seccomp.build_filter() is not None,
            "memory_limit": "cgroup" if self.parents else "watched",
        }

    def command(self, job: Job, limits: Limits, *, seccomp_fd: int | None) -> list[str]:
        """The command line that runs `job` in this cage."""
        if self.kind == "uncaged":
            return list(job.arguments)
        return [*self._bwrap_arguments(job, limits, seccomp_fd), "--", *job.arguments]

    def _bwrap_arguments(self, job: Job, limits: Limits, seccomp_fd: int | None) -> list[str]:
        arguments = [self.bwrap, *NAMESPACES]
        arguments += ["--disable-userns"] if self.can_disable_userns else []
        arguments += ["--clearenv"]
        for name, value in job_environment(job, limits, home="/tmp").items():  # noqa: S108  # its own
            arguments += ["--setenv", name, value]
        arguments += [*system_binds(), *KERNEL_FILES, *closed_kernel_files()]
        arguments += ["--size", str(limits.tmp_bytes), "--tmpfs", "/dev/shm"]  # noqa: S108
        arguments += ["--size", str(limits.tmp_bytes), "--tmpfs", "/tmp"]  # noqa: S108
        for path in visible_paths(job.read_only):
            arguments += ["--ro-bind", str(path), str(path)]
        arguments += gpu_binds() if job.use_gpu else []
        arguments += ["--bind", str(job.out_dir), str(job.out_dir)]
        arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
        if seccomp_fd is not None:
            arguments += ["--seccomp", str(seccomp_fd)]
        return arguments


NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
    *("--uid", NOBODY, "--gid", NOBODY),
    *("--hostname", "job"),
    *("--cap-drop", "ALL"),
    "--die-with-parent",
    "--new-session",
)


def find_cage(*, allow_uncaged: bool = False) -> Cage:
    """The cage of this machine, tried out once a process.

    Args:
        allow_uncaged: where bubblewrap is missing or refused, run with resource limits alone; the
            operator must have said so.

    Raises:
        PlatformError: `cage_unavailable`, with what to do about it.
    """
    cage = _find_bubblewrap()
    if cage is not None:
        return cage
    if allow_uncaged:
        return Cage("uncaged", parents=_find_parents())
    raise PlatformError(
        Code.CAGE_UNAVAILABLE,
        "This worker cannot confine jobs: bubblewrap (bwrap) is not installed or user namespaces "
        "are switched off. Install bubblewrap and allow user namespaces; `manage.py doctor` says "
        "which it is.",
    )


@functools.cache
def _find_parents() -> cgroups.Parents | None:
    return cgroups.find_parents()


@functools.cache
def _find_bubblewrap() -> Cage | None:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    for can_disable in (True, False):
        cage = Cage("bubblewrap", bwrap, can_disable, _find_parents())
        if _works(cage):
            return cage
    return None


def _works(cage: Cage) -> bool:
    """Whether a command that does nothing runs in the cage."""
    extra = ["--disable-userns"] if cage.can_disable_userns else []
    binds = [*system_binds(), *KERNEL_FILES, *closed_kernel_files()]
    try:
        probe = subprocess.run(
            [cage.bwrap, *NAMESPACES, *extra, *binds, "--", "/usr/bin/env", "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""How an operator gives each worker of a machine GPUs of its own."""


def job_environment(job: Job, limits: Limits, *, home: str) -> dict[str, str]:
    """The whole environment of a job: nothing is inherited, but for which GPUs are the worker's."""
    threads = str(limits.threads)
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "USER": "job",
        "LOGNAME": "job",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(ml_core.__file__).resolve().parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "HF_HOME": f"{home}/hf",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRITON_CACHE_DIR": f"{home}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{home}/inductor",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "true" if limits.threads > 1 else "false",
        **(_chosen_gpus() if job.use_gpu else {}),
        **job.environment,
    }


def _chosen_gpus() -> dict[str, str]:
    return {name: os.environ[name] for name in GPU_VARIABLES if name in os.environ}


def resource_limits(limits: Limits, *, has_cgroup: bool) -> dict[str, list[int]]:
    """Soft and hard value by name of the limit, as `launch.py` takes them.

    The kernel never holds root to a number of processes; there the control group or the runner's
    own watch does it.
    """
    bounds = {
        "RLIMIT_CPU": [limits.cpu_s, limits.cpu_s + CPU_GRACE_S],
        "RLIMIT_FSIZE": [limits.file_bytes] * 2,
        "RLIMIT_NOFILE": [limits.open_files] * 2,
        "RLIMIT_CORE": [0, 0],
    }
    if not has_cgroup and os.getuid() != 0:
        bounds["RLIMIT_NPROC"] = [_own_tasks() + limits.processes] * 2
    return bounds


def _own_tasks() -> int:
    """Threads that our user runs already; the kernel counts them with the job's."""
    count = 0
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and folder.stat().st_uid == os.getuid():
                count += len(list((folder / "task").iterdir()))
    return count
