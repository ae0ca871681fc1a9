"""A predictions file held against an `eval.yaml` and a data file, before it is handed in.

The data may lack the column of what is right: then its labels must be named in `eval.yaml`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ml_core.answers import load_kind
from ml_core.data.schema import read_items
from ml_core.errors import Code, UserError
from ml_core.evalfile import TaskSpec, parse
from ml_core.evaluate.tasks import get_task
from ml_core.generation import ComparisonSpec, GenerationSpec
from ml_core.predictions.forms import predictions_of
from ml_core.predictions.reading import MAX_BYTES, read_submitted
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Checked:
    """A file that would be taken: for which task, with how many items."""

    task: str
    n_items: int


def check(
    eval_yaml: StrPath,
    data: StrPath,
    file: StrPath,
    *,
    task: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Checked:
    """Whether the benchmark would take `file`; nothing is scored.

    Args:
        task: id of the task, where `eval.yaml` has several.

    Raises:
        UserError: what is wrong, and where.
    """
    spec = _spec(_task(Path(eval_yaml), task), Path(data))
    family = get_task(spec.task)
    if not family.takes_predictions:
        text = f"Tasks of the type {spec.task!r} take no predictions files."
        raise UserError(Code.SPEC_INVALID, text)
    items = read_items(spec.data, family.inputs, family.truth)
    kind = load_kind(family.answer)
    if kind.has_truth(items):
        spec = kind.for_child(spec, kind.read_truth(items, spec))
    elif family.has_labels and not spec.labels:
        text = "The data has no right answers, and eval.yaml names no labels: nobody knows them."
        raise UserError(Code.SPEC_INVALID, text)
    rows = read_submitted(Path(file), max_rows=len(items), max_bytes=max_bytes)
    predictions_of(rows, items, spec)
    return Checked(spec.task, len(items))


def _task(path: Path, wanted: str | None) -> TaskSpec:
    try:
        found = parse(path.read_bytes())
    except OSError as error:
        raise UserError(Code.SPEC_INVALID, f"{path.name} cannot be read.") from error
    names = [task.id for task in found.tasks]
    chosen = [task for task in found.tasks if wanted in (None, task.id)]
    if len(chosen) == 1:
        return chosen[0]
    if found.problems:
        first = found.problems[0]
        text = f"{path.name} has an error at {first.where or 'its top'}: {first.code}."
        raise UserError(Code.SPEC_INVALID, text, **first.params)
    text = f"Name one of the tasks of {path.name}: {', '.join(names) or 'it has none'}."
    raise UserError(Code.SPEC_INVALID, text)


def _spec(task: TaskSpec, data: Path) -> EvaluationSpec:
    return EvaluationSpec(
        task=task.type,
        model=ModelSpec(""),
        data=DataSpec((str(data),), columns=dict(task.columns)),
        labels=task.labels,
        metrics=task.metrics,
        generation=task.generation or GenerationSpec(),
        comparison=task.comparison or ComparisonSpec(),
    )
