"""Label names: of the data, of the model, and the map between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_core.arrays import Ints
from ml_core.data.roles import LABEL_ROLE
from ml_core.data.schema import Items
from ml_core.errors import Code, UserError

MAX_SHOWN = 20
MAX_LABELS = 100_000


@dataclass(frozen=True)
class Truth:
    """The right answers: for each item the number of its label in `labels`."""

    item_ids: tuple[str, ...]
    label_index: Ints
    labels: tuple[str, ...]


def label_names(items: Items, named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The data set's labels in order: those `named`, else the file's own, else those that occur.

    Raises:
        UserError: `dataset_missing_column` where neither names nor a label column are there.
    """
    if named:
        return named
    if named := items.names.get(LABEL_ROLE):
        return named
    column = items.truth_column(LABEL_ROLE)
    if column is None:
        raise UserError(
            Code.MISSING_COLUMN,
            "The data has no label column and the spec names no labels.",
            role="label",
        )
    values = column.drop_null()
    if pa.types.is_integer(values.type):
        return _numbered(max(values.to_pylist(), default=-1) + 1)
    return tuple(sorted({str(value) for value in values.to_pylist()}))


def _numbered(n_labels: int) -> tuple[str, ...]:
    if n_labels > MAX_LABELS:
        raise UserError(
            Code.UNKNOWN_LABEL,
            f"The label column counts up to {n_labels - 1:,}; it does not hold labels.",
        )
    return tuple(str(number) for number in range(n_labels))


def read_truth(items: Items, labels: tuple[str, ...]) -> Truth:
    """The label of each item as a number into `labels`.

    Raises:
        UserError: `dataset_missing_column`, `dataset_broken_row` (no label),
            `dataset_unknown_label`.
    """
    column = items.truth_column(LABEL_ROLE)
    if column is None:
        raise UserError(Code.MISSING_COLUMN, "The data has no label column.", role="label")
    values = column.to_pylist()
    absent = [item for item, value in zip(items.item_ids, values, strict=True) if value is None]
    if absent:
        raise UserError(
            Code.BROKEN_ROW,
            f"{len(absent)} rows have no label; the first: {', '.join(absent[:5])}.",
            item_ids=absent[:5],
        )
    return Truth(items.item_ids, number_labels(column, labels), labels)


def number_labels(column: pa.ChunkedArray | pa.Array, labels: tuple[str, ...]) -> Ints:
    """Names or numbers of labels, none of them null, as numbers into `labels`.

    Raises:
        UserError: `dataset_broken_row`, `dataset_unknown_label`.
    """
    values = column.to_pylist()
    places = _places(column.type, labels)
    numbers = [places.get(value, -1) for value in values]
    if -1 in numbers:
        raise _unknown_label(values[numbers.index(-1)], numbers.count(-1), labels)
    return np.array(numbers, dtype=np.int64)


def _places(kind: pa.DataType, labels: tuple[str, ...]) -> dict[object, int]:
    """Number of each value a label column of this type may hold."""
    if pa.types.is_integer(kind):
        return {number: number for number in range(len(labels))}
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return {name: number for number, name in enumerate(labels)}
    raise UserError(
        Code.BROKEN_ROW, f"The label column holds {kind}; labels are names or integers."
    )


def _unknown_label(value: object, n_rows: int, labels: tuple[str, ...]) -> UserError:
    return UserError(
        Code.UNKNOWN_LABEL,
        f"The label {value!r} in the data ({n_rows} rows with such a label) is none of the "
        f"{len(labels)} labels of the benchmark: {_list(labels)}.",
        label=value,
        labels=list(labels[:MAX_SHOWN]),
    )


@dataclass(frozen=True)
class LabelMap:
    """Which label of the data each label of the model stands for, None for none of them."""

    model_labels: tuple[str, ...]
    labels: tuple[str, ...]
    targets: tuple[int | None, ...]

    def to_names(self) -> dict[str, str | None]:
        pairs = zip(self.model_labels, self.targets, strict=True)
        return {name: None if at is None else self.labels[at] for name, at in pairs}

    def project(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities over `labels`, shape `(n, n_labels)`, from those over `model_labels`.

        Labels of the model that share a target are added up; a target without any has 0.
        """
        projected = np.zeros((len(probabilities), len(self.labels)), dtype=np.float32)
        for source, target in enumerate(self.targets):
            if target is not None:
                projected[:, target] += probabilities[:, source]
        return projected


def resolve_label_map(
    model_labels: Sequence[str],
    labels: Sequence[str],
    explicit: Mapping[str, str | None] | None = None,
) -> LabelMap:
    """The map from the model's labels to the data's: as given, else by name.

    By name means equal names first, then names equal but for case and outer space; both sides must
    come out without a rest.

    Raises:
        UserError: `labels_unresolved`, naming the labels of both sides.
    """
    if len(set(model_labels)) != len(model_labels):
        raise _unresolved("the model has two labels of one name", model_labels, labels)
    if explicit is not None:
        return _explicit_map(model_labels, labels, explicit)
    places = {name: at for at, name in enumerate(labels)}
    if set(model_labels) != set(labels):
        places = _folded(labels)
        model_keys = [_fold(name) for name in model_labels]
        if len(places) != len(labels) or len(set(model_keys)) != len(model_keys):
            raise _unresolved("names differ by case only", model_labels, labels)
    else:
        model_keys = list(model_labels)
    rest = [n for n, key in zip(model_labels, model_keys, strict=True) if key not in places]
    uncovered = [name for name, key in _keys(labels, places) if key not in set(model_keys)]
    if rest or uncovered:
        raise _unresolved(_rest(rest, uncovered), model_labels, labels)
    return LabelMap(tuple(model_labels), tuple(labels), tuple(places[key] for key in model_keys))


def _explicit_map(
    model_labels: Sequence[str], labels: Sequence[str], explicit: Mapping[str, str | None]
) -> LabelMap:
    places = {name: at for at, name in enumerate(labels)}
    unmapped = [name for name in model_labels if name not in explicit]
    strangers = [name for name in explicit if name not in model_labels]
    wrong = [name for name in explicit.values() if name is not None and name not in places]
    if unmapped:
        raise _unresolved(f"the map leaves out {_list(unmapped)}", model_labels, labels)
    if strangers:
        raise _unresolved(f"the model has no label {_list(strangers)}", model_labels, labels)
    if wrong:
        raise _unresolved(f"the data has no label {_list(wrong)}", model_labels, labels)
    targets = [explicit[name] for name in model_labels]
    if all(name is None for name in targets):
        raise _unresolved("the map leads to no label of the data", model_labels, labels)
    numbers = tuple(None if name is None else places[name] for name in targets)
    return LabelMap(tuple(model_labels), tuple(labels), numbers)


def _fold(name: str) -> str:
    return name.strip().casefold()


def _folded(labels: Sequence[str]) -> dict[str, int]:
    return {_fold(name): at for at, name in enumerate(labels)}


def _keys(labels: Sequence[str], places: Mapping[str, int]) -> list[tuple[str, str]]:
    by_place = {at: key for key, at in places.items()}
    return [(name, by_place[at]) for at, name in enumerate(labels)]


def _rest(rest: Sequence[str], uncovered: Sequence[str]) -> str:
    parts = []
    if rest:
        parts.append(f"only the model has {_list(rest)}")
    if uncovered:
        parts.append(f"only the data has {_list(uncovered)}")
    return " and ".join(parts)


def _unresolved(problem: str, model_labels: Sequence[str], labels: Sequence[str]) -> UserError:
    return UserError(
        Code.LABELS_UNRESOLVED,
        f"The model's labels do not match the data's: {problem}. "
        f"Model: {_list(model_labels)}. Data: {_list(labels)}. "
        "Set id2label in the model's config.json, or give a label map with the submission.",
        model_labels=list(model_labels[:MAX_SHOWN]),
        labels=list(labels[:MAX_SHOWN]),
    )


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MAX_SHOWN])
    more = len(names) - MAX_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown or "none"
