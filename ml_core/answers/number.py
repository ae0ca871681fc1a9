"""The answer is a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected
from ml_core.arrays import Floats
from ml_core.data.roles import TARGET_ROLE
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
from ml_core.metrics.numbers import Residuals
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

LARGEST = 1e100
"""Squares of larger numbers, summed, leave what a float can hold."""
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("prediction", pa.float64()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class RightNumbers:
    item_ids: tuple[str, ...]
    numbers: Floats


@dataclass(frozen=True)
class Numbers:
    """The number answered to each item, NaN where there is none."""

    item_ids: tuple[str, ...]
    values: Floats
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return int(np.isnan(self.values).sum())


class NumberKind(AnswerKind[Numbers, RightNumbers, None]):
    """A value collected for an item is the number."""

    name = "number"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(TARGET_ROLE) is not None

    def read_truth(self, items: Items, _spec: EvaluationSpec) -> RightNumbers:
        column = items.truth_column(TARGET_ROLE)
        if column is None:
            raise UserError(Code.MISSING_COLUMN, "The data has no targets.", role=TARGET_ROLE)
        try:
            values = column.cast(pa.float64())
        except pa.ArrowException as error:
            text = f"The column of targets holds {column.type}, not numbers."
            raise UserError(Code.BROKEN_ROW, text) from error
        strange = pc.greater(pc.abs(pc.fill_null(values, np.inf)), LARGEST)
        broken = pc.or_(strange, pc.is_nan(pc.fill_null(values, 0.0)))
        refuse_rows(broken, items.item_ids, f"have no number within ±{LARGEST:g} as target")
        return RightNumbers(items.item_ids, values.to_numpy())

    def fit(self, _checkpoint: Checkpoint, _items: Items, _spec: EvaluationSpec) -> None:
        return None

    def predictions(self, collected: Collected, items: Items, _fit: None) -> Numbers:
        values = [np.nan if value is None else float(value) for value in collected.values]
        said = tuple(collected.errors.get(at) for at in range(len(items)))
        return Numbers(items.item_ids, np.array(values), collected.truncated, said)

    def write(self, predictions: Numbers, path: Path) -> PredictionsFile:
        values = pa.array(predictions.values, mask=np.isnan(predictions.values))
        columns = [predictions.item_ids, values, predictions.truncated, predictions.errors]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: RightNumbers) -> Numbers:
        try:
            table = read_rows(path, truth.item_ids, SCHEMA)
            column = table.column("prediction").cast(pa.float64())
            values = column.to_numpy(zero_copy_only=False).astype(np.float64)
            if (np.abs(values[~column.is_null().to_numpy()]) > LARGEST).any():
                raise ValueError("a number is too large")
            marks = truncated_of(table), errors_of(table)
            return Numbers(truth.item_ids, values, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: Numbers, truth: RightNumbers) -> pa.Table:
        """`spread` is how far a target is from the mean of all, which R² is read from."""
        missing = np.isnan(predictions.values)
        apart = predictions.values - truth.numbers
        spread = truth.numbers - _centre(truth)
        return pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "target": pa.array(truth.numbers),
                "prediction": pa.array(predictions.values, mask=missing),
                "absolute_error": pa.array(np.abs(apart), mask=missing),
                "squared_error": pa.array(apart**2, mask=missing),
                "spread": pa.array(spread),
                "squared_spread": pa.array(spread**2),
                "one": pa.array(np.ones(len(spread))),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )

    def score(
        self,
        predictions: Numbers,
        truth: RightNumbers,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids:
            raise ValueError("predictions and truth are not of the same items")
        there = ~np.isnan(predictions.values)
        residuals = Residuals(predictions.values[there], truth.numbers[there], _centre(truth))
        return Scores(tuple(self.metric(name).compute(residuals, setting) for name in metrics))


KIND = NumberKind()


def _centre(truth: RightNumbers) -> float:
    return float(truth.numbers.mean()) if len(truth.numbers) else 0.0
