"""The split in two: inputs for the caged child, labels for the parent alone."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ml_core.data.labels import Truth, label_names, read_truth
from ml_core.data.schema import ID_ROLE, Role, read_items
from ml_core.specs import EvaluationSpec

INPUTS_FILE = "inputs.parquet"


@dataclass(frozen=True)
class Withheld:
    """`spec` asks for predictions on inputs without labels; `truth` stays with the parent."""

    spec: EvaluationSpec
    truth: Truth


def withhold_labels(spec: EvaluationSpec, roles: Sequence[Role], folder: Path) -> Withheld:
    """Write the inputs of `spec` into `folder` without their labels, and hand back the labels.

    Args:
        roles: the task's inputs, `get_task(spec.task).inputs`.
        folder: an existing folder that the child may read.

    Raises:
        UserError: whatever is wrong with the data, found here before a child is started.
    """
    items = read_items(spec.data, roles)
    labels = label_names(items, spec.labels)
    truth = read_truth(items, labels)
    path = folder / INPUTS_FILE
    ids = pa.array(items.item_ids, pa.string())
    pq.write_table(items.inputs.append_column(ID_ROLE, ids), path, compression="zstd")
    data = dataclasses.replace(spec.data, files=(str(path),), columns={}, limit=None)
    return Withheld(dataclasses.replace(spec, data=data, labels=labels), truth)
