"""The split in two: inputs for the caged child, the truth for the parent alone."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml_core.answers import load_kind
from ml_core.data.marks import Marks
from ml_core.data.roles import ID_ROLE
from ml_core.data.schema import read_items
from ml_core.evaluate.tasks import Task
from ml_core.specs import EvaluationSpec

INPUTS_FILE = "inputs.parquet"


@dataclass(frozen=True)
class Withheld:
    """`spec` asks for predictions on inputs alone; `truth` and `marks` stay with the parent."""

    spec: EvaluationSpec
    truth: Any  # of the task's answer kind
    marks: Marks = Marks()


def withhold_truth(spec: EvaluationSpec, task: Task, folder: Path) -> Withheld:
    """Write the inputs of `spec` into `folder` without what is right, and hand that back.

    Args:
        task: `get_task(spec.task)`.
        folder: an existing folder that the child may read.

    Raises:
        UserError: whatever is wrong with the data, found here before a child is started.
    """
    items = read_items(spec.data, task.inputs, task.truth)
    kind = load_kind(task.answer)
    truth = kind.read_truth(items, spec)
    path = folder / INPUTS_FILE
    ids = pa.array(items.item_ids, pa.string())
    pq.write_table(items.inputs.append_column(ID_ROLE, ids), path, compression="zstd")
    data = dataclasses.replace(spec.data, files=(str(path),), columns={}, limit=None)
    asked = dataclasses.replace(kind.for_child(spec, truth), data=data)
    return Withheld(asked, truth, items.marks)
