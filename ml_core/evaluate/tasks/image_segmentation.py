"""Semantic segmentation: a label for every pixel of an image.

Each image goes through the image processor alone. Logits are resized to the image, bilinearly, and
each pixel has the label of the highest.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING

from ml_core.arrays import Ints
from ml_core.data.masks import MAX_PIXELS
from ml_core.data.schema import image_bytes, refuse_rows
from ml_core.errors import Code, UserError
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.pictures import Images, check_headers, single_images
from ml_core.evaluate.transfer import Ragged, send
from ml_core.load.images import BACKEND, load_image_processor
from ml_core.load.model import LoadedModel, build_config, load_model

ROWS = {"cpu": 2, "cuda": 16}


def prepare(request: Request) -> Prepared:
    """Image processor and model; every image's header is read before the first forward pass."""
    config = build_config(request.checkpoint.config)
    processor = load_image_processor(request.checkpoint, request.staged)
    check_whole(processor)
    images = image_bytes(request.items.inputs.column("image"))
    sizes = check_headers(images, request.items.item_ids)
    too_large = pa.array(sizes.prod(axis=1) > MAX_PIXELS)
    refuse_rows(too_large, request.items.item_ids, f"have more than {MAX_PIXELS:,} pixels")
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING,
        purpose="semantic segmentation",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    rows = request.spec.engine.batch_rows
    return prepare_segmentation(processor, loaded, images, sizes, batch_rows=rows)


def prepare_segmentation(
    processor: Any,
    loaded: LoadedModel,
    images: pa.ChunkedArray,
    sizes: Ints,
    *,
    batch_rows: int | None = None,
) -> Prepared:
    """The forward pass over any of the images, whose height and width are `sizes`."""
    model, device = loaded.model, loaded.model.device

    def forward(batch: Images) -> Ragged:
        found: list[torch.Tensor] = [torch.empty(0)] * len(batch.rows)
        for places, stacked in batch.by_size():
            pixels = send(stacked["pixel_values"], device).to(model.dtype)
            with torch.inference_mode():
                logits = model(pixel_values=pixels).logits
                for at, one in zip(places, logits, strict=True):
                    height, width = sizes[batch.rows[at]].tolist()
                    found[at] = runs_of(one, height, width)
        return Ragged(torch.cat(found), tuple(len(runs) for runs in found))

    return Prepared(
        inputs=single_images(processor, model, images, n_threads=torch.get_num_threads()),
        forward=forward,
        slots=len,
        lengths=np.ones(len(images), dtype=np.int64),
        truncated=np.zeros(len(images), dtype=np.bool_),
        default_budget=batch_rows or ROWS[device.type],
        max_rows=batch_rows,
        max_length=None,
        architecture=type(model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=(
            f"image backend: {BACKEND}",
            f"image processor: {type(processor).__name__}",
            "logits resized to the image, bilinear",
        ),
    )


def check_whole(processor: Any) -> None:
    """Raise `processor_invalid` where the model would not see its images as they are.

    What is cut off would have no label, and what is added would move the others.
    """
    for setting in ("do_center_crop", "do_pad"):
        if getattr(processor, setting, False):
            raise UserError(
                Code.PROCESSOR_INVALID,
                f"The image processor has {setting}, so that the model's answer is not one for the "
                f"whole image. Set {setting} to false in preprocessor_config.json.",
            )


def runs_of(logits: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Label and length of each run of pixels, `(runs, 2)`, from logits `(labels, h, w)`.

    One row of NaN where a logit is no finite number.
    """
    logits = logits.float()
    if not logits.isfinite().all():
        return logits.new_full((1, 2), torch.nan)
    size = (height, width)
    whole = torch.nn.functional.interpolate(
        logits[None], size=size, mode="bilinear", align_corners=False
    )
    labels, lengths = torch.unique_consecutive(whole[0].argmax(dim=0).flatten(), return_counts=True)
    return torch.stack([labels, lengths], dim=1).float()
