"""One child process: started under limits, watched while it runs, always ended. No Django."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from evaluation import cgroups, launch, seccomp
from evaluation.cage import Cage, Job, Limits, job_environment, resource_limits
from ml_core.errors import Code, PlatformError

TERM_GRACE_S = 1.0
KILL_GRACE_S = 5.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """A job at one moment: memory of all its processes, and how many they are."""

    memory_bytes: int
    n_processes: int


@dataclass
class Child:
    """A running job. Leaving its `with` block ends it and everything it started."""

    process: subprocess.Popen[bytes]
    cage: Cage
    limits: Limits
    group: cgroups.Group | None
    scratch: tempfile.TemporaryDirectory[str]
    started: float = field(default_factory=time.monotonic)
    peak_memory_bytes: int = 0
    cpu_ticks: dict[int, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def stderr(self) -> IO[bytes]:
        assert self.process.stderr is not None
        return self.process.stderr

    def go(self) -> None:
        """Let a job that stands by begin; its wall time counts from here."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
        self.started = time.monotonic()

    @property
    def cpu_s(self) -> float:
        """Processor time of the job up to the last sample."""
        return round(sum(self.cpu_ticks.values()) / TICKS_PER_S, 2)

    def sample(self) -> Sample:
        """Look at the job from outside."""
        pids = descendants(self.process.pid)
        for pid in pids:
            self.cpu_ticks[pid] = max(self.cpu_ticks.get(pid, 0), _cpu_ticks(pid))
        held = self.group.memory_bytes() if self.group else sum(map(_resident_bytes, pids))
        self.peak_memory_bytes = max(self.peak_memory_bytes, held)
        return Sample(held, len(pids))

    def was_out_of_memory(self) -> bool:
        return self.group is not None and self.group.was_out_of_memory()

    def has_ended(self) -> bool:
        """Whether the first process has ended. It is not reaped, so its number stays its own."""
        if self.process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def terminate(self) -> None:
        """Ask the job to end; end it when it has not after `TERM_GRACE_S`."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + TERM_GRACE_S
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """End what is left of the job and of everything it started, at once."""
        if self.process.returncode is None:
            pids = descendants(self.process.pid)[1:]
            self._signal(signal.SIGKILL)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        if self.group is not None:
            self.group.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(KILL_GRACE_S)

    def end(self) -> None:
        """End the job and give back its pipes, groups and scratch space. May be called twice."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self.group is not None:
            self.group.remove()
        self.scratch.cleanup()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the job's process group; once reaped, its number may be another's."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


def start_child(job: Job, *, cage: Cage, limits: Limits) -> Child:
    """Start `job` in `cage` under `limits`.

    Raises:
        PlatformError: `start_failed`.
    """
    group = _make_group(cage, limits)
    scratch = tempfile.TemporaryDirectory(prefix="modelguild-job-", ignore_cleanup_errors=True)
    try:
        process = _start(job, cage, limits, group, scratch.name)
    except OSError as error:
        if group is not None:
            group.remove()
        scratch.cleanup()
        raise PlatformError(Code.START_FAILED, f"The job could not be started: {error}") from error
    return Child(process, cage, limits, group, scratch)


def _start(
    job: Job, cage: Cage, limits: Limits, group: cgroups.Group | None, scratch: str
) -> subprocess.Popen[bytes]:
    order = {
        "parent": os.getpid(),
        "limits": resource_limits(limits, has_cgroup=group is not None),
        "join": group.join_files if group is not None else [],
    }
    launcher = [sys.executable, "-I", "-S", launch.__file__, json.dumps(order)]
    with _seccomp_file(cage) as seccomp_fd:
        return subprocess.Popen(
            [*launcher, *cage.command(job, limits, seccomp_fd=seccomp_fd)],
            stdin=subprocess.PIPE if job.standby else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=job_environment(job, limits, home=scratch),
            cwd=scratch if cage.kind == "uncaged" else "/",
            pass_fds=() if seccomp_fd is None else (seccomp_fd,),
            start_new_session=True,
        )


@contextlib.contextmanager
def _seccomp_file(cage: Cage) -> Iterator[int | None]:
    """An open file with the filter, for the time of the start."""
    program = seccomp.build_filter() if cage.kind == "bubblewrap" else None
    if program is None:
        yield None
        return
    handle = os.memfd_create("seccomp")
    try:
        os.write(handle, program)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


def _make_group(cage: Cage, limits: Limits) -> cgroups.Group | None:
    if cage.parents is None:
        return None
    try:
        return cgroups.make_group(
            cage.parents, memory_bytes=limits.memory_bytes, processes=limits.processes
        )
    except OSError:
        return None


def descendants(pid: int) -> list[int]:
    """The process `pid` and all that descend from it, seen from outside."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        for task in _tasks(current):
            with contextlib.suppress(OSError, ValueError):
                children = (task / "children").read_text(encoding="ascii")
                waiting += [int(child) for child in children.split()]
    return found


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _resident_bytes(pid: int) -> int:
    """Memory of a process, pages it shares counted in parts where the kernel tells us."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def _cpu_ticks(pid: int) -> int:
    """User and system time of a process; its name may hold spaces and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        user, system = fields.rsplit(")", 1)[1].split()[11:13]
        return int(user) + int(system)
    except (OSError, ValueError, IndexError):
        return 0
