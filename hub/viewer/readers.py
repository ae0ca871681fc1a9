"""Has one job done by a reader process and serves it the bytes that it asks for.

See docs/decisions/data-set-viewer.md for why another process, and what it cannot reach.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.viewer.errors import DataError, ViewerBusy
from hub.viewer.reader import wire
from hub.viewer.reader.jobs import Job

ReadRange = Callable[[int, int, int], bytes | None]
"""Number of a file, start and end → its bytes; None where they are not stored."""

MAX_AT_ONCE = 3
WAIT_S = 15
START_S = 30
SLACK_S = 3
"""Beyond a job's own limit, for the kernel to end it."""

_log = logging.getLogger(__name__)
_slots = threading.BoundedSemaphore(MAX_AT_ONCE)
_SOURCE = Path(__file__).resolve().parents[2]
_MODULE = "hub.viewer.reader.zygote"


@dataclass(frozen=True)
class Answer:
    """What a reader found; `tail` holds bytes of media, `bytes_read` is what it fetched."""

    value: dict[str, Any]
    tail: bytes
    bytes_read: int


def run_job(job: Job, read_range: ReadRange) -> Answer:
    """The reader's answer.

    Raises:
        DataError: what the reader says of the file or the question, or that it was stopped.
        ViewerBusy: too many jobs are under way.
    """
    with _slot(), _ready_zygote().reader() as sock:
        sock.settimeout(job.limits.wall_s + SLACK_S)
        try:
            wire.send(sock, wire.JOB, wire.pack_answer(job.to_json()))
            return _serve(sock, job, read_range)
        except (wire.WireClosed, TimeoutError):
            raise DataError(
                "ReaderStopped",
                "The reader was stopped: this file is damaged, or needs more memory or time than "
                "the viewer has.",
            ) from None


def _serve(sock: socket.socket, job: Job, read_range: ReadRange) -> Answer:
    count = 0
    while True:
        kind, body = wire.receive(sock)
        if kind == wire.READ:
            data = _bytes_for(job, body, read_range)
            wire.send(sock, *((wire.REFUSED, b"") if data is None else (wire.DATA, data)))
            count += len(data or b"")
            continue
        value, tail = wire.unpack_answer(body)
        if kind == wire.ANSWER:
            return Answer(value, tail, count)
        raise DataError(value["code"], value["message"], **value["details"])


def _bytes_for(job: Job, body: bytearray, read_range: ReadRange) -> bytes | None:
    """The bytes of a request; None where they cannot be had."""
    number, start, end = wire.unpack_range(body)
    if number >= len(job.files) or not start <= end <= job.files[number].size_bytes:
        raise wire.WireClosed  # no reader of ours asks for that
    if end - start > wire.MAX_READ_BYTES:
        raise wire.WireClosed
    return read_range(number, start, end)


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=WAIT_S):
        raise ViewerBusy
    try:
        yield
    finally:
        _slots.release()


class Zygote:
    """The process that forks readers. It ends when our end of its socket is closed."""

    def __init__(self, command: list[str]) -> None:
        self.pid = os.getpid()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(_SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "LANG": "C.UTF-8",
        }
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        self._control.settimeout(START_S)

    def is_alive(self) -> bool:
        return self.pid == os.getpid() and self.process.poll() is None

    def wait_until_ready(self) -> bool:
        """Whether it said that it is; it cannot where user namespaces are switched off."""
        try:
            return bool(self._control.recv(16))
        except OSError:
            return False

    @contextmanager
    def reader(self) -> Iterator[socket.socket]:
        """Our end of the socket of a new reader. Raises `ViewerBusy` where the zygote is gone."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                try:
                    socket.send_fds(self._control, [b"j"], [theirs.fileno()])
                except OSError:
                    raise ViewerBusy from None
            yield ours

    def close(self) -> None:
        self._control.close()
        if self.pid == os.getpid():
            self.process.kill()
            self.process.wait()


_zygote: Zygote | None = None
_lock = threading.Lock()


def _ready_zygote() -> Zygote:
    """The zygote of this process, started at the first call."""
    global _zygote  # noqa: PLW0603  # one a process, started when first needed
    with _lock:
        if _zygote is None or not _zygote.is_alive():
            if _zygote is not None:
                _zygote.close()
            _zygote = _start()
        return _zygote


def _start() -> Zygote:
    python = [sys.executable, "-m", _MODULE]
    for command in [*_caged(python), python]:
        zygote = Zygote(command)
        if zygote.wait_until_ready():
            atexit.register(zygote.close)
            return zygote
        zygote.close()
        _log.warning("a reader of data files did not start with %s", command[0])
    raise ViewerBusy


def _caged(command: list[str]) -> Iterator[list[str]]:
    """The command inside bubblewrap, where that is installed: no network, no files but Python's
    own and the reader's."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return
    argv = [bwrap, "--unshare-all", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev"]
    argv += ["--tmpfs", "/tmp"]  # noqa: S108  # its own
    for path in _needed_paths():
        argv += ["--ro-bind", path, path]
    for link in map(Path, ("/bin", "/lib", "/lib64")):
        if link.is_symlink():
            argv += ["--symlink", str(link.readlink()), str(link)]
        elif link.exists():
            argv += ["--ro-bind", str(link), str(link)]
    yield [*argv, "--remount-ro", "/", "--chdir", "/tmp", "--", *command]  # noqa: S108


def _needed_paths() -> list[str]:
    """Folders that Python and the reader are made of."""
    wanted = [
        "/usr",
        "/etc/ld.so.cache",
        "/etc/localtime",
        sys.prefix,
        sys.base_prefix,
        str(Path(sys.executable).resolve().parents[1]),
        str(_SOURCE / "hub" / "__init__.py"),
        str(_SOURCE / "hub" / "viewer" / "__init__.py"),
        str(_SOURCE / "hub" / "viewer" / "reader"),
    ]
    return list(dict.fromkeys(path for path in wanted if Path(path).exists()))
