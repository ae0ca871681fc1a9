"""Masks in the data: pictures whose pixels are numbers of labels, read within limits."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_core.data.images import BadImage, open_image
from ml_core.data.roles import MASK_ROLE
from ml_core.data.schema import Items, image_bytes, refuse_rows
from ml_core.errors import Code, UserError
from ml_core.metrics.runs import Runs, runs_in

IGNORED = 255
"""The value of pixels that count nothing."""
MAX_PIXELS = 1 << 24
"""Of an image with a mask: each pixel costs a score for each label."""
ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")

MAX_SPLIT_PIXELS = 20_000_000_000
"""Of all masks of a split: a stranger's pictures are decoded in minutes, not hours."""


def mask_labels(items: Items, named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of the values in the masks, from 0 up. Raises UserError where nothing names them."""
    found = named or items.names.get(MASK_ROLE)
    if not found:
        raise UserError(
            Code.UNKNOWN_LABEL,
            "The masks hold numbers and nothing names them: list the names under labels in "
            "eval.yaml, in the order of the numbers from 0.",
        )
    if len(found) > IGNORED:
        raise UserError(
            Code.UNKNOWN_LABEL,
            f"There are {len(found)} labels; masks can have {IGNORED}, as the value {IGNORED} stands "
            "for pixels that count nothing.",
        )
    return found


def read_masks(items: Items, n_labels: int) -> tuple[Runs, ...]:
    """The mask of each image.

    Raises:
        UserError: `dataset_missing_column`, or `dataset_broken_row` where a mask is no picture of
            one channel in PNG, is not as large as its image, or holds a value that is no label.
    """
    column = items.truth_column(MASK_ROLE)
    if column is None:
        raise UserError(Code.MISSING_COLUMN, "The data has no masks.", role=MASK_ROLE)
    data = image_bytes(column, MASK_ROLE)
    empty = pc.equal(pc.fill_null(pc.binary_length(data), 0), 0)
    refuse_rows(empty, items.item_ids, "have no mask")
    sizes = list(_image_sizes(items))
    masks: list[Runs] = []
    problems: dict[str, list[int]] = {}
    n_pixels = 0
    for at, size in enumerate(sizes):
        try:
            masks.append(_checked(data[at].as_py(), size, n_labels))
        except BadImage as error:
            problems.setdefault(str(error), []).append(at)
            continue
        n_pixels += masks[-1].n_pixels
        if n_pixels > MAX_SPLIT_PIXELS:
            raise UserError(
                Code.BROKEN_ROW,
                f"The masks have more than {MAX_SPLIT_PIXELS:,} pixels together; a split may have "
                "no more. Take fewer images or smaller ones.",
            )
    for problem, rows in problems.items():
        broken = np.zeros(len(items), dtype=np.bool_)
        broken[rows] = True
        refuse_rows(pa.array(broken), items.item_ids, problem)
    return tuple(masks)


def _image_sizes(items: Items) -> Iterator[tuple[int, int] | None]:
    """Width and height by image; None where it cannot be opened, which the job names."""
    for value in image_bytes(items.inputs.column("image")):
        try:
            yield open_image(value.as_py()).size
        except BadImage:
            yield None


def _checked(data: bytes, size: tuple[int, int] | None, n_labels: int) -> Runs:
    """The mask in a PNG. Raises BadImage with what a row has."""
    try:
        picture = open_image(data, formats=("PNG",), max_pixels=MAX_PIXELS)
    except BadImage as error:
        raise BadImage(f"have a mask that is no PNG of at most {MAX_PIXELS:,} pixels") from error
    if picture.mode not in ONE_CHANNEL:
        raise BadImage("have a mask in colours; its pixels must be the numbers of labels")
    if size is not None and picture.size != size:
        raise BadImage("have a mask of another size than their image")
    try:
        pixels = np.asarray(picture)
    except Exception as error:  # decoders raise many things on broken bytes
        raise BadImage("have a mask whose pixels cannot be decoded") from error
    values, lengths = runs_in(pixels)
    if ((values < 0) | ((values >= n_labels) & (values != IGNORED))).any():
        raise BadImage(f"have a mask with a value that is none of the {n_labels} labels")
    return Runs.of(values, lengths)
