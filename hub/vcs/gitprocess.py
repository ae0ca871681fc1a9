"""Running `git` itself: a clean environment, settings of ours alone, limits on memory and time."""

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

CONFIG = Path(__file__).with_name("server.gitconfig")
_ERROR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What one git process may use: memory of its own (mapped files not counted), and time."""

    memory_bytes: int
    time_s: float


class GitProcess:
    """A git command with a pipe on its output; leaving the block ends it, with all it started."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        limits: ProcessLimits,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.deadline = time.monotonic() + limits.time_s
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `stop`)
        self._process = subprocess.Popen(
            ["git", *argv],
            env=_environment() | (variables or {}),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        _limit_memory(self._process.pid, limits.memory_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def read(self, size_bytes: int) -> bytes:
        """Up to so many bytes of output, as soon as there are any; none at the end."""
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), size_bytes)

    def is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def wait(self) -> int:
        """The exit status, once the process has ended.

        Raises:
            subprocess.TimeoutExpired: the time was up before.
        """
        return self._process.wait(max(0.0, self.deadline - time.monotonic()))

    def errors(self) -> str:
        """The beginning of what the command wrote to standard error."""
        return os.pread(self._errors.fileno(), _ERROR_BYTES, 0).decode("utf-8", "replace")

    def stop(self) -> None:
        """End the process and what it started, and free what it held; may be called twice."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.fspath(CONFIG),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
    }


def _limit_memory(pid: int, limit_bytes: int) -> None:
    """Bound the data of a process just started; what it starts later inherits the bound."""
    if not hasattr(resource, "prlimit"):  # pragma: no cover  (Linux only)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
