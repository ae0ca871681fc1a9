"""Evaluation of a model on a split of a data set.

    from ml_core import evaluate
    result = evaluate.run(spec, "out")

`python -m ml_core.evaluate SPEC OUT` does the same as a job of its own. Importing this package
imports no torch; a run does.
"""

from ml_core.evaluate.run import PREDICTIONS_FILE, RESULT_FILE, run
from ml_core.evaluate.tasks import TASKS, Task, get_task

__all__ = ["PREDICTIONS_FILE", "RESULT_FILE", "TASKS", "Task", "get_task", "run"]
