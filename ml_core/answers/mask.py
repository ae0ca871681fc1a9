"""The answer is a label for every pixel of an image."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected, LabelFacts
from ml_core.arrays import Floats, Ints
from ml_core.data.labels import LabelMap, resolve_label_map
from ml_core.data.masks import IGNORED, mask_labels, read_masks
from ml_core.data.roles import MASK_ROLE
from ml_core.data.rows import (
    ITEM_BYTES,
    READ_ERRORS,
    errors_of,
    read_rows,
    truncated_of,
    unusable,
    write_rows,
)
from ml_core.data.schema import Items
from ml_core.load.checkpoint import Checkpoint
from ml_core.load.config import classifier_labels
from ml_core.metrics import Setting
from ml_core.metrics.runs import Runs, matrix_of
from ml_core.metrics.segmentation import counts_of, iou_of, mean_iou_of, sums_of_matrix
from ml_core.results import PredictionsFile, Scores
from ml_core.scoring import class_scores, confusion
from ml_core.specs import EvaluationSpec

NONE = int(np.iinfo(np.uint16).max)
"""The label of pixels that the model answers with a label that leads nowhere."""
NONE_NAME = "(none)"
PIXEL_BYTES = 2
"""Of the file, a pixel: more than noise takes."""
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("labels", pa.binary()),
        ("lengths", pa.binary()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
"""`labels` and `lengths` are those of runs, little-endian numbers of 16 bits."""


@dataclass(frozen=True)
class TrueMasks:
    """The mask of each image, with numbers into `labels`."""

    item_ids: tuple[str, ...]
    masks: tuple[Runs, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class MaskPredictions:
    """The answered mask of each image, None where there is none."""

    item_ids: tuple[str, ...]
    masks: tuple[Runs | None, ...]
    labels: tuple[str, ...]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return sum(mask is None for mask in self.masks)


class MaskKind(AnswerKind[MaskPredictions, TrueMasks, LabelMap]):
    """A value collected for an item are the runs of its mask, shape `(runs, 2)`: the number of the
    model's own label, and how many pixels."""

    name = "mask"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(MASK_ROLE) is not None

    def read_truth(self, items: Items, spec: EvaluationSpec) -> TrueMasks:
        labels = mask_labels(items, spec.labels)
        return TrueMasks(items.item_ids, read_masks(items, len(labels)), labels)

    def for_child(self, spec: EvaluationSpec, truth: TrueMasks) -> EvaluationSpec:
        """The names of the labels are told; what is where is not."""
        return replace(spec, labels=truth.labels)

    def fit(self, checkpoint: Checkpoint, items: Items, spec: EvaluationSpec) -> LabelMap:
        labels = mask_labels(items, spec.labels)
        return resolve_label_map(classifier_labels(checkpoint.config), labels, spec.label_map)

    def label_facts(self, fit: LabelMap) -> LabelFacts:
        return LabelFacts(fit.labels, fit.to_names())

    def predictions(self, collected: Collected, items: Items, fit: LabelMap) -> MaskPredictions:
        targets = np.array([NONE if at is None else at for at in fit.targets], dtype=np.int64)
        masks = tuple(None if v is None else _mapped(v, targets) for v in collected.values)
        said = tuple(collected.errors.get(at) for at in range(len(items)))
        return MaskPredictions(items.item_ids, masks, fit.labels, collected.truncated, said)

    def write(self, predictions: MaskPredictions, path: Path) -> PredictionsFile:
        columns = [
            predictions.item_ids,
            [None if m is None else m.labels.astype("<u2").tobytes() for m in predictions.masks],
            [None if m is None else m.lengths.astype("<u2").tobytes() for m in predictions.masks],
            predictions.truncated,
            predictions.errors,
        ]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: TrueMasks) -> MaskPredictions:
        n_pixels = sum(mask.n_pixels for mask in truth.masks)
        share = PIXEL_BYTES * n_pixels // max(len(truth.masks), 1)
        try:
            table = read_rows(path, truth.item_ids, SCHEMA, max_item_bytes=ITEM_BYTES + share)
            columns = [table.column(name).cast(pa.binary()) for name in ("labels", "lengths")]
            rows = zip(*columns, truth.masks, strict=True)
            masks = tuple(
                _checked(labels.as_py(), lengths.as_py(), right.n_pixels, len(truth.labels))
                for labels, lengths, right in rows
            )
            marks = truncated_of(table), errors_of(table)
            return MaskPredictions(truth.item_ids, masks, truth.labels, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: MaskPredictions, truth: TrueMasks) -> pa.Table:
        """`hits`, `true` and `answered` count pixels by label; `mean_iou` is that of the image
        alone; `mask` has label and length of each run of what was answered, 65535 for no label."""
        matrices = _matrices(predictions, truth)
        sums = [None if m is None else sums_of_matrix(m) for m in matrices]
        whole = [None if s is None else s.sum(axis=0) for s in sums]
        iou = [None if s is None else _number(mean_iou_of(s.reshape(1, -1))[0]) for s in sums]
        numbers = pa.list_(pa.int64())
        columns = {
            name: pa.array([None if s is None else s[:, place] for s in sums], numbers)
            for place, name in enumerate(("hits", "true", "answered"))
        }
        runs = pa.struct({"labels": pa.list_(pa.uint16()), "lengths": pa.list_(pa.uint16())})
        masks = [m and {"labels": m.labels, "lengths": m.lengths} for m in predictions.masks]
        table = pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "n_correct": pa.array([None if w is None else w[0] for w in whole], pa.int64()),
                "n_pixels": pa.array([None if w is None else w[1] for w in whole], pa.int64()),
                "mean_iou": pa.array(iou, pa.float64()),
                **columns,
                "mask": pa.array(masks, runs),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )
        metadata = {"labels": json.dumps(truth.labels, ensure_ascii=False)}
        return table.replace_schema_metadata(metadata)

    def score(
        self,
        predictions: MaskPredictions,
        truth: TrueMasks,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
            raise ValueError("predictions and truth are not of the same items and labels")
        there = [matrix for matrix in _matrices(predictions, truth) if matrix is not None]
        counts = counts_of(there, len(truth.labels))
        values = tuple(self.metric(name).compute(counts, setting) for name in metrics)
        overlaps = iou_of(counts.labels.sum(axis=0))
        places = {label: at for at, label in enumerate(truth.labels)}
        per_class = tuple(
            replace(one, iou=_number(overlaps[places[one.label]]))
            for one in class_scores(counts.cells, truth.labels)
        )
        names = (*truth.labels, NONE_NAME) if counts.matrix[:, -1].any() else truth.labels
        return Scores(values, per_class, confusion(counts.cells, names))

    def label_names(self, truth: TrueMasks) -> tuple[str, ...]:
        return truth.labels


KIND = MaskKind()


def _mapped(runs: Floats, targets: Ints) -> Runs:
    values = runs.astype(np.int64)
    return Runs.of(targets[values[:, 0]], values[:, 1])


def _checked(
    labels: bytes | None, lengths: bytes | None, n_pixels: int, n_labels: int
) -> Runs | None:
    if labels is None and lengths is None:
        return None
    if labels is None or lengths is None or len(labels) != len(lengths) or len(labels) % 2:
        raise ValueError("a mask has other numbers of labels and lengths")
    runs = Runs(np.frombuffer(labels, dtype="<u2"), np.frombuffer(lengths, dtype="<u2"))
    if runs.n_pixels != n_pixels:
        raise ValueError("a mask has another number of pixels than its image")
    if (runs.lengths == 0).any():
        raise ValueError("a run of a mask has no pixels")
    if ((runs.labels >= n_labels) & (runs.labels != NONE)).any():
        raise ValueError("a mask holds a number that is no label")
    return runs


def _matrices(predictions: MaskPredictions, truth: TrueMasks) -> list[Ints | None]:
    """The matrix of each image that was answered."""
    pairs = zip(predictions.masks, truth.masks, strict=True)
    n_labels = len(truth.labels)
    return [
        None if said is None else matrix_of(right, said, n_labels, IGNORED) for said, right in pairs
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
