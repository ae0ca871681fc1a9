"""A job as a process of its own: events on standard output, and a report where it fails.

Standard output carries events, one JSON object a line, and nothing else. The exit status is 0, 3
for an error of the user's (the model, the data or the spec), 1 for any other; beside a status that
is not 0 stands error.json.
"""

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from ml_core.errors import (
    ERROR_FILE,
    EXIT_OTHER_ERROR,
    EXIT_USER_ERROR,
    Code,
    CoreError,
    ErrorReport,
    PlatformError,
    UserError,
)

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "true",
    # A torch thread that waits must sleep: it shares the machine with other jobs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}
NO_MEMORY_MESSAGE = "The job needs more memory than it has."

Send = Callable[[dict[str, object]], None]


def run_job(out: Path, work: Callable[[], object], *, results: Iterable[str]) -> int:
    """Do `work`, whose files go into `out`; the exit status.

    Args:
        results: files whose presence means success: those of an earlier try are deleted first.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in (ERROR_FILE, *results):
        (out / name).unlink(missing_ok=True)
    try:
        work()
    except CoreError as error:
        return leave_report(out, error)
    except MemoryError:
        return leave_report(out, UserError(Code.OUT_OF_MEMORY, NO_MEMORY_MESSAGE))
    except Exception as error:  # noqa: BLE001  # the edge of the process
        traceback.print_exc()
        return leave_report(out, as_platform_error(error))
    return 0


def take_standard_output() -> Send:
    """A sender of events on standard output, which libraries can print on no more."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def send(event: dict[str, object]) -> None:
        stream.write(json.dumps(event, ensure_ascii=False) + "\n")

    return send


def prepare_process(*, unused_packages: Iterable[str]) -> None:
    """Settings that libraries read when they are imported.

    Args:
        unused_packages: transformers imports these where it finds them; the job needs none, and
            they take seconds.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for package in unused_packages:
        sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # None: not to be found


def leave_report(out: Path, error: CoreError) -> int:
    """Write error.json; the exit status that goes with it."""
    report = ErrorReport.of(error).to_json()
    text = json.dumps(report, ensure_ascii=False, indent=1, default=str)
    (out / ERROR_FILE).write_text(text, encoding="utf-8")
    return EXIT_USER_ERROR if error.family == "user" else EXIT_OTHER_ERROR


def as_platform_error(error: Exception) -> CoreError:
    """An unforeseen error as one of ours, without the words of its trace."""
    from ml_core.evaluate.engine import is_out_of_memory

    if is_out_of_memory(error):
        return UserError(Code.OUT_OF_MEMORY, NO_MEMORY_MESSAGE)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlatformError(Code.DISK_FULL, "The job's scratch space or output is full.")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return UserError(Code.OUTPUT_LIMIT, "The run wrote a file larger than it may.")
    kind = type(error).__name__
    return PlatformError(Code.INTERNAL, f"The job failed unexpectedly ({kind}).")


def end(status: int) -> None:
    """Leave at once: every file is written and closed; taking torch apart would take seconds."""
    sys.stderr.flush()
    os._exit(status)
