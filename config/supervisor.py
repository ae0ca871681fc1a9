"""Keeps a handful of child processes alive, and never leaves one behind.

Each child is the head of its own process group, writes to its own log file, and is told by the
kernel to stop when this process dies, however it dies (Linux). `Supervisor.run` must be called
in the main thread: the kernel's promise is tied to the thread that started the child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

LOG_LIMIT_BYTES = 10 * 1024**2
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
SETTLED_S = 60.0
"""A child that ran this long starts again without back-off."""
POLL_S = 0.2
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartFailed(Exception):
    """A child ended or stayed silent before it was ready; the text carries its last log lines."""


@dataclass(frozen=True)
class Program:
    """What to start. `log_path` None lets it write to our own terminal."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path | None
    is_restarted: bool = True
    """Whether an end is a fault: True for services, False for one-off work."""
    stop_timeout_s: float = 10.0
    is_foundation: bool = False
    """Others lean on it while they stop: it is told last."""
    on_success: Callable[[], None] | None = None


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Starts programs in order, restarts those that fall, stops all of them."""

    say: Callable[[str], None]
    children: list[_Child] = field(default_factory=list)
    is_stopping: bool = False

    def start(self, program: Program) -> None:
        child = _Child(program)
        self.children.append(child)
        _spawn(child)

    def wait_until(self, is_ready: Callable[[], bool], *, name: str, timeout_s: float) -> None:
        """Returns once `is_ready()`.

        Raises:
            StartFailed: the child `name` ended first, or `timeout_s` passed.
        """
        child = next(child for child in self.children if child.program.name == name)
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if self.is_stopping:
                raise KeyboardInterrupt
            if not child.is_running:
                raise StartFailed(f"{name} stopped while starting.\n{log_tail(child.program)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{name} gave no answer.\n{log_tail(child.program)}")
            time.sleep(0.05)

    def listen_to_signals(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal end `run`."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def run(self) -> None:
        """Watches the children until a signal arrives."""
        while not self.is_stopping:
            for child in list(self.children):
                self._look_after(child)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ends the children together, foundations after the others, each with all it started."""
        self.is_stopping = True
        for is_foundation in (False, True):
            group = [c for c in self.children if c.program.is_foundation == is_foundation]
            for child in group:
                if child.process is not None and child.is_running:
                    child.process.terminate()
            for child in group:
                _await_end(child)
        self.children.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.is_stopping = True

    def _look_after(self, child: _Child) -> None:
        if child.restart_at is not None:
            if time.monotonic() >= child.restart_at:
                _spawn(child)
            return
        if child.is_running:
            return
        assert child.process is not None
        status = child.process.returncode
        if child.program.is_restarted:
            self._plan_restart(child, status)
            return
        self.children.remove(child)
        if status == 0 and child.program.on_success:
            child.program.on_success()
        elif status != 0:
            self.say(f"{child.program.name} failed with status {status}.")

    def _plan_restart(self, child: _Child, status: int) -> None:
        if time.monotonic() - child.started_at > SETTLED_S:
            child.failures = 0
        delay = BACK_OFF_S[min(child.failures, len(BACK_OFF_S) - 1)]
        child.failures += 1
        child.restart_at = time.monotonic() + delay
        _kill_group(child)
        self.say(
            f"{child.program.name} stopped with status {status}; starting it again in"
            f" {delay:g} s.\n{log_tail(child.program)}"
        )


def log_tail(program: Program, lines: int = 12) -> str:
    """The last lines of the program's log, indented; empty without a log."""
    if program.log_path is None or not program.log_path.exists():
        return ""
    with program.log_path.open("rb") as file:
        file.seek(max(0, program.log_path.stat().st_size - 8192))
        text = file.read().decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _spawn(child: _Child) -> None:
    program = child.program
    output = _open_log(program.log_path) if program.log_path else None
    try:
        child.process = subprocess.Popen(
            program.argv,
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509  (no other thread runs here)
        )
    finally:
        if output is not None:
            os.close(output)
    child.started_at = time.monotonic()
    child.restart_at = None


def _open_log(path: Path) -> int:
    """Descriptor for appending to `path`; a large log of earlier runs is moved aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def _die_with_parent(parent_pid: int) -> Callable[[], None]:
    def arrange() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return arrange


def _await_end(child: _Child) -> None:
    assert child.process is not None
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(child.program.stop_timeout_s)
    _kill_group(child)


def _kill_group(child: _Child) -> None:
    """Ends what the child left running in its process group."""
    assert child.process is not None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()
