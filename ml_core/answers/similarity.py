"""The answer is how alike two things are; people's judgement on any scale is the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected
from ml_core.arrays import Floats
from ml_core.data.roles import SCORE_ROLE
from ml_core.data.rows import (
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
from ml_core.metrics.similarity import Pairs
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("similarity", pa.float64()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
SLACK = 1e-4
"""How far a cosine may be outside -1 .. 1 by rounding."""


@dataclass(frozen=True)
class Judged:
    """People's score of each pair."""

    item_ids: tuple[str, ...]
    scores: Floats


@dataclass(frozen=True)
class Similarities:
    """The model's cosine of each pair, NaN where there is none."""

    item_ids: tuple[str, ...]
    values: Floats
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return int(np.isnan(self.values).sum())


class SimilarityKind(AnswerKind[Similarities, Judged, None]):
    """A value collected for an item is the cosine of its pair."""

    name = "similarity"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(SCORE_ROLE) is not None

    def read_truth(self, items: Items, _spec: EvaluationSpec) -> Judged:
        column = items.truth_column(SCORE_ROLE)
        if column is None:
            raise UserError(Code.MISSING_COLUMN, "The data has no scores.", role=SCORE_ROLE)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            raise UserError(
                Code.BROKEN_ROW, f"The column of scores holds {column.type}, not numbers."
            )
        values = column.cast(pa.float64())
        broken = pc.invert(pc.fill_null(pc.is_finite(values), False))
        refuse_rows(broken, items.item_ids, "have no finite score")
        return Judged(items.item_ids, values.to_numpy())

    def fit(self, _checkpoint: Checkpoint, _items: Items, _spec: EvaluationSpec) -> None:
        return None

    def predictions(self, collected: Collected, items: Items, _fit: None) -> Similarities:
        values = [np.nan if value is None else float(value) for value in collected.values]
        said = tuple(collected.errors.get(at) for at in range(len(items)))
        return Similarities(items.item_ids, np.array(values), collected.truncated, said)

    def write(self, predictions: Similarities, path: Path) -> PredictionsFile:
        values = pa.array(predictions.values, mask=np.isnan(predictions.values))
        columns = [predictions.item_ids, values, predictions.truncated, predictions.errors]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: Judged) -> Similarities:
        try:
            table = read_rows(path, truth.item_ids, SCHEMA)
            values = _checked(table.column("similarity").cast(pa.float64()))
            marks = truncated_of(table), errors_of(table)
            return Similarities(truth.item_ids, values, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: Similarities, truth: Judged) -> pa.Table:
        values = predictions.values
        return pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "target": pa.array(truth.scores),
                "prediction": pa.array(values, mask=np.isnan(values)),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )

    def score(
        self,
        predictions: Similarities,
        truth: Judged,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids:
            raise ValueError("predictions and truth are not of the same items")
        there = ~np.isnan(predictions.values)
        pairs = Pairs(predictions.values[there], truth.scores[there])
        return Scores(tuple(self.metric(name).compute(pairs, setting) for name in metrics))


KIND = SimilarityKind()


def _checked(column: pa.ChunkedArray) -> Floats:
    missing = column.is_null().to_numpy()
    values: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64)
    if not (np.abs(values[~missing]) <= 1 + SLACK).all():
        raise ValueError("a similarity is not from -1 to 1")
    return values
