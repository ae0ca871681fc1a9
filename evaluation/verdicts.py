"""How a job ended, in a family, a code and words a newcomer understands."""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from evaluation.cage import MIB, Cage, Job, Limits
from ml_core.data.rows import open_plain_file
from ml_core.errors import ERROR_FILE, EXIT_USER_ERROR, Code, CoreError, ErrorReport, Family

MAX_REPORT_BYTES = 256 << 10
SIGNAL_BASE = 128


class Stop(Enum):
    """Why a runner stopped a job."""

    CANCELLED = "cancelled"
    WALL = "wall"
    OUTPUT = "output"
    MEMORY = "memory"
    PROCESSES = "processes"


@dataclass(frozen=True)
class Outcome:
    """The end of a job. `family` is None for a job that finished.

    `stderr_tail` is for operators, never for pages. `peak_memory_bytes` is as seen by a watch every
    quarter of a second.
    """

    family: Family | None
    code: str
    message: str
    details: Mapping[str, object] = field(default_factory=dict)
    exit_status: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    stderr_tail: str = ""
    n_garbage_lines: int = 0
    confinement: Mapping[str, object] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.family is None

    @classmethod
    def of_error(cls, error: CoreError, cage: Cage) -> "Outcome":
        """The outcome of a job that was never started."""
        return cls(
            error.family, str(error.code), error.message, error.details, confinement=cage.facts()
        )


def judge(
    job: Job,
    cage: Cage,
    *,
    stop: Stop | None,
    status: int | None = None,
    limits: Limits | None = None,
    wall_s: float = 0.0,
    cpu_s: float = 0.0,
    peak_memory_bytes: int = 0,
    stderr_tail: str = "",
    n_garbage_lines: int = 0,
) -> Outcome:
    """The outcome of a job that was stopped, or ended with `status`."""
    report = _stopped(stop, limits or Limits()) if stop else _ended(job, status or 0)
    return Outcome(
        family=report.family if report else None,
        code=report.code if report else "finished",
        message=report.message if report else "",
        details=report.details if report else {},
        exit_status=status,
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_memory_bytes=peak_memory_bytes,
        stderr_tail=stderr_tail,
        n_garbage_lines=n_garbage_lines,
        confinement=cage.facts(),
    )


def _stopped(stop: Stop, limits: Limits) -> ErrorReport:
    minutes = _duration(limits.wall_s)
    out, printed = limits.out_bytes // MIB, limits.output_bytes // MIB
    wall = f"The run was stopped after {minutes}, the longest it may take."
    output = f"The run wrote more than it may: {out:,} MiB of results, {printed:,} MiB of messages."
    memory = (
        f"The run needed more than the {limits.memory_bytes // MIB:,} MiB of memory it may use."
    )
    processes = f"The run started more than the {limits.processes} processes it may have."
    reports: dict[Stop, tuple[Family, Code, str]] = {
        Stop.CANCELLED: ("cancelled", Code.CANCELLED, "The run was cancelled."),
        Stop.WALL: ("timeout", Code.WALL_LIMIT, wall),
        Stop.OUTPUT: ("user", Code.OUTPUT_LIMIT, output),
        Stop.MEMORY: ("user", Code.OUT_OF_MEMORY, memory),
        Stop.PROCESSES: ("user", Code.PROCESS_LIMIT, processes),
    }
    family, code, message = reports[stop]
    return ErrorReport(family, code, message)


def _ended(job: Job, status: int) -> ErrorReport | None:
    if status == 0:
        return None
    number = -status if status < 0 else status - SIGNAL_BASE
    if number in _signal_numbers():
        return _signalled(signal.Signals(number))
    report = read_report(job.out_dir, may_be_user=status == EXIT_USER_ERROR)
    if report is not None:
        return report
    return ErrorReport(
        "system",
        Code.CHILD_CRASHED,
        "The run ended without a result and without saying why.",
        {"exit_status": status},
    )


def _signalled(number: signal.Signals) -> ErrorReport:
    details = {"signal": number.name}
    if number == signal.SIGXCPU:
        return ErrorReport(
            "timeout", Code.CPU_LIMIT, "The run used more processor time than it may.", details
        )
    if number == signal.SIGXFSZ:
        return ErrorReport(
            "user", Code.OUTPUT_LIMIT, "The run wrote a file larger than it may.", details
        )
    if number in (signal.SIGKILL, signal.SIGTERM):
        return ErrorReport(
            "system",
            Code.CHILD_KILLED,
            "The run was ended from outside, by the operating system or an operator.",
            details,
        )
    return ErrorReport("system", Code.CHILD_CRASHED, f"The run crashed ({number.name}).", details)


def read_report(out_dir: Path, *, may_be_user: bool) -> ErrorReport | None:
    """The report a child left, None where there is none that holds.

    Args:
        may_be_user: a report of the family `user` counts only with the exit status for it.
    """
    try:
        with open_plain_file(out_dir / ERROR_FILE, max_bytes=MAX_REPORT_BYTES) as stream:
            report = ErrorReport.from_json(json.load(stream))
    except (OSError, ValueError, RecursionError):
        return None
    return report if may_be_user or report.family == "system" else None


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"


def _signal_numbers() -> set[int]:
    return {int(number) for number in signal.Signals}
