"""What the rows of a predictions file must hold, by answer kind, and what they become.

Every form has `item_id`. Where a value cannot be used, its line and column are named, with the
value itself, and never what would be right.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_core.answers import SUBMITTED_FORMS
from ml_core.answers.boxes import MAX_FOUND, BoxPredictions
from ml_core.answers.choice import ChoiceLikelihoods, check_choices
from ml_core.answers.number import LARGEST, Numbers
from ml_core.answers.similarity import Similarities
from ml_core.answers.span import SpanPredictions
from ml_core.answers.tags import TagPredictions
from ml_core.answers.text import TextPredictions, longest_answer
from ml_core.data.predictions import Predictions
from ml_core.data.roles import CONTEXT_ROLE, ID_ROLE, WORDS_ROLE
from ml_core.data.schema import Items
from ml_core.errors import Code, UserError
from ml_core.evaluate.tasks import get_task
from ml_core.metrics.matching import FoundObjects
from ml_core.predictions.columns import COLUMNS, Columns
from ml_core.predictions.reading import Row, finite, shown
from ml_core.specs import EvaluationSpec

MAX_SHOWN = 5
SUM_SLACK = 1e-3
"""How far the probabilities of an item may be from 1 together, by rounding."""


@dataclass(frozen=True)
class Form:
    """`read` makes predictions of the rows, which stand in the order of the items."""

    columns: Columns
    read: Callable[[Sequence[Row], Items, EvaluationSpec], Any]  # of the answer kind


def predictions_of(rows: Iterable[Row], items: Items, spec: EvaluationSpec) -> Any:
    """What a file says, as the task's answer kind has it.

    Raises:
        UserError: a column is lacking or strange, an item is asked for and not there, there twice
            or unknown, or a value cannot be used.
    """
    form = FORMS[SUBMITTED_FORMS[get_task(spec.task).answer]]
    places = {item_id: at for at, item_id in enumerate(items.item_ids)}
    found: list[Row | None] = [None] * len(places)
    for row in rows:
        _check_columns(row, form.columns)
        item_id = row.values[ID_ROLE]
        if isinstance(item_id, bool) or not isinstance(item_id, (str, int)):
            raise bad_value(row, ID_ROLE, "is neither text nor a whole number")
        at = places.get(str(item_id))
        if at is None:
            text = f"{row.place}: the benchmark has no item {shown(str(item_id))}."
            raise UserError(
                Code.PREDICTIONS_UNKNOWN_ITEM, text, place=row.place, item_id=str(item_id)[:200]
            )
        before = found[at]
        if before is not None:
            text = f"{row.place}: the item {shown(str(item_id))} is already in {before.place}."
            raise UserError(
                Code.PREDICTIONS_DOUBLE_ITEM,
                text,
                place=row.place,
                item_id=str(item_id)[:200],
                first=before.place,
            )
        found[at] = row
    missing = [items.item_ids[at] for at, row in enumerate(found) if row is None]
    if missing:
        first = ", ".join(missing[:MAX_SHOWN])
        raise UserError(
            Code.PREDICTIONS_MISSING_ITEMS,
            f"{len(missing)} of {len(found)} items have no prediction; the first: {first}.",
            n_missing=len(missing),
            n_items=len(found),
            item_ids=missing[:MAX_SHOWN],
        )
    return form.read([row for row in found if row is not None], items, spec)


def bad_value(row: Row, column: str, problem: str) -> UserError:
    value = shown(row.values.get(column))
    return UserError(
        Code.PREDICTIONS_VALUE,
        f"{row.place}, column {column}: {value} {problem}.",
        place=row.place,
        column=column,
        value=value,
        problem=problem,
    )


def _check_columns(row: Row, form: Columns) -> None:
    given = set(row.values)
    lacking = [name for name in (ID_ROLE, *form.required) if name not in given]
    strange = sorted(str(name) for name in given - {ID_ROLE, *form.required, *form.optional})
    if not lacking and not strange:
        return
    known = ", ".join((ID_ROLE, *form.required, *form.optional))
    what = f"lacks {lacking[0]}" if lacking else f"has the unknown column {shown(strange[0])}"
    raise UserError(
        Code.PREDICTIONS_COLUMN,
        f"{row.place} {what}; the columns are: {known}.",
        place=row.place,
        column=(lacking or strange)[0][:200],
        columns=known,
    )


def _plain(items: Items) -> tuple[Any, tuple[None, ...]]:
    """What an item handed in never has: a cut input, and an error."""
    return np.zeros(len(items), dtype=np.bool_), (None,) * len(items)


def _labels(rows: Sequence[Row], items: Items, spec: EvaluationSpec) -> Predictions:
    labels = spec.labels or ()
    places = {name: at for at, name in enumerate(labels)}
    has = ["probabilities" in row.values for row in rows]
    is_sure = bool(rows) and has[0]
    index = np.empty(len(rows), dtype=np.int64)
    probabilities = np.empty((len(rows), len(labels) if is_sure else 0), dtype=np.float32)
    for at, row in enumerate(rows):
        if has[at] != is_sure:
            raise bad_value(row, "probabilities", "must be given for all items or for none")
        said = row.values["prediction"]
        number = places.get(said, -1) if isinstance(said, str) else -1
        if number < 0:
            names = ", ".join(labels[:20])
            raise bad_value(row, "prediction", f"is none of the labels: {names}")
        index[at] = number
        if is_sure:
            probabilities[at] = _probabilities(row, labels)
            if probabilities[at, number] < probabilities[at].max():
                problem = "do not name the predicted label as the likeliest"
                raise bad_value(row, "probabilities", problem)
    return Predictions(items.item_ids, labels, index, probabilities, *_plain(items))


def _probabilities(row: Row, labels: tuple[str, ...]) -> list[float]:
    """A list in the order of the labels, or an object that names each of them."""
    given = row.values["probabilities"]
    if isinstance(given, dict):
        if set(given) != set(labels):
            raise bad_value(row, "probabilities", "must name every label, and no other")
        given = [given[name] for name in labels]
    if not isinstance(given, list) or len(given) != len(labels):
        raise bad_value(row, "probabilities", f"must be {len(labels)} numbers, one for each label")
    values = [finite(value) for value in given]
    if any(value is None or not 0 <= value <= 1 for value in values):
        raise bad_value(row, "probabilities", "must be numbers from 0 to 1")
    known = [value for value in values if value is not None]
    if abs(sum(known) - 1) > SUM_SLACK:
        raise bad_value(row, "probabilities", "must be 1 together")
    return known


def _tags(rows: Sequence[Row], items: Items, spec: EvaluationSpec) -> TagPredictions:
    labels = spec.labels or ()
    places = {name: at for at, name in enumerate(labels)}
    lengths = [len(words) for words in items.inputs.column(WORDS_ROLE).to_pylist()]
    found = []
    for row, n_words in zip(rows, lengths, strict=True):
        said = row.values["prediction"]
        if not isinstance(said, list) or len(said) != n_words:
            raise bad_value(row, "prediction", f"must be a list of {n_words} tags, one a word")
        strange = next((tag for tag in said if not isinstance(tag, str) or tag not in places), None)
        if strange is not None or None in said:
            names = ", ".join(labels[:20])
            raise bad_value(row, "prediction", f"has {shown(strange)}, none of the tags: {names}")
        found.append(np.array([places[tag] for tag in said], dtype=np.int64))
    return TagPredictions(items.item_ids, tuple(found), labels, *_plain(items))


def _texts(rows: Sequence[Row], items: Items, spec: EvaluationSpec) -> Any:
    kind = get_task(spec.task).answer
    longest = longest_answer(spec.generation.max_new_tokens)
    for row in rows:
        said = row.values["prediction"]
        if not isinstance(said, str):
            raise bad_value(row, "prediction", "is no text")
        if not _is_encodable(said):
            raise bad_value(row, "prediction", "holds half a character")
        if kind == "text" and len(said.encode()) > longest:
            raise bad_value(row, "prediction", f"is longer than {longest:,} bytes")
    texts = tuple(row.values["prediction"] for row in rows)
    if kind == "span":
        for row, context in zip(rows, items.inputs.column(CONTEXT_ROLE).to_pylist(), strict=True):
            if row.values["prediction"] not in context:
                raise bad_value(row, "prediction", "is no piece of the item's context")
        return SpanPredictions(items.item_ids, texts, *_plain(items))
    counts = np.zeros(len(texts), dtype=np.int64)
    return TextPredictions(items.item_ids, texts, counts, ("end",) * len(texts), *_plain(items))


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _numbers(rows: Sequence[Row], items: Items, spec: EvaluationSpec) -> Any:
    is_similarity = get_task(spec.task).answer == "similarity"
    most = 1.0 if is_similarity else LARGEST
    values = np.empty(len(rows))
    for at, row in enumerate(rows):
        value = finite(row.values["prediction"])
        if value is None:
            raise bad_value(row, "prediction", "is no finite number")
        if abs(value) > most:
            raise bad_value(row, "prediction", f"is not from {-most:g} to {most:g}")
        values[at] = value
    kind = Similarities if is_similarity else Numbers
    return kind(items.item_ids, values, *_plain(items))


def _choices(rows: Sequence[Row], items: Items, _spec: EvaluationSpec) -> ChoiceLikelihoods:
    found = []
    for row, choices in zip(rows, check_choices(items), strict=True):
        given = row.values["log_likelihoods"]
        n_choices = len(choices)
        if not isinstance(given, list) or len(given) != n_choices:
            problem = f"must be {n_choices} numbers, one for each choice"
            raise bad_value(row, "log_likelihoods", problem)
        values = [finite(value) for value in given]
        if any(value is None or value > 0 for value in values):
            raise bad_value(row, "log_likelihoods", "must be finite numbers of at most 0")
        found.append(np.array(values, dtype=np.float64))
    return ChoiceLikelihoods(items.item_ids, tuple(found), *_plain(items))


def _boxes(rows: Sequence[Row], items: Items, spec: EvaluationSpec) -> BoxPredictions:
    labels = spec.labels or ()
    places = {name: at for at, name in enumerate(labels)}
    found = tuple(_objects(row, places) for row in rows)
    return BoxPredictions(items.item_ids, found, labels, *_plain(items))


def _objects(row: Row, places: dict[str, int]) -> FoundObjects:
    """A list of `{"bbox": [x, y, width, height], "category": …, "score": …}`."""
    given = row.values["prediction"]
    if not isinstance(given, list) or len(given) > MAX_FOUND:
        raise bad_value(row, "prediction", f"must be a list of at most {MAX_FOUND} boxes")
    boxes, numbers, scores = [], [], []
    for one in given:
        values = one if isinstance(one, dict) else {}
        box, score = values.get("bbox"), finite(values.get("score"))
        sides = [finite(side) for side in box] if isinstance(box, list) else []
        known = [side for side in sides if side is not None]
        if len(sides) != 4 or len(known) != 4 or min(known[2:]) < 0:
            raise bad_value(row, "prediction", "has a box that is not [x, y, width, height]")
        category = values.get("category")
        if not isinstance(category, str) or category not in places:
            raise bad_value(row, "prediction", f"has no category {shown(category)}")
        if score is None or not 0 <= score <= 1:
            raise bad_value(row, "prediction", "has a score that is not from 0 to 1")
        boxes.append(known)
        numbers.append(places[category])
        scores.append(score)
    return FoundObjects(
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(numbers, dtype=np.int64),
        np.array(scores, dtype=np.float64),
    )


FORMS: dict[str, Form] = {
    name: Form(COLUMNS[name], read)
    for name, read in {
        "labels": _labels,
        "tags": _tags,
        "texts": _texts,
        "numbers": _numbers,
        "choices": _choices,
        "boxes": _boxes,
    }.items()
}
"""By the names of `ml_core.answers.SUBMITTED_FORMS`."""
