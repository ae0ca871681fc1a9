"""`python -m benchmarks [NAME …]`: runs the named measurements, or all of them."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("transfer", "repositories", "run_start", "evaluation_throughput")

for name in sys.argv[1:] or NAMES:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
