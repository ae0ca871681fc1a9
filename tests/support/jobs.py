"""Small jobs for tests of cage and runner: a line of Python each, and no torch."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from evaluation.cage import Cage, Job, Limits, find_cage
from evaluation.runner import run_job
from evaluation.verdicts import Outcome
from ml_core.errors import PlatformError

MIB = 1 << 20
SMALL = Limits(
    wall_s=20,
    cpu_s=20,
    memory_bytes=256 * MIB,
    file_bytes=16 * MIB,
    out_bytes=32 * MIB,
    tmp_bytes=16 * MIB,
    output_bytes=1 * MIB,
    processes=48,
)


def require_cage() -> Cage:
    """The cage of this machine; skips with what to install, and fails in CI."""
    try:
        return find_cage()
    except PlatformError as error:
        if os.environ.get("CI") == "true":
            raise
        need = "bubblewrap" if shutil.which("bwrap") is None else "user namespaces"
        pytest.skip(f"needs {need}: {error.message}")


def python_job(code: str, out_dir: Path, *, read_only: tuple[Path, ...] = ()) -> Job:
    """`python -c code` with `out` as the name of the output folder; no site, to start fast."""
    out_dir.mkdir(exist_ok=True)
    prelude = f"import os, sys, time, json\nout = {str(out_dir)!r}\n"
    return Job((sys.executable, "-I", "-S", "-c", prelude + code), out_dir, read_only)


def run_python(code: str, out_dir: Path, cage: Cage, limits: Limits = SMALL, **more) -> Outcome:
    """The outcome of `python_job`."""
    read_only = more.pop("read_only", ())
    return run_job(python_job(code, out_dir, read_only=read_only), cage=cage, limits=limits, **more)


def alive(pid: int) -> bool:
    """Whether a process of this number runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
