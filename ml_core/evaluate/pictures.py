"""Images on their way into a model: headers read at once, pixels when it is their turn."""

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import torch
from PIL.Image import Image

from ml_core.arrays import Ints
from ml_core.data.images import BadImage, decode_image, open_image
from ml_core.data.schema import refuse_rows
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import RowsFailed

PIECE = 4
"""Images that one thread decodes and resizes at a time."""

T = TypeVar("T")


def check_headers(images: pa.ChunkedArray, item_ids: tuple[str, ...]) -> Ints:
    """Height and width of each image, shape `(n, 2)`.

    Raises:
        UserError: `dataset_broken_row` where a row holds no image that can be opened.
    """
    sizes = np.zeros((len(images), 2), dtype=np.int64)
    broken = np.zeros(len(images), dtype=np.bool_)
    for at, value in enumerate(images):
        try:
            image = open_image(value.as_py())
            sizes[at] = image.height, image.width
        except BadImage:
            broken[at] = True
    refuse_rows(pa.array(broken), item_ids, "hold no image that can be opened")
    return sizes


def in_threads(
    work: Callable[[list[Image]], list[T]], images: pa.ChunkedArray, mode: str, *, n_threads: int
) -> Callable[[Rows], list[T]]:
    """Row numbers to what `work` gives for their decoded images, a few at a time.

    Pillow decodes and resizes outside of Python's lock, so threads share a batch. What they give
    does not depend on their number.

    The function raises RowsFailed for images whose pixels cannot be decoded.
    """
    pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None

    def piece(rows: Rows) -> tuple[list[T], dict[int, str]]:
        decoded, errors = [], {}
        for row in rows:
            try:
                decoded.append(decode_image(images[int(row)].as_py(), mode))
            except BadImage as error:
                errors[int(row)] = f"image: {error}"
        return ([] if errors else work(decoded)), errors

    def run(rows: Rows) -> list[T]:
        parts = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
        pieces = list(pool.map(piece, parts) if pool else map(piece, parts))
        errors = {row: error for _, found in pieces for row, error in found.items()}
        if errors:
            raise RowsFailed(errors)
        return [result for results, _ in pieces for result in results]

    return run


def image_mode(config: object) -> str:
    """The Pillow mode of a model's images: grey for one channel, else colour."""
    return "L" if getattr(config, "num_channels", 3) == 1 else "RGB"


@dataclass(frozen=True)
class Images:
    """What an image processor made of single images: tensors by name, each of shape `(1, ...)`,
    and the numbers of the rows they are of."""

    rows: Rows
    tensors: list[dict[str, torch.Tensor]]

    def by_size(self) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Those of equal shape together: their places here, and their tensors as one batch."""
        groups: dict[tuple[torch.Size, ...], list[int]] = {}
        for at, one in enumerate(self.tensors):
            shapes = tuple(tensor.shape for tensor in one.values())
            groups.setdefault(shapes, []).append(at)
        for places in groups.values():
            names = self.tensors[places[0]]
            yield places, {n: torch.cat([self.tensors[at][n] for at in places]) for n in names}


def single_images(
    processor: Any, model: Any, images: pa.ChunkedArray, *, n_threads: int
) -> Callable[[Rows], Images]:
    """Makes `Images` for row numbers: each image goes through `processor` without a neighbour, so
    that none is padded to another's size. The model gets a mask if it asks for one.

    The function raises RowsFailed for images whose pixels cannot be decoded.
    """
    takes_mask = "pixel_mask" in inspect.signature(model.forward).parameters
    names = ("pixel_values", "pixel_mask") if takes_mask else ("pixel_values",)

    def work(decoded: list[Image]) -> list[dict[str, torch.Tensor]]:
        made = (processor(images=[image], return_tensors="pt") for image in decoded)
        return [{name: one[name] for name in names if name in one} for one in made]

    run = in_threads(work, images, image_mode(model.config), n_threads=n_threads)
    return lambda rows: Images(rows, run(rows))
