"""Objects in images: boxes with a category each, read from the columns people keep them in.

Boxes are x, y, width, height in pixels, as COCO has them: the corner is the upper left one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_core.arrays import Floats, Ints
from ml_core.data.images import BadImage, open_image
from ml_core.data.labels import number_labels
from ml_core.data.roles import OBJECTS_ROLE
from ml_core.data.schema import Items, image_bytes, refuse_rows
from ml_core.errors import Code, UserError
from ml_core.metrics.matching import TrueObjects

BOX, CATEGORY, CROWD, AREA = "bbox", "category", "iscrowd", "area"


def object_labels(items: Items, named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The categories in order: those `named`, else the file's own, else those that occur.

    Raises:
        UserError: `dataset_unknown_label` where they are numbers that nothing names.
    """
    if named := named or items.names.get(OBJECTS_ROLE):
        return named
    values = pc.list_flatten(_fields(items)[CATEGORY]).drop_null()
    if pa.types.is_integer(values.type):
        raise UserError(
            Code.UNKNOWN_LABEL,
            "The categories of the objects are numbers and nothing names them: list their names "
            "under labels in eval.yaml, in the order of the numbers from 0.",
        )
    return tuple(sorted({str(value) for value in pc.unique(values).to_pylist()}))


def read_objects(items: Items, labels: tuple[str, ...]) -> tuple[TrueObjects, ...]:
    """The objects of each image; an image may have none.

    Raises:
        UserError: `dataset_missing_column`, `dataset_unknown_label`, or `dataset_broken_row` where
            a box is no box, or lies outside of its image.
    """
    fields = _fields(items)
    lengths = pc.fill_null(pc.list_value_length(fields[BOX]), 0).to_numpy()
    for name, column in fields.items():
        differ = pc.not_equal(pc.fill_null(pc.list_value_length(column), 0), pa.array(lengths))
        refuse_rows(differ, items.item_ids, f"have another number of {name} than of {BOX}")
    owner = np.repeat(np.arange(len(items)), lengths)
    boxes = _boxes(pc.list_flatten(fields[BOX]), owner, items)
    categories = pc.list_flatten(fields[CATEGORY])
    _refuse(pc.is_null(categories), owner, items, "have an object without category")
    numbers = number_labels(categories, labels) if len(owner) else np.zeros(0, dtype=np.int64)
    areas = boxes[:, 2] * boxes[:, 3]
    if AREA in fields:
        areas = _numbers(pc.list_flatten(fields[AREA]), AREA)
        _refuse(~(np.isfinite(areas) & (areas > 0)), owner, items, "have an object without area")
    crowd = np.zeros(len(owner), dtype=np.bool_)
    if CROWD in fields:
        crowd = np.nan_to_num(_numbers(pc.list_flatten(fields[CROWD]), CROWD)) != 0
    _refuse_outside(boxes, owner, items)
    ends = np.cumsum(lengths)[:-1]
    parts = (np.split(column, ends) for column in (boxes, numbers, crowd, areas))
    return tuple(TrueObjects(*row) for row in zip(*parts, strict=True))


def _fields(items: Items) -> dict[str, pa.Array]:
    """A list an image by field: from a struct of lists, or from a list of structs."""
    column = items.truth_column(OBJECTS_ROLE)
    if column is None:
        raise UserError(Code.MISSING_COLUMN, "The data has no objects.", role=OBJECTS_ROLE)
    rows = column.combine_chunks()
    kind = rows.type
    if _is_list(kind) and pa.types.is_struct(kind.value_type):
        flat = pc.list_flatten(rows)
        lengths = pc.fill_null(pc.list_value_length(rows), 0).to_numpy()
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        parts = {field.name: pc.struct_field(flat, field.name) for field in flat.type}
        found = {name: pa.ListArray.from_arrays(offsets, part) for name, part in parts.items()}
    elif pa.types.is_struct(kind):
        found = {field.name: pc.struct_field(rows, field.name) for field in kind}
    else:
        found = {}
    wanted = {name: found[name] for name in (BOX, CATEGORY, CROWD, AREA) if name in found}
    given = {name: part for name, part in wanted.items() if not pa.types.is_null(part.type)}
    if BOX not in given or CATEGORY not in given or not all(_is_list(p.type) for p in given.values()):
        raise UserError(
            Code.BROKEN_ROW,
            f"The column of objects holds {kind}; each row needs {{bbox: [[x, y, width, height], "
            "...], category: [...]}, where iscrowd and area may stand beside them.",
        )
    return given


def _boxes(flat: pa.Array, owner: Ints, items: Items) -> Floats:
    """Boxes, shape `(objects, 4)`, each of finite numbers and with an area."""
    if not len(flat):
        return np.zeros((0, 4))
    if not (_is_list(flat.type) or pa.types.is_fixed_size_list(flat.type)):
        raise UserError(Code.BROKEN_ROW, f"A {BOX} holds {flat.type}, not four numbers.")
    wrong = pc.not_equal(pc.fill_null(pc.list_value_length(flat), 0), 4)
    _refuse(wrong, owner, items, f"have a {BOX} that is not four numbers")
    boxes = _numbers(pc.list_flatten(flat), BOX).reshape(-1, 4)
    _refuse(~np.isfinite(boxes).all(axis=1), owner, items, f"have a {BOX} that is not four numbers")
    flat_ones = (boxes[:, 2:] <= 0).any(axis=1)
    _refuse(flat_ones, owner, items, f"have a {BOX} whose width or height is not above 0")
    return boxes


def _numbers(values: pa.Array, name: str) -> Floats:
    """As floats, NaN for null."""
    kind = values.type
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    ):
        raise UserError(Code.BROKEN_ROW, f"The field {name} of the objects holds {kind}.")
    numbers: Floats = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _refuse(wrong: Any, owner: Ints, items: Items, problem: str) -> None:
    """Raise `dataset_broken_row` for the images of the objects that are `wrong`."""
    at = np.asarray(wrong, dtype=np.bool_)
    broken = np.zeros(len(items), dtype=np.bool_)
    broken[owner[at]] = True
    refuse_rows(pa.array(broken), items.item_ids, problem)


def _refuse_outside(boxes: Floats, owner: Ints, items: Items) -> None:
    """Raise where a box has no part in its image; one that only reaches over its edge is fine."""
    sizes = np.array(list(_sizes(items, np.unique(owner).tolist())), dtype=np.float64)
    if not len(boxes):
        return
    inside = np.searchsorted(np.unique(owner), owner)
    width, height = sizes[inside, 0], sizes[inside, 1]
    left, top, right, bottom = (*boxes[:, :2].T, *(boxes[:, :2] + boxes[:, 2:]).T)
    outside = (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)
    _refuse(outside, owner, items, f"have a {BOX} that lies outside of its image")


def _sizes(items: Items, rows: Sequence[int]) -> Iterator[tuple[float, float]]:
    """Width and height of the images in `rows`; one that cannot be opened has no bounds.

    The job names those that are no images, before it loads a model.
    """
    images = image_bytes(items.inputs.column("image"))
    for row in rows:
        try:
            image = open_image(images[row].as_py())
            yield float(image.width), float(image.height)
        except BadImage:
            yield np.inf, np.inf


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
