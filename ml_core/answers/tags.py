"""The answer is a tag for each word of a text; a model gives a score for each of its own tags."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.answers.kind import AnswerKind, Collected, LabelFacts
from ml_core.answers.label import softmax
from ml_core.arrays import Ints
from ml_core.data.labels import LabelMap, number_labels, resolve_label_map
from ml_core.data.roles import TAGS_ROLE, WORDS_ROLE
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
from ml_core.load.config import classifier_labels
from ml_core.metrics import Setting
from ml_core.metrics.spans import (
    NEED_IOB2,
    OUTSIDE,
    TagCounts,
    count_tags,
    f1_of,
    iob2_scheme,
    precision_of,
    recall_of,
)
from ml_core.results import ClassScore, PredictionsFile, Scores
from ml_core.specs import EvaluationSpec

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("prediction", pa.list_(pa.string())),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
    ]
)
NO_TOKEN = "no_token"


@dataclass(frozen=True)
class TagTruth:
    """The right tag of each word, as numbers into `labels`."""

    item_ids: tuple[str, ...]
    tags: tuple[Ints, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class TagPredictions:
    """The answered tags of each item, None where there are none."""

    item_ids: tuple[str, ...]
    tags: tuple[Ints | None, ...]
    labels: tuple[str, ...]
    truncated: NDArray[np.bool_]
    errors: tuple[str | None, ...]

    @property
    def n_missing(self) -> int:
        return sum(tags is None for tags in self.tags)


class TagsKind(AnswerKind[TagPredictions, TagTruth, LabelMap]):
    """A value collected for an item are the logits of its words, shape `(words, model tags)`.

    A word that the tokenizer leaves no token of has a row of NaN. It is answered `O`, or the item
    fails where there is no such tag.
    """

    name = "tags"

    def has_truth(self, items: Items) -> bool:
        return items.truth_column(TAGS_ROLE) is not None

    def read_truth(self, items: Items, spec: EvaluationSpec) -> TagTruth:
        column = _tag_column(items)
        _check_lengths(column, items)
        labels = _labels(items, spec)
        numbers = number_labels(pc.list_flatten(column), labels)
        ends = np.cumsum(pc.list_value_length(column).to_numpy())
        tags = tuple(np.split(numbers, ends[:-1]))
        truth = TagTruth(items.item_ids, tags, labels)
        _require_scheme(spec.metrics, labels)
        return truth

    def for_child(self, spec: EvaluationSpec, truth: TagTruth) -> EvaluationSpec:
        """The names of the tags are told; which are right is not."""
        return replace(spec, labels=truth.labels)

    def fit(self, checkpoint: Checkpoint, items: Items, spec: EvaluationSpec) -> LabelMap:
        labels = _labels(items, spec)
        return resolve_label_map(classifier_labels(checkpoint.config), labels, spec.label_map)

    def label_facts(self, fit: LabelMap) -> LabelFacts:
        return LabelFacts(fit.labels, fit.to_names())

    def predictions(self, collected: Collected, items: Items, fit: LabelMap) -> TagPredictions:
        errors = dict(collected.errors)
        outside = fit.labels.index(OUTSIDE) if OUTSIDE in fit.labels else None
        tags: list[Ints | None] = []
        for at, logits in enumerate(collected.values):
            found = None if logits is None else _tags(logits, fit, outside)
            if logits is not None and found is None:
                errors[at] = NO_TOKEN
            tags.append(found)
        said = tuple(errors.get(at) for at in range(len(items)))
        return TagPredictions(items.item_ids, tuple(tags), fit.labels, collected.truncated, said)

    def write(self, predictions: TagPredictions, path: Path) -> PredictionsFile:
        names = [_names(tags, predictions.labels) for tags in predictions.tags]
        columns = [predictions.item_ids, names, predictions.truncated, predictions.errors]
        return write_rows(path, SCHEMA, columns)

    def read(self, path: Path, truth: TagTruth) -> TagPredictions:
        longest = max((len(name.encode()) for name in truth.labels), default=0)
        most = max((len(tags) for tags in truth.tags), default=0)
        try:
            table = read_rows(
                path, truth.item_ids, SCHEMA, max_item_bytes=ITEM_BYTES + most * (longest + 16)
            )
            tags = _read_tags(table.column("prediction").to_pylist(), truth)
            marks = truncated_of(table), errors_of(table)
            return TagPredictions(truth.item_ids, tags, truth.labels, *marks)
        except READ_ERRORS as error:
            raise unusable(error) from error

    def samples(self, predictions: TagPredictions, truth: TagTruth) -> pa.Table:
        """`n_correct` of `n_words` words are tagged rightly; with IOB2 `found`, `true` and
        `answered` count entities."""
        pairs = list(zip(predictions.tags, truth.tags, strict=True))
        scheme = iob2_scheme(truth.labels)
        right = [None if p is None else int((p == t).sum()) for p, t in pairs]
        columns: dict[str, pa.Array] = {
            "item_id": pa.array(truth.item_ids, pa.string()),
            "target": pa.array([_names(t, truth.labels) for t in truth.tags]),
            "prediction": pa.array(
                [_names(p, truth.labels) for p in predictions.tags], pa.list_(pa.string())
            ),
            "n_correct": pa.array(right, pa.int64()),
            "n_words": pa.array([len(t) for t in truth.tags], pa.int64()),
        }
        if scheme is not None:
            counts = [None if p is None else count_tags([t], [p], scheme) for p, t in pairs]
            for place, name in enumerate(("found", "true", "answered")):
                columns[name] = pa.array([_sum_of(one, place) for one in counts], pa.int64())
        columns["truncated"] = pa.array(predictions.truncated.tolist(), pa.bool_())
        columns["error"] = pa.array(predictions.errors, pa.string())
        metadata = {"labels": json.dumps(truth.labels, ensure_ascii=False)}
        return pa.table(columns).replace_schema_metadata(metadata)

    def score(
        self,
        predictions: TagPredictions,
        truth: TagTruth,
        *,
        metrics: Sequence[str],
        setting: Setting,
    ) -> Scores:
        if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
            raise ValueError("predictions and truth are not of the same items and labels")
        _require_scheme(metrics, truth.labels)
        pairs = zip(predictions.tags, truth.tags, strict=True)
        answered = [(t, p) for p, t in pairs if p is not None]
        counts = count_tags(
            [t for t, _ in answered], [p for _, p in answered], iob2_scheme(truth.labels)
        )
        values = tuple(self.metric(name).compute(counts, setting) for name in metrics)
        return Scores(values, _type_scores(counts))

    def label_names(self, truth: TagTruth) -> tuple[str, ...]:
        return truth.labels


KIND = TagsKind()


def _tag_column(items: Items) -> pa.Array:
    column = items.truth_column(TAGS_ROLE)
    if column is None:
        raise UserError(Code.MISSING_COLUMN, "The data has no column of tags.", role=TAGS_ROLE)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise UserError(
            Code.BROKEN_ROW, f"The column of tags holds {column.type}; each row needs a list."
        )
    return column.combine_chunks()


def _check_lengths(column: pa.Array, items: Items) -> None:
    refuse_rows(pc.is_null(column), items.item_ids, "have no tags")
    n_tags = pc.list_value_length(column)
    n_words = pc.list_value_length(items.inputs.column(WORDS_ROLE).combine_chunks())
    differ = pc.not_equal(n_tags, n_words)
    refuse_rows(differ, items.item_ids, "have another number of tags than of words")
    flat = pc.list_flatten(column)
    if flat.null_count:
        parents = pc.list_parent_indices(column).to_numpy()
        broken = np.zeros(len(items), dtype=np.bool_)
        broken[parents[pc.is_null(flat).to_numpy(zero_copy_only=False)]] = True
        refuse_rows(pa.array(broken), items.item_ids, "have a word without tag")


def _labels(items: Items, spec: EvaluationSpec) -> tuple[str, ...]:
    """The tags in order: those the spec names, else the file's own, else those that occur."""
    if spec.labels:
        return spec.labels
    if named := items.names.get(TAGS_ROLE):
        return named
    flat = pc.list_flatten(_tag_column(items))
    if pa.types.is_integer(flat.type):
        raise UserError(
            Code.UNKNOWN_LABEL,
            "The tags are numbers and nothing names them: list their names under labels in "
            "eval.yaml, in the order of the numbers.",
        )
    return tuple(sorted({str(value) for value in pc.unique(flat.drop_null()).to_pylist()}))


def _require_scheme(metrics: Sequence[str], labels: tuple[str, ...]) -> None:
    """Raise `spec_invalid` where entities are asked for and the tags make none."""
    asked = sorted(NEED_IOB2.intersection(metrics))
    if asked and iob2_scheme(labels) is None:
        raise UserError(
            Code.SPEC_INVALID,
            f"{asked[0]} needs tags in IOB2 (O, B-PLACE, I-PLACE ...); these tags are of another "
            "kind. Ask for tag_accuracy alone.",
        )


def _tags(logits: NDArray[np.float32], fit: LabelMap, outside: int | None) -> Ints | None:
    """The tag of each word; None where one has no token and there is no tag for that."""
    seen = ~np.isnan(logits).any(axis=1)
    if outside is None and not seen.all():
        return None
    tags = np.full(len(logits), outside or 0, dtype=np.int64)
    if seen.any():
        tags[seen] = fit.project(softmax(logits[seen])).argmax(axis=1)
    return tags


def _names(tags: Ints | None, labels: tuple[str, ...]) -> list[str] | None:
    return None if tags is None else [labels[at] for at in tags]


def _read_tags(rows: list[Any], truth: TagTruth) -> tuple[Ints | None, ...]:
    """Label numbers of what the job wrote, each item with as many as it has words."""
    places = {name: at for at, name in enumerate(truth.labels)}
    found: list[Ints | None] = []
    for row, right in zip(rows, truth.tags, strict=True):
        if row is None:
            found.append(None)
            continue
        if len(row) != len(right):
            raise ValueError("an item has another number of tags than of words")
        strange = [name for name in row if name not in places]
        if strange:
            raise ValueError(f"it predicts {strange[0]!r}, which is no label")
        found.append(np.array([places[name] for name in row], dtype=np.int64))
    return tuple(found)


def _sum_of(counts: TagCounts | None, place: int) -> int | None:
    if counts is None or counts.entities is None:
        return None
    return int(counts.entities[0, :, place].sum())


def _type_scores(counts: TagCounts) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of each entity type that is true or answered at least once."""
    if counts.entities is None:
        return ()
    sums = counts.entities.sum(axis=0)
    scores = zip(precision_of(sums), recall_of(sums), f1_of(sums), strict=True)
    return tuple(
        ClassScore(
            name,
            _number(precision),
            _number(recall),
            _number(f1),
            support=int(sums[at, 1]),
            predicted=int(sums[at, 2]),
        )
        for at, (name, (precision, recall, f1)) in enumerate(zip(counts.types, scores, strict=True))
        if sums[at, 1] or sums[at, 2]
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
