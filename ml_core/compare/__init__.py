"""Two runs' files of published rows into a comparison, in a notebook or as a process.

from ml_core.compare import CompareSpec, run
run(CompareSpec("a.parquet", "b.parquet", "text-classification", "accuracy")).comparison
"""

from ml_core.compare.files import CompareSpec, read_samples, run

__all__ = ["CompareSpec", "read_samples", "run"]
