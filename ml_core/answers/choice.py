"""The answer is one of several that the item names; a model gives the likelihood of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected
from ml_core.arrays import Floats, Ints
from ml_core.asking import answers_to
from ml_core.data.roles import ANSWER_ROLE, CHOICES_ROLE
from ml_core.data.rows import (
    ITEM_BYTES,
    READ_ERRORS,
    errors_of,
    read_rows,
    truncated_of,
    unusable,
    write_rows,
)
from ml_core.data.schema import Items, refuse_rows
from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint
from ml_core.metrics import Setting
from ml_core.metrics.choices import outcomes_of
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("log_likelihoods", pa.list_(pa.float64())),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class RightChoice:
    """The number of the right answer to each item, and the bytes of all its answers."""

    item_ids: tuple[str, ...]
    answers: Ints
    n_bytes: tuple[Ints, ...]


@dataclass(frozen=True)
class ChoiceLikelihoods:
    """Log likelihood of each answer to each item, None where there is none."""

    item_ids: tuple[str, ...]
    likelihoods: tuple[Floats | None, ...]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return sum(values is None for values in self.likelihoods)


class ChoiceKind(AnswerKind[ChoiceLikelihoods, RightChoice, None]):
    """A value collected for an item are the log likelihoods of its answers, in their order."""

    name = "choice"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(ANSWER_ROLE) is not None

    def read_truth(self, items: Items, spec: EvaluationSpec) -> RightChoice:
        choices = check_choices(items)
        said = [answers_to(spec.asking, row) for row in choices]
        n_bytes = tuple(
            np.array([len(text.encode()) for text in row], dtype=np.int64) for row in said
        )
        return RightChoice(items.item_ids, _answers(items, choices), n_bytes)

    def fit(self, _checkpoint: Checkpoint, items: Items, _spec: EvaluationSpec) -> None:
        check_choices(items)

    def predictions(self, collected: Collected, items: Items, _fit: None) -> ChoiceLikelihoods:
        values = [None if v is None else np.array(v, dtype=np.float64) for v in collected.values]
        said = tuple(collected.errors.get(at) for at in range(len(items)))
        return ChoiceLikelihoods(items.item_ids, tuple(values), collected.truncated, said)

    def write(self, predictions: ChoiceLikelihoods, path: Path) -> PredictionsFile:
        lists = [None if v is None else v.tolist() for v in predictions.likelihoods]
        columns = [predictions.item_ids, lists, predictions.truncated, predictions.errors]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: RightChoice) -> ChoiceLikelihoods:
        most = max((len(row) for row in truth.n_bytes), default=0)
        try:
            table = read_rows(path, truth.item_ids, SCHEMA, max_item_bytes=ITEM_BYTES + 16 * most)
            column = table.column("log_likelihoods").cast(SCHEMA.field("log_likelihoods").type)
            pairs = zip(column.to_pylist(), truth.n_bytes, strict=True)
            values = tuple(_checked(row, len(lengths)) for row, lengths in pairs)
            marks = truncated_of(table), errors_of(table)
            return ChoiceLikelihoods(truth.item_ids, values, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: ChoiceLikelihoods, truth: RightChoice) -> pa.Table:
        """`prediction` is the likeliest answer's number; `correct` is null where there is none."""
        values = predictions.likelihoods
        said = [None if row is None else int(row.argmax()) for row in values]
        right = truth.answers.tolist()
        correct = [None if s is None else s == r for s, r in zip(said, right, strict=True)]
        return pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "target": pa.array(right, pa.int64()),
                "prediction": pa.array(said, pa.int64()),
                "correct": pa.array(correct, pa.bool_()),
                "log_likelihoods": pa.array(
                    [None if row is None else row.tolist() for row in values],
                    pa.list_(pa.float64()),
                ),
                "n_bytes": pa.array([row.tolist() for row in truth.n_bytes]),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )

    def score(
        self,
        predictions: ChoiceLikelihoods,
        truth: RightChoice,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids:
            raise ValueError("predictions and truth are not of the same items")
        there = [at for at, row in enumerate(predictions.likelihoods) if row is not None]
        outcomes = outcomes_of(
            [row for row in predictions.likelihoods if row is not None],
            [truth.n_bytes[at] for at in there],
            truth.answers[there],
        )
        return Scores(tuple(self.metric(name).compute(outcomes, setting) for name in metrics))


KIND = ChoiceKind()


def check_choices(items: Items) -> list[list[str]]:
    """The answers to choose from; raises UserError where an item has fewer than two."""
    column = items.inputs.column(CHOICES_ROLE)
    few = pc.less(pc.list_value_length(column), 2)
    refuse_rows(few, items.item_ids, "have fewer than two choices")
    choices: list[list[str]] = column.to_pylist()
    return choices


def _answers(items: Items, choices: list[list[str]]) -> Ints:
    """Numbers of the right answers, given as numbers from 0 or as the answers' own words."""
    column = items.truth_column(ANSWER_ROLE)
    if column is None:
        raise UserError(
            Code.MISSING_COLUMN, "The data has no column of right answers.", role=ANSWER_ROLE
        )
    refuse_rows(pc.is_null(column), items.item_ids, "have no right answer")
    given = column.to_pylist()
    numbers = [_place(value, row) for value, row in zip(given, choices, strict=True)]
    strange = pa.array([number < 0 for number in numbers])
    refuse_rows(strange, items.item_ids, "have a right answer that is none of their choices")
    return np.array(numbers, dtype=np.int64)


def _place(value: Any, choices: list[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < len(choices) else -1
    return choices.index(value) if value in choices else -1


def _checked(row: list[float] | None, n_choices: int) -> Floats | None:
    if row is None:
        return None
    if len(row) != n_choices:
        raise ValueError("an item has another number of likelihoods than of choices")
    values = np.array(row, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a log likelihood is no number")
    if (values > 0).any():
        raise ValueError("a log likelihood is above 0")
    return values
