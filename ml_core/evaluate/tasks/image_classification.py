"""Image classification: one label out of several for an image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL.Image import Image
from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from ml_core.data.schema import image_bytes
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.pictures import check_headers, image_mode, in_threads
from ml_core.evaluate.transfer import send
from ml_core.load.images import BACKEND, load_image_processor
from ml_core.load.model import LoadedModel, build_config, load_model

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
    return prepare_images(processor, loaded, images, batch_rows=request.spec.engine.batch_rows)


def prepare_images(
    processor: Any, loaded: LoadedModel, images: pa.ChunkedArray, *, batch_rows: int | None = None
) -> Prepared:
    """The forward pass over any of the images, which are decoded when it is their turn."""
    mode = image_mode(loaded.model.config)
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


def image_inputs(
    processor: Any, images: pa.ChunkedArray, mode: str, *, n_threads: int
) -> Callable[[Rows], Inputs]:
    """Makes `pixel_values` of shape `(rows, channels, height, width)` for row numbers.

    The function raises RowsFailed for images whose pixels cannot be decoded.
    """

    def work(decoded: list[Image]) -> list[torch.Tensor]:
        pixels = processor(images=decoded, return_tensors="pt")["pixel_values"]
        assert isinstance(pixels, torch.Tensor)
        return [pixels]

    run = in_threads(work, images, mode, n_threads=n_threads)
    return lambda rows: {"pixel_values": torch.cat(run(rows))}
