"""The answer is one label out of several; a model gives a score for each of its own labels."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected, LabelFacts
from ml_core.data.labels import LabelMap, Truth, label_names, read_truth, resolve_label_map
from ml_core.data.predictions import MISSING, Predictions, read_predictions, write_predictions
from ml_core.data.roles import LABEL_ROLE
from ml_core.data.schema import Items
from ml_core.load.checkpoint import Checkpoint
from ml_core.load.config import classifier_labels
from ml_core.metrics import Setting
from ml_core.results import PredictionsFile, Scores
from ml_core.scoring import in_top5, score
from ml_core.specs import EvaluationSpec

Scored = NDArray[np.float32]


class LabelKind(AnswerKind[Predictions, Truth, LabelMap]):
    """A value collected for an item is its logits, shape `(model labels,)`."""

    name = "label"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(LABEL_ROLE) is not None

    def read_truth(self, items: Items, spec: EvaluationSpec) -> Truth:
        return read_truth(items, label_names(items, spec.labels))

    def for_child(self, spec: EvaluationSpec, truth: Truth) -> EvaluationSpec:
        """The names of the labels are told; which is right is not."""
        return replace(spec, labels=truth.labels)

    def fit(self, checkpoint: Checkpoint, items: Items, spec: EvaluationSpec) -> LabelMap:
        model_labels = classifier_labels(checkpoint.config)
        return resolve_label_map(model_labels, label_names(items, spec.labels), spec.label_map)

    def label_facts(self, fit: LabelMap) -> LabelFacts:
        return LabelFacts(fit.labels, fit.to_names())

    def predictions(self, collected: Collected, items: Items, fit: LabelMap) -> Predictions:
        """Probabilities over the data's labels; ties go to the first label."""
        logits = np.full((len(items), len(fit.model_labels)), np.nan, dtype=np.float32)
        there = [at for at, value in enumerate(collected.values) if value is not None]
        if there:
            logits[there] = np.stack([collected.values[at] for at in there])
        projected = fit.project(softmax(logits))
        index = np.argmax(np.nan_to_num(projected, nan=-1.0), axis=1).astype(np.int64)
        failed = list(collected.errors)
        index[failed] = MISSING
        projected[failed] = np.nan
        said = tuple(collected.errors.get(row) for row in range(len(index)))
        return Predictions(items.item_ids, fit.labels, index, projected, collected.truncated, said)

    def write(self, predictions: Predictions, path: Path) -> PredictionsFile:
        return write_predictions(predictions, path)

    def read(self, path: Path, truth: Truth) -> Predictions:
        return read_predictions(path, truth.item_ids, truth.labels)

    def samples(self, predictions: Predictions, truth: Truth) -> pa.Table:
        """`correct` is null where there is no prediction; the label order is in the metadata."""
        return _samples(predictions, truth)

    def score(
        self, predictions: Predictions, truth: Truth, *, metrics: Sequence[str], setting: Setting
    ) -> Scores:
        return score(
            predictions,
            truth,
            metrics=metrics,
            seed=setting.seed,
            bootstrap_draws=setting.n_draws,
        )

    def label_names(self, truth: Truth) -> tuple[str, ...]:
        return truth.labels


KIND = LabelKind()


def softmax(logits: Scored) -> Scored:
    """Row-wise softmax, shape `(n, k)`; rows of NaN stay NaN."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    probabilities: Scored = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _top5(predictions: Predictions, truth: Truth) -> dict[str, pa.Array]:
    """Whether the right label is among the five likeliest, for labels enough."""
    found = in_top5(predictions, truth)
    if found is None:
        return {}
    return {"in_top5": pa.array(found, pa.bool_(), mask=predictions.label_index == MISSING)}


def _samples(predictions: Predictions, truth: Truth) -> pa.Table:
    labels = truth.labels
    answered = [int(at) for at in predictions.label_index]
    right = [int(at) for at in truth.label_index]
    pairs = list(zip(answered, right, strict=True))
    rows = list(zip(answered, predictions.probabilities.tolist(), strict=True))
    names = [None if at == MISSING else labels[at] for at in answered]
    correct = [None if a == MISSING else a == t for a, t in pairs]
    has_any = predictions.probabilities.shape[1] > 0
    probabilities = [row if has_any and at != MISSING else None for at, row in rows]
    table = pa.table(
        {
            "item_id": pa.array(truth.item_ids, pa.string()),
            "target": pa.array([labels[at] for at in right], pa.string()),
            "prediction": pa.array(names, pa.string()),
            "correct": pa.array(correct, pa.bool_()),
            **_top5(predictions, truth),
            "probabilities": pa.array(probabilities, pa.list_(pa.float32())),
            "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
            "error": pa.array(predictions.errors, pa.string()),
        }
    )
    return table.replace_schema_metadata({"labels": json.dumps(labels, ensure_ascii=False)})
