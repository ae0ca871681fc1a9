"""What a conversion costs in score: two sets of answers to the same items. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_core.answers import load_kind
from ml_core.answers.kind import AnswerKind
from ml_core.assessment import assess
from ml_core.convert.results import Cost
from ml_core.data.marks import Marks
from ml_core.evaluate.evaluation import refuse_too_many_errors, setting_of
from ml_core.evaluate.tasks import get_task
from ml_core.published import Samples, compare_samples
from ml_core.results import Scores
from ml_core.specs import EvaluationSpec
from ml_core.statistics.comparison import Question

BEFORE, AFTER = "predictions_before.parquet", "predictions_after.parquet"


def cost_of(spec: EvaluationSpec, truth: Any, marks: Marks, folder: Path) -> Cost:
    """The scores of the answers in `folder`, and the paired comparison by the main metric.

    Args:
        truth: as the task's answer kind reads it.

    Raises:
        UserError: the answers cannot be read or used.
    """
    task = get_task(spec.task)
    kind = load_kind(task.answer)
    metrics = spec.metrics or task.metrics
    sides = [_side(spec, kind, truth, marks, folder / name, metrics) for name in (BEFORE, AFTER)]
    metric = kind.metric(metrics[0])
    question = Question(
        metric.name, metric.direction, seed=spec.engine.seed, n_draws=spec.bootstrap_draws
    )
    (before, rows_before), (after, rows_after) = sides
    found = compare_samples(
        Samples.of(rows_before, metric), Samples.of(rows_after, metric), question
    )
    return Cost(metric.name, before, after, found.comparison)


def _side(
    spec: EvaluationSpec,
    kind: AnswerKind[Any, Any, Any],
    truth: Any,
    marks: Marks,
    path: Path,
    metrics: Sequence[str],
) -> tuple[Scores, dict[str, Any]]:
    predictions = kind.read(path, truth)
    refuse_too_many_errors(predictions, spec.max_error_share)
    setting = setting_of(spec, predictions)
    found = assess(kind, predictions, truth, marks, metrics=metrics, setting=setting)
    return found.scores, found.samples.to_pydict()
