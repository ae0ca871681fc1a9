"""Masks: a label for every pixel of an image, as runs of pixels that have the same.

Pixels are counted from the upper left along the lines. A mask of a few regions is a few hundred
runs, whatever the size of its image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_core.arrays import Ints
from ml_core.data.images import BadImage, open_image
from ml_core.data.roles import MASK_ROLE
from ml_core.data.schema import Items, image_bytes, refuse_rows
from ml_core.errors import Code, UserError

IGNORED = 255
"""The value of pixels that count nothing."""
MAX_PIXELS = 1 << 24
"""Of an image with a mask: each pixel costs a score for each label."""
ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")

Labels = NDArray[np.uint16]
Lengths = NDArray[np.uint16]
LONGEST = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True)
class Runs:
    """Label and length of each run, shape `(runs,)`; a run longer than 65,535 pixels is several."""

    labels: Labels
    lengths: Lengths

    @classmethod
    def of(cls, labels: Ints, lengths: Ints) -> "Runs":
        """Runs of any length."""
        n_parts = -(-lengths // LONGEST)
        parts = np.full(int(n_parts.sum()), LONGEST, dtype=np.int64)
        parts[np.cumsum(n_parts) - 1] = lengths - (n_parts - 1) * LONGEST
        return cls(np.repeat(labels, n_parts).astype(np.uint16), parts.astype(np.uint16))

    @classmethod
    def of_mask(cls, mask: Ints) -> "Runs":
        """The runs of a mask of shape `(height, width)`."""
        flat = mask.ravel()
        starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
        return cls.of(flat[starts], np.diff(np.append(starts, len(flat))))

    @property
    def n_pixels(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    def pixels(self) -> Ints:
        """The label of every pixel, shape `(height * width,)`."""
        return np.repeat(self.labels, self.lengths).astype(np.int64)


def mask_labels(items: Items, named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of the values in the masks, from 0 up. Raises UserError where nothing names them."""
    found = named or items.names.get(MASK_ROLE)
    if not found:
        raise UserError(
            Code.UNKNOWN_LABEL,
            "The masks hold numbers and nothing names them: list the names under labels in "
            "eval.yaml, in the order of the numbers from 0.",
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
    for at, size in enumerate(sizes):
        try:
            masks.append(Runs.of_mask(_checked(data[at].as_py(), size, n_labels)))
        except BadImage as error:
            problems.setdefault(str(error), []).append(at)
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


def _checked(data: bytes, size: tuple[int, int] | None, n_labels: int) -> Ints:
    """The mask in a PNG, shape `(height, width)`. Raises BadImage with what a row has."""
    try:
        picture = open_image(data, formats=("PNG",), max_pixels=MAX_PIXELS)
    except BadImage as error:
        raise BadImage(f"have a mask that is no PNG of at most {MAX_PIXELS:,} pixels") from error
    if picture.mode not in ONE_CHANNEL:
        raise BadImage("have a mask in colours; its pixels must be the numbers of labels")
    if size is not None and picture.size != size:
        raise BadImage("have a mask of another size than their image")
    try:
        mask = np.asarray(picture).astype(np.int64)
    except Exception as error:  # decoders raise many things on broken bytes
        raise BadImage("have a mask whose pixels cannot be decoded") from error
    values = np.unique(mask)
    strange = values[(values >= n_labels) & (values != IGNORED)]
    if len(strange) or (len(values) and values[0] < 0):
        raise BadImage(f"have a mask with a value that is none of the {n_labels} labels")
    return mask
