"""The answer are boxes around the objects of an image, each with a category and a score."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected, LabelFacts
from ml_core.arrays import Floats
from ml_core.data.labels import LabelMap, resolve_label_map
from ml_core.data.objects import object_labels, read_objects
from ml_core.data.roles import OBJECTS_ROLE
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
from ml_core.metrics.detection import detections_of
from ml_core.metrics.matching import FoundObjects, TrueObjects, count_found
from ml_core.results import PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

MAX_FOUND = 100
"""Boxes kept of an image, those of the highest scores: as many as COCO's own evaluation takes."""
BOX_BYTES = 32
NO_CATEGORY = "N/A"
"""What models trained on COCO call the numbers that no category has."""
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("boxes", pa.list_(pa.float32())),
        ("scores", pa.list_(pa.float32())),
        ("labels", pa.list_(pa.int32())),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
"""`boxes` has x, y, width, height of one box after the other; `labels` are numbers."""


@dataclass(frozen=True)
class ObjectTruth:
    """The objects of each image, their categories as numbers into `labels`."""

    item_ids: tuple[str, ...]
    objects: tuple[TrueObjects, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class BoxPredictions:
    """What was found in each image, None where it was not looked at."""

    item_ids: tuple[str, ...]
    found: tuple[FoundObjects | None, ...]
    labels: tuple[str, ...]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return sum(found is None for found in self.found)


class BoxesKind(AnswerKind[BoxPredictions, ObjectTruth, LabelMap]):
    """A value collected for an item are its boxes, shape `(boxes, 6)`: left, top, right and bottom
    in pixels of the image, score, and the number of the model's own label."""

    name = "boxes"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(OBJECTS_ROLE) is not None

    def read_truth(self, items: Items, spec: EvaluationSpec) -> ObjectTruth:
        labels = object_labels(items, spec.labels)
        return ObjectTruth(items.item_ids, read_objects(items, labels), labels)

    def for_child(self, spec: EvaluationSpec, truth: ObjectTruth) -> EvaluationSpec:
        """The names of the categories are told; what is where is not."""
        return replace(spec, labels=truth.labels)

    def fit(self, checkpoint: Checkpoint, items: Items, spec: EvaluationSpec) -> LabelMap:
        model_labels = classifier_labels(checkpoint.config, least=1)
        return detector_map(model_labels, object_labels(items, spec.labels), spec.label_map)

    def label_facts(self, fit: LabelMap) -> LabelFacts:
        return LabelFacts(fit.labels, fit.to_names())

    def predictions(self, collected: Collected, items: Items, fit: LabelMap) -> BoxPredictions:
        found = tuple(None if v is None else _found(v, fit) for v in collected.values)
        said = tuple(collected.errors.get(at) for at in range(len(items)))
        return BoxPredictions(items.item_ids, found, fit.labels, collected.truncated, said)

    def write(self, predictions: BoxPredictions, path: Path) -> PredictionsFile:
        columns = [
            predictions.item_ids,
            [None if f is None else f.boxes.ravel().tolist() for f in predictions.found],
            [None if f is None else f.scores.tolist() for f in predictions.found],
            [None if f is None else f.labels.tolist() for f in predictions.found],
            predictions.truncated,
            predictions.errors,
        ]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: ObjectTruth) -> BoxPredictions:
        try:
            table = read_rows(
                path, truth.item_ids, SCHEMA, max_item_bytes=ITEM_BYTES + MAX_FOUND * BOX_BYTES
            )
            columns = [
                table.column(name).cast(SCHEMA.field(name).type) for name in SCHEMA.names[1:4]
            ]
            rows = zip(*(column.to_pylist() for column in columns), strict=True)
            found = tuple(_checked(b, s, n, len(truth.labels)) for b, s, n in rows)
            marks = truncated_of(table), errors_of(table)
            return BoxPredictions(truth.item_ids, found, truth.labels, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: BoxPredictions, truth: ObjectTruth) -> pa.Table:
        """`n_found` of `n_objects` objects were found at an overlap of a half by any of the boxes;
        crowds are in neither."""
        pairs = list(zip(predictions.found, truth.objects, strict=True))
        counts = [None if f is None else count_found(t, f, len(truth.labels)) for f, t in pairs]
        floats = pa.list_(pa.float64())
        boxes = pa.list_(floats)
        table = pa.table(
            {
                "item_id": pa.array(truth.item_ids, pa.string()),
                "target": pa.array(
                    [_names(t, truth.labels) for t in truth.objects], pa.list_(pa.string())
                ),
                "target_boxes": pa.array([t.boxes.tolist() for t in truth.objects], boxes),
                "target_crowd": pa.array(
                    [t.is_crowd.tolist() for t in truth.objects], pa.list_(pa.bool_())
                ),
                "target_areas": pa.array([t.areas.tolist() for t in truth.objects], floats),
                "prediction": pa.array(
                    [_names(f, truth.labels) for f in predictions.found], pa.list_(pa.string())
                ),
                "boxes": pa.array(
                    [None if f is None else f.boxes.tolist() for f in predictions.found],
                    pa.list_(pa.list_(pa.float32())),
                ),
                "scores": pa.array(
                    [None if f is None else f.scores.tolist() for f in predictions.found],
                    pa.list_(pa.float32()),
                ),
                "n_found": pa.array(counts, pa.int64()),
                "n_objects": pa.array(
                    [int((~t.is_crowd).sum()) for t in truth.objects], pa.int64()
                ),
                "truncated": pa.array(predictions.truncated.tolist(), pa.bool_()),
                "error": pa.array(predictions.errors, pa.string()),
            }
        )
        metadata = {"labels": json.dumps(truth.labels, ensure_ascii=False)}
        return table.replace_schema_metadata(metadata)

    def score(
        self,
        predictions: BoxPredictions,
        truth: ObjectTruth,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
            raise ValueError("predictions and truth are not of the same items and labels")
        pairs = zip(predictions.found, truth.objects, strict=True)
        there = [(found, right) for found, right in pairs if found is not None]
        detections = detections_of(
            [right for _, right in there], [found for found, _ in there], len(truth.labels)
        )
        return Scores(tuple(self.metric(name).compute(detections, setting) for name in metrics))

    def label_names(self, truth: ObjectTruth) -> tuple[str, ...]:
        return truth.labels


KIND = BoxesKind()


def detector_map(
    model_labels: Sequence[str], labels: Sequence[str], explicit: Mapping[str, str | None] | None
) -> LabelMap:
    """As `resolve_label_map`; labels called `N/A` stand for no category. Raises UserError."""
    named = [name for name in model_labels if name != NO_CATEGORY]
    if explicit is not None:
        explicit = {name: to for name, to in explicit.items() if name != NO_CATEGORY}
    targets = iter(resolve_label_map(named, labels, explicit).targets)
    placed = (None if name == NO_CATEGORY else next(targets) for name in model_labels)
    return LabelMap(tuple(model_labels), tuple(labels), tuple(placed))


def _found(rows: Floats, fit: LabelMap) -> FoundObjects:
    """The best boxes of those whose label leads to a category."""
    targets = np.array([-1 if at is None else at for at in fit.targets], dtype=np.int64)
    labels = targets[rows[:, 5].astype(np.int64)]
    kept = np.flatnonzero(labels >= 0)
    kept = kept[np.argsort(-rows[kept, 4], kind="stable")][:MAX_FOUND]
    corners = rows[kept, :4].astype(np.float32)
    sides = np.clip(corners[:, 2:] - corners[:, :2], 0, None)
    boxes = np.hstack([corners[:, :2], sides])
    return FoundObjects(boxes.astype(np.float64), labels[kept], rows[kept, 4].astype(np.float64))


def _checked(
    boxes: list[float] | None, scores: list[float] | None, labels: list[int] | None, n_labels: int
) -> FoundObjects | None:
    if boxes is None and scores is None and labels is None:
        return None
    if boxes is None or scores is None or labels is None:
        raise ValueError("an item has some of boxes, scores and labels, but not all")
    if not len(boxes) == 4 * len(scores) == 4 * len(labels):
        raise ValueError("an item has other numbers of boxes, scores and labels")
    if len(scores) > MAX_FOUND:
        raise ValueError(f"an item has more than {MAX_FOUND} boxes")
    places = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    values, numbers = np.array(scores, dtype=np.float64), np.array(labels, dtype=np.int64)
    if not (np.isfinite(places).all() and (places[:, 2:] >= 0).all()):
        raise ValueError("a box is not four numbers with a width and a height of 0 or more")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a score is not from 0 to 1")
    if not ((numbers >= 0) & (numbers < n_labels)).all():
        raise ValueError("a label is the number of no category")
    return FoundObjects(places, numbers, values)


def _names(objects: TrueObjects | FoundObjects | None, labels: tuple[str, ...]) -> list[str] | None:
    return None if objects is None else [labels[at] for at in objects.labels]
