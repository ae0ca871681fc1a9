"""A process with its imports done, which forks one reader a job.

Started as `python -m hub.viewer.reader.zygote`. It never looks at a stranger's bytes itself; each
reader does one job and ends, so that nothing of one data set is left when the next one is read.
Standard input is a socket; each message on it carries the socket of one job.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys

import pyarrow as pa

from hub.viewer.reader import wire
from hub.viewer.reader.jobs import Job, Limits
from hub.viewer.reader.work import do_job

READY = b"ready"
CPU_S_OVER_WALL = 5
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


class _NoPandas:
    """Pyarrow looks for pandas at the first array that it makes, which costs half a second."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _warm_up() -> None:
    """What every reader would do anew."""
    sys.meta_path.insert(0, _NoPandas)
    pa.array([1])


def main() -> None:
    _warm_up()
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the web process decides when we end
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    control.send(READY)
    while True:
        message, handles, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            os._exit(_serve(socket.socket(fileno=handles[0])))
        os.close(handles[0])


def _serve(sock: socket.socket) -> int:
    """One job; what goes wrong beyond a readable error ends the process, which is answer enough."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        kind, body = wire.receive(sock)
        if kind != wire.JOB:
            return 1
        job = Job.from_json(wire.unpack_answer(body)[0])
        _confine(job.limits)
        do_job(job, sock)
    except (wire.WireClosed, MemoryError):
        return 1
    return 0


def _confine(limits: Limits) -> None:
    """Memory and time at which the kernel ends this process, whatever code it is in."""
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, limits.wall_s + CPU_S_OVER_WALL)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    signal.alarm(limits.wall_s)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    main()
