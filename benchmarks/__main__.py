"""`python -m benchmarks [NAME …]`: runs the named measurements, or all of them."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "transfer",
    "strain",
    "repositories",
    "lists",
    "run_start",
    "many_runs",
    "evaluation_throughput",
    "multiple_choice",
    "generation",
    "statistics",
    "finetune",
)
NEEDS_GPU = ("evaluation_throughput_gpu",)
"""Left out, with a line that says so, where there is none."""

for name in sys.argv[1:] or (*NAMES, *NEEDS_GPU):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
