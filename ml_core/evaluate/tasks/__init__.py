"""The task families, one module each.

To add one: write a module beside `text_classification.py` with a `prepare` of the same signature,
and add its `Task` below. Everything else (schema check, batches, progress, predictions, scores,
the platform's forms) reads this table. No torch here: `runner` is imported when a job runs.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ml_core.data.schema import Role
from ml_core.errors import Code, UserError

if TYPE_CHECKING:
    from ml_core.evaluate.job import Prepare


@dataclass(frozen=True)
class Task:
    """What a task takes and gives. `metrics` are its own, the main one first."""

    name: str
    title: str
    inputs: tuple[Role, ...]
    metrics: tuple[str, ...]
    runner: str

    def load_runner(self) -> "Prepare":
        """The `prepare` function of the task's module; this imports torch."""
        prepare: Prepare = import_module(self.runner).prepare
        return prepare


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="text-classification",
            title="Text classification",
            inputs=(Role("text", "text"), Role("text_pair", "text", required=False)),
            metrics=("accuracy", "macro_f1"),
            runner="ml_core.evaluate.tasks.text_classification",
        ),
        Task(
            name="image-classification",
            title="Image classification",
            inputs=(Role("image", "image"),),
            metrics=("accuracy", "macro_f1"),
            runner="ml_core.evaluate.tasks.image_classification",
        ),
    )
}


def get_task(name: str) -> Task:
    """The task called `name`. Raises UserError `task_unknown`."""
    if name not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise UserError(Code.TASK_UNKNOWN, f"There is no task {name!r}; there are {known}.")
    return TASKS[name]
