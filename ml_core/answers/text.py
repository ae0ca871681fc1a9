"""The answer is a text that the model wrote; one text or several are right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.answers.filters import compile_filters
from ml_core.answers.kind import AnswerKind, Collected
from ml_core.arrays import Ints
from ml_core.data.roles import REFERENCES_ROLE, SUMMARY_ROLE, TARGETS_ROLE
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
from ml_core.evaluate.tasks import get_task
from ml_core.generation import STOP_REASONS, ComparisonSpec
from ml_core.load.checkpoint import Checkpoint
from ml_core.metrics import Setting
from ml_core.metrics.texts import ROUGE, Compared, item_values
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

TRUTH_ROLES = (SUMMARY_ROLE, REFERENCES_ROLE, TARGETS_ROLE)
"""Each family calls its right texts by another name; a data set has one of them."""
TOKEN_BYTES = 32
"""As many bytes of an answer as a token counts for; what is more is cut off."""
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("prediction", pa.string()),
        ("n_tokens", pa.int64()),
        ("stop", pa.string()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
_ROUGE_WORD = re.compile("[a-z0-9]")


@dataclass(frozen=True)
class Written:
    """What was collected for an item: the text, its tokens, and why it ended."""

    text: str
    n_tokens: int
    stop: str


@dataclass(frozen=True, eq=False)
class RightTexts:
    """The right texts of each item, at least one, and how answers are compared with them."""

    item_ids: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    comparison: ComparisonSpec
    metrics: tuple[str, ...]
    max_new_tokens: int


@dataclass(frozen=True, eq=False)
class TextPredictions:
    """The text for each item, None where there is none; then `n_tokens` is 0 and `stops` None."""

    item_ids: tuple[str, ...]
    texts: tuple[str | None, ...]
    n_tokens: Ints
    stops: tuple[str | None, ...]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return sum(text is None for text in self.texts)


class TextKind(AnswerKind[TextPredictions, RightTexts, None]):
    """A value collected for an item is what was `Written`."""

    name = "text"

    def has_truth(self, items: Items) -> bool:
        return _truth_column(items) is not None

    def read_truth(self, items: Items, spec: EvaluationSpec) -> RightTexts:
        """Raises UserError also where a filter or a metric cannot work on the right texts."""
        _, of_right = compile_filters(spec.comparison.filters)
        found = _right(items)
        metrics = spec.metrics or get_task(spec.task).metrics
        if any(name in ROUGE for name in metrics):
            strange = [any(not _ROUGE_WORD.search(one.lower()) for one in row) for row in found]
            problem = "have a right text without a letter from a to z or a digit, the only ones "
            problem += "that ROUGE counts; use chrf for other scripts"
            refuse_rows(pa.array(strange, pa.bool_()), items.item_ids, problem)
        right = tuple(tuple(of_right(one) for one in row) for row in found)
        new = spec.generation.max_new_tokens
        return RightTexts(items.item_ids, right, spec.comparison, metrics, new)

    def fit(self, _checkpoint: Checkpoint, _items: Items, _spec: EvaluationSpec) -> None:
        return None

    def predictions(self, collected: Collected, items: Items, _fit: None) -> TextPredictions:
        found: list[Written | None] = list(collected.values)
        return TextPredictions(
            items.item_ids,
            tuple(one.text if one else None for one in found),
            np.array([one.n_tokens if one else 0 for one in found], dtype=np.int64),
            tuple(one.stop if one else None for one in found),
            collected.truncated,
            tuple(collected.errors.get(at) for at in range(len(items))),
        )

    def write(self, predictions: TextPredictions, path: Path) -> PredictionsFile:
        columns = [
            predictions.item_ids,
            predictions.texts,
            predictions.n_tokens,
            predictions.stops,
            predictions.truncated,
            predictions.errors,
        ]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: RightTexts) -> TextPredictions:
        most = ITEM_BYTES + longest_answer(truth.max_new_tokens)
        try:
            table = read_rows(path, truth.item_ids, SCHEMA, max_item_bytes=most)
            return _checked(table, truth)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: TextPredictions, truth: RightTexts) -> pa.Table:
        """Beside the answer as it was written: what the filters left of it, and its scores."""
        compared = _compared(predictions, truth)
        there = [at for at, text in enumerate(predictions.texts) if text is not None]
        filtered: list[str | None] = [None] * len(predictions.texts)
        for at, text in zip(there, compared.answers, strict=True):
            filtered[at] = text
        values = {
            name: _spread(rows, there, len(filtered))
            for name, rows in item_values(compared, truth.metrics).items()
        }
        right = [list(row) for row in truth.texts]
        return pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "target": pa.array(right, pa.list_(pa.string())),
                "prediction": pa.array(predictions.texts, pa.string()),
                "filtered": pa.array(filtered, pa.string()),
                **values,
                "n_tokens": pa.array(predictions.n_tokens),
                "stop": pa.array(predictions.stops, pa.string()),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )

    def score(
        self,
        predictions: TextPredictions,
        truth: RightTexts,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids:
            raise ValueError("predictions and truth are not of the same items")
        compared = _compared(predictions, truth)
        return Scores(tuple(self.metric(name).compute(compared, setting) for name in metrics))


KIND = TextKind()


def longest_answer(max_new_tokens: int) -> int:
    """Bytes of UTF-8 that an answer may have."""
    return ITEM_BYTES + max_new_tokens * TOKEN_BYTES


@lru_cache(maxsize=1)
def _compared(predictions: TextPredictions, truth: RightTexts) -> Compared:
    """Answers beside right texts; kept for the last run, since scores and rows both count."""
    of_answer, _ = compile_filters(truth.comparison.filters)
    pairs = zip(predictions.texts, truth.texts, strict=True)
    there = [(of_answer(said), right) for said, right in pairs if said is not None]
    return Compared(
        tuple(said for said, _ in there),
        tuple(right for _, right in there),
        truth.comparison.bleu_tokenizer,
    )


def _spread(rows: NDArray[np.float64], there: list[int], n: int) -> pa.Array:
    """Values of the items that were answered as a column over all: a number or a list each."""
    column: list[Any] = [None] * n
    for at, row in zip(there, rows, strict=True):
        column[at] = row.tolist() if rows.ndim == 2 else float(row)
    kind = pa.list_(pa.float64()) if rows.ndim == 2 else pa.float64()
    return pa.array(column, kind)


def _truth_column(items: Items) -> pa.ChunkedArray | None:
    found = (items.truth_column(role) for role in TRUTH_ROLES)
    return next((column for column in found if column is not None), None)


def _right(items: Items) -> list[list[str]]:
    """Right texts: one text in each row, or a list of one or more."""
    column = _truth_column(items)
    if column is None:
        raise UserError(Code.MISSING_COLUMN, "The data has no right texts.", role="targets")
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    of = kind.value_type if is_list else kind
    if not (pa.types.is_string(of) or pa.types.is_large_string(of)):
        raise UserError(
            Code.BROKEN_ROW,
            f"The column of right texts holds {kind}; each row needs a text or a list of texts.",
        )
    refuse_rows(pc.is_null(column), items.item_ids, "have no right text")
    values = column.to_pylist()
    found: list[list[str]] = values if is_list else [[value] for value in values]
    empty = [not row or any(not text or not text.strip() for text in row) for row in found]
    problem = "have no right text, or one that is empty"
    refuse_rows(pa.array(empty, pa.bool_()), items.item_ids, problem)
    return found


def _checked(table: pa.Table, truth: RightTexts) -> TextPredictions:
    texts = tuple(table.column("prediction").to_pylist())
    stops = tuple(table.column("stop").to_pylist())
    numbers = table.column("n_tokens").to_pylist()
    longest = longest_answer(truth.max_new_tokens)
    for text, stop, number in zip(texts, stops, numbers, strict=True):
        if text is not None and not isinstance(text, str):
            raise TypeError("an answer is no text")
        if text is not None and len(text.encode()) > longest:
            raise ValueError("an answer is longer than its tokens allow")
        if (stop is None) != (text is None) or (stop is not None and stop not in STOP_REASONS):
            raise ValueError("why an answer ended is not said")
        if type(number) is not int or not 0 <= number <= truth.max_new_tokens:
            raise ValueError("an answer has another number of tokens than it may")
    n_tokens = np.array(numbers, dtype=np.int64)
    marks = truncated_of(table), errors_of(table)
    return TextPredictions(truth.item_ids, texts, n_tokens, stops, *marks)
