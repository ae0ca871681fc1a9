"""The answer is how likely the model finds a text. Nothing is withheld: the text is the truth."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected
from ml_core.arrays import Floats, Ints
from ml_core.data.rows import (
    READ_ERRORS,
    errors_of,
    read_rows,
    truncated_of,
    unusable,
    write_rows,
)
from ml_core.data.schema import Items
from ml_core.load.checkpoint import Checkpoint
from ml_core.metrics import Setting
from ml_core.metrics.likelihood import Foretold
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

TEXT_ROLE = "text"
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("log_likelihood", pa.float64()),
        ("n_tokens", pa.int64()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class TextSizes:
    """Bytes of UTF-8 and words between white space of each text, counted by the parent."""

    item_ids: tuple[str, ...]
    n_bytes: Ints
    n_words: Ints


@dataclass(frozen=True)
class Likelihoods:
    """Natural logarithm of each text's likelihood and its tokens; NaN and 0 where there is none."""

    item_ids: tuple[str, ...]
    log_likelihood: Floats
    n_tokens: Ints
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return int(np.isnan(self.log_likelihood).sum())


class LikelihoodKind(AnswerKind[Likelihoods, TextSizes, None]):
    """A value collected for an item is its log likelihood and its number of tokens."""

    name = "likelihood"

    def has_truth(self, _items: Items) -> bool:
        return True

    def read_truth(self, items: Items, _spec: EvaluationSpec) -> TextSizes:
        texts = items.inputs.column(TEXT_ROLE).to_pylist()
        n_bytes = np.array([len(text.encode()) for text in texts], dtype=np.int64)
        n_words = np.array([n_words_of(text) for text in texts], dtype=np.int64)
        return TextSizes(items.item_ids, n_bytes, n_words)

    def fit(self, _checkpoint: Checkpoint, _items: Items, _spec: EvaluationSpec) -> None:
        return None

    def predictions(self, collected: Collected, items: Items, _fit: None) -> Likelihoods:
        rows = [(np.nan, 0) if value is None else value for value in collected.values]
        return Likelihoods(
            items.item_ids,
            np.array([float(value) for value, _ in rows]),
            np.array([int(n) for _, n in rows], dtype=np.int64),
            collected.truncated,
            tuple(collected.errors.get(at) for at in range(len(items))),
        )

    def write(self, predictions: Likelihoods, path: Path) -> PredictionsFile:
        missing = np.isnan(predictions.log_likelihood)
        columns = [
            predictions.item_ids,
            pa.array(predictions.log_likelihood, mask=missing),
            predictions.n_tokens,
            predictions.truncated,
            predictions.errors,
        ]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: TextSizes) -> Likelihoods:
        try:
            table = read_rows(path, truth.item_ids, SCHEMA)
            return _checked(table, truth)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: Likelihoods, truth: TextSizes) -> pa.Table:
        """`bits_per_byte` is null where there is no likelihood, and for a text without bytes."""
        missing = np.isnan(predictions.log_likelihood)
        bits = -predictions.log_likelihood / np.log(2) / np.maximum(truth.n_bytes, 1)
        return pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "log_likelihood": pa.array(predictions.log_likelihood, mask=missing),
                "n_tokens": pa.array(predictions.n_tokens),
                "n_bytes": pa.array(truth.n_bytes),
                "n_words": pa.array(truth.n_words),
                "bits_per_byte": pa.array(bits, mask=missing | (truth.n_bytes == 0)),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )

    def score(
        self,
        predictions: Likelihoods,
        truth: TextSizes,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids:
            raise ValueError("predictions and truth are not of the same items")
        there = ~np.isnan(predictions.log_likelihood)
        foretold = Foretold(
            predictions.log_likelihood[there],
            truth.n_bytes[there].astype(np.float64),
            truth.n_words[there].astype(np.float64),
        )
        return Scores(tuple(self.metric(name).compute(foretold, setting) for name in metrics))


KIND = LikelihoodKind()


def n_words_of(text: str) -> int:
    """Pieces between white space, an empty one at either end included.

    Source: lm-evaluation-harness counts `re.split(r"\\s+", text)`; so do we, for the same number.
    """
    return len(_SPACE.split(text))


def _checked(table: pa.Table, truth: TextSizes) -> Likelihoods:
    column = table.column("log_likelihood").cast(pa.float64())
    missing = column.is_null().to_numpy()
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    if not np.isfinite(values[~missing]).all():
        raise ValueError("a log likelihood is no number")
    if (values[~missing] > 0).any():
        raise ValueError("a log likelihood is above 0")
    n_tokens = np.array(table.column("n_tokens").to_pylist(), dtype=np.int64)
    if (n_tokens < 0).any():
        raise ValueError("a number of tokens is below 0")
    return Likelihoods(truth.item_ids, values, n_tokens, truncated_of(table), errors_of(table))
