"""Evaluation of a model on a split of a data set.

    from ml_core import evaluate
    result = evaluate.run(spec, "out")

`python -m ml_core.evaluate SPEC OUT` does the same as a job of its own. Importing this package
imports no torch and no pyarrow, so that the platform can read the table of tasks; a run does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_core.evaluate.tasks import TASKS, Task, get_task

if TYPE_CHECKING:
    from ml_core.evaluate.evaluation import PREDICTIONS_FILE, RESULT_FILE, run

__all__ = ["PREDICTIONS_FILE", "RESULT_FILE", "TASKS", "Task", "get_task", "run"]


def __getattr__(name: str) -> Any:  # what the module has
    if name not in ("PREDICTIONS_FILE", "RESULT_FILE", "run"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ml_core.evaluate.evaluation"), name)
