"""Predictions that somebody made elsewhere and hands in as a file: JSON Lines, CSV, TSV or parquet.

    from ml_core import predictions
    found = predictions.check("eval.yaml", "test.csv", "mine.jsonl")

One row an item: `item_id`, and the columns of the family's form (`ml_core.predictions.forms`). What
is wrong is told with its line and column; nothing of what is right is ever read here.
`python -m ml_core.predictions check` does the same in a shell, `python -m ml_core.predictions SPEC
OUT` is the job of a worker.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_core.predictions.checking import check

__all__ = ["check"]


def __getattr__(name: str) -> Any:  # what the module has
    if name != "check":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("ml_core.predictions.checking").check
