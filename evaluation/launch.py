"""Started by `runner.py` as a script: takes on a job's limits, then becomes the job.

    python -I -S launch.py '{"parent": 12, "limits": {"RLIMIT_CORE": 0}, "join": []}' COMMAND...

Nothing is imported but the standard library, and nothing of a stranger's is read.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
OOM_SCORE = "500"


def main() -> None:
    order = json.loads(sys.argv[1])
    command = sys.argv[2:]
    die_with_parent(order["parent"])
    for path in order["join"]:
        with open(path, "w", encoding="ascii") as stream:  # noqa: PTH123  # starts faster
            stream.write("0")
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as stream:  # noqa: PTH123
        stream.write(OOM_SCORE)
    for name, value in order["limits"].items():
        set_limit(getattr(resource, name), value)
    os.execvp(command[0], command)  # noqa: S606  # no shell is wanted


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the worker that started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def set_limit(kind: int, value: list[int]) -> None:
    """Set soft and hard limit, never above the hard limit that is already there."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = [min(wanted, hard) for wanted in value]
    resource.setrlimit(kind, (value[0], value[1]))


if __name__ == "__main__":
    main()
