"""The answer is a piece of a text that the item gives, or silence; several may be right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected
from ml_core.data.roles import ANSWERS_ROLE, CONTEXT_ROLE
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
from ml_core.metrics.answers import Agreement, exact_of, f1_of
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("prediction", pa.string()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class RightSpans:
    """The right answers to each item, none where silence is right; and the texts they are from."""

    item_ids: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    contexts: tuple[str, ...]


@dataclass(frozen=True)
class SpanPredictions:
    """The answer to each item, empty for silence, None where there is none."""

    item_ids: tuple[str, ...]
    answers: tuple[str | None, ...]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return sum(answer is None for answer in self.answers)


class SpanKind(AnswerKind[SpanPredictions, RightSpans, None]):
    """A value collected for an item is the text of the answer."""

    name = "span"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(ANSWERS_ROLE) is not None

    def read_truth(self, items: Items, _spec: EvaluationSpec) -> RightSpans:
        contexts = tuple(items.inputs.column(CONTEXT_ROLE).to_pylist())
        answers = _right(items)
        pairs = zip(answers, contexts, strict=True)
        absent = pa.array([any(a not in context for a in row) for row, context in pairs])
        refuse_rows(absent, items.item_ids, "have an answer that is not in their context")
        return RightSpans(items.item_ids, answers, contexts)

    def for_child(self, spec: EvaluationSpec, truth: RightSpans) -> EvaluationSpec:
        """Whether silence is ever right is told; where it is, is not."""
        return replace(spec, may_be_silent=any(not row for row in truth.answers))

    def fit(self, _checkpoint: Checkpoint, _items: Items, _spec: EvaluationSpec) -> None:
        return None

    def predictions(self, collected: Collected, items: Items, _fit: None) -> SpanPredictions:
        answers = tuple(None if value is None else str(value) for value in collected.values)
        said = tuple(collected.errors.get(at) for at in range(len(items)))
        return SpanPredictions(items.item_ids, answers, collected.truncated, said)

    def write(self, predictions: SpanPredictions, path: Path) -> PredictionsFile:
        columns = [
            predictions.item_ids,
            predictions.answers,
            predictions.truncated,
            predictions.errors,
        ]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: RightSpans) -> SpanPredictions:
        most = max((len(context.encode()) for context in truth.contexts), default=0)
        try:
            table = read_rows(path, truth.item_ids, SCHEMA, max_item_bytes=ITEM_BYTES + most)
            pairs = zip(table.column("prediction").to_pylist(), truth.contexts, strict=True)
            answers = tuple(_checked(answer, context) for answer, context in pairs)
            marks = truncated_of(table), errors_of(table)
            return SpanPredictions(truth.item_ids, answers, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: SpanPredictions, truth: RightSpans) -> pa.Table:
        pairs = list(zip(predictions.answers, truth.answers, strict=True))
        exact = [None if said is None else exact_of(said, right) for said, right in pairs]
        f1 = [None if said is None else f1_of(said, right) for said, right in pairs]
        return pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "target": pa.array([list(row) for row in truth.answers], pa.list_(pa.string())),
                "prediction": pa.array(predictions.answers, pa.string()),
                "exact_match": pa.array(exact, pa.float64()),
                "answer_f1": pa.array(f1, pa.float64()),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )

    def score(
        self,
        predictions: SpanPredictions,
        truth: RightSpans,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids:
            raise ValueError("predictions and truth are not of the same items")
        pairs = zip(predictions.answers, truth.answers, strict=True)
        there = [(said, right) for said, right in pairs if said is not None]
        agreement = Agreement(
            np.array([exact_of(said, right) for said, right in there], dtype=np.float64),
            np.array([f1_of(said, right) for said, right in there], dtype=np.float64),
        )
        return Scores(tuple(self.metric(name).compute(agreement, setting) for name in metrics))


KIND = SpanKind()


def _right(items: Items) -> tuple[tuple[str, ...], ...]:
    """Right answers: lists of texts, or SQuAD's `{text: [...], answer_start: [...]}`."""
    column = items.truth_column(ANSWERS_ROLE)
    if column is None:
        raise UserError(Code.MISSING_COLUMN, "The data has no right answers.", role=ANSWERS_ROLE)
    rows = column.combine_chunks()
    if pa.types.is_struct(rows.type) and rows.type.get_field_index("text") >= 0:
        rows = pc.struct_field(rows, "text")
    if not (pa.types.is_list(rows.type) or pa.types.is_large_list(rows.type)):
        raise UserError(
            Code.BROKEN_ROW,
            f"The column of answers holds {rows.type}; each row needs a list of texts, or "
            "{text, answer_start} as SQuAD has it.",
        )
    refuse_rows(pc.is_null(rows), items.item_ids, "have no list of answers")
    found: list[list[Any]] = rows.to_pylist()
    strange = pa.array([any(not isinstance(a, str) or not a for a in row) for row in found])
    refuse_rows(strange, items.item_ids, "have an answer that is no text")
    return tuple(tuple(row) for row in found)


def _checked(answer: str | None, context: str) -> str | None:
    if answer is not None and not isinstance(answer, str):
        raise TypeError("an answer is no text")
    if answer is not None and answer not in context:
        raise ValueError("an answer is not in its context")
    return answer
