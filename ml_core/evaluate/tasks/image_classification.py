"""Image classification: one label out of several for an image."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from ml_core.data.schema import image_bytes, refuse_rows
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs, RowsFailed
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.transfer import send
from ml_core.load.images import (
    BACKEND,
    BadImage,
    decode_image,
    load_image_processor,
    open_image,
)
from ml_core.load.model import LoadedModel, build_config, load_model

ROWS = {"cpu": 16, "cuda": 128}
PIECE = 4
"""Images that one thread decodes and resizes at a time."""


def prepare(request: Request) -> Prepared:
    """Image processor and model; every image's header is read before the first forward pass."""
    config = build_config(request.checkpoint.config)
    processor = load_image_processor(request.checkpoint, request.staged)
    images = image_bytes(request.items.inputs.column("image"))
    check_headers(images, request.items.item_ids)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        purpose="image classification",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    return prepare_images(processor, loaded, images, batch_rows=request.spec.engine.batch_rows)


def prepare_images(
    processor: Any, loaded: LoadedModel, images: pa.ChunkedArray, *, batch_rows: int | None = None
) -> Prepared:
    """The forward pass over any of the images, which are decoded when it is their turn."""
    mode = "L" if getattr(loaded.model.config, "num_channels", 3) == 1 else "RGB"
    device, dtype = loaded.model.device, loaded.model.dtype

    def forward(batch: Inputs) -> torch.Tensor:
        pixels = send(batch["pixel_values"], device).to(dtype)
        with torch.inference_mode():
            logits: torch.Tensor = loaded.model(pixel_values=pixels).logits
        return logits

    return Prepared(
        inputs=image_inputs(processor, images, mode, n_threads=torch.get_num_threads()),
        forward=forward,
        slots=len,
        lengths=np.ones(len(images), dtype=np.int64),
        truncated=np.zeros(len(images), dtype=np.bool_),
        default_budget=batch_rows or ROWS[device.type],
        max_rows=batch_rows,
        max_length=None,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=(f"image backend: {BACKEND}", f"image processor: {type(processor).__name__}"),
    )


def check_headers(images: pa.ChunkedArray, item_ids: tuple[str, ...]) -> None:
    """Raise `dataset_broken_row` where a row holds no image that can be opened."""
    broken = []
    for value in images:
        try:
            open_image(value.as_py())
            broken.append(False)
        except BadImage:
            broken.append(True)
    refuse_rows(pa.chunked_array([pa.array(broken)]), item_ids, "hold no image that can be opened")


def image_inputs(
    processor: Any, images: pa.ChunkedArray, mode: str, *, n_threads: int
) -> Callable[[Rows], Inputs]:
    """Makes `pixel_values` of shape `(rows, channels, height, width)` for row numbers.

    Pillow decodes and resizes outside of Python's lock, so threads share a batch. What they give
    does not depend on their number.

    The function raises RowsFailed for images whose pixels cannot be decoded.
    """
    work = partial(preprocess, processor, images, mode)
    pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None

    def inputs(rows: Rows) -> Inputs:
        parts = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
        pieces = list(pool.map(work, parts) if pool else map(work, parts))
        errors = {row: error for piece in pieces for row, error in piece.errors.items()}
        if errors:
            raise RowsFailed(errors)
        return {"pixel_values": torch.cat([piece.pixels for piece in pieces])}

    return inputs


@dataclass(frozen=True)
class Piece:
    """Pixels of a few images, of no rows where `errors` says what is wrong with one of them."""

    pixels: torch.Tensor
    errors: dict[int, str]


def preprocess(processor: Any, images: pa.ChunkedArray, mode: str, rows: Rows) -> Piece:
    """Images of `rows` decoded and brought into the model's form."""
    decoded, errors = [], {}
    for row in rows:
        try:
            decoded.append(decode_image(images[int(row)].as_py(), mode))
        except BadImage as error:
            errors[int(row)] = f"image: {error}"
    if errors:
        return Piece(torch.empty(0), errors)
    pixels = processor(images=decoded, return_tensors="pt")["pixel_values"]
    assert isinstance(pixels, torch.Tensor)
    return Piece(pixels, {})
