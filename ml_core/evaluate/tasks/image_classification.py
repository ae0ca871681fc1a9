"""Image classification: one label out of several for an image."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from ml_core.data.schema import image_bytes, refuse_rows
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Logits, RowsFailed
from ml_core.evaluate.job import Prepared, Request
from ml_core.load.images import (
    BACKEND,
    BadImage,
    decode_image,
    load_image_processor,
    open_image,
)
from ml_core.load.model import build_config, load_model

ROWS = {"cpu": 16, "cuda": 128}


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
    mode = "L" if getattr(config, "num_channels", 3) == 1 else "RGB"

    def forward(rows: Rows) -> Logits:
        pixels = preprocess(processor, images, rows, mode)
        with torch.inference_mode():
            logits = loaded.model(pixel_values=pixels.to(request.device, request.dtype)).logits
        return np.asarray(logits.float().cpu().numpy())

    default_rows = ROWS[request.device.type]
    return Prepared(
        forward=forward,
        slots=len,
        lengths=np.ones(len(images), dtype=np.int64),
        truncated=np.zeros(len(images), dtype=np.bool_),
        default_budget=request.spec.engine.batch_rows or default_rows,
        max_rows=request.spec.engine.batch_rows,
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


def preprocess(processor: Any, images: pa.ChunkedArray, rows: Rows, mode: str) -> torch.Tensor:
    """Pixel values of shape `(rows, channels, height, width)`.

    Raises:
        RowsFailed: for images whose pixels cannot be decoded.
    """
    decoded, errors = [], {}
    for row in rows:
        try:
            decoded.append(decode_image(images[int(row)].as_py(), mode))
        except BadImage as error:
            errors[int(row)] = f"image: {error}"
    if errors:
        raise RowsFailed(errors)
    pixels = processor(images=decoded, return_tensors="pt")["pixel_values"]
    assert isinstance(pixels, torch.Tensor)
    return pixels
