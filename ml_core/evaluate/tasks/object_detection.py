"""Object detection: boxes around the objects of an image.

Each image goes through the image processor alone and is padded by none of its neighbours: what a
model finds in it depends on no other image. Images that come out equal in size share a pass. How
outputs become boxes is what the model's image processor says, without a threshold on the score.
"""

import inspect
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import MODEL_FOR_OBJECT_DETECTION_MAPPING

from ml_core.answers.boxes import MAX_FOUND
from ml_core.arrays import Ints
from ml_core.data.schema import image_bytes
from ml_core.errors import Code, UserError
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.pictures import Images, check_headers, single_images
from ml_core.evaluate.transfer import Ragged, send
from ml_core.load.images import BACKEND, load_image_processor
from ml_core.load.model import LoadedModel, build_config, load_model

ROWS = {"cpu": 4, "cuda": 32}


def prepare(request: Request) -> Prepared:
    """Image processor and model; every image's header is read before the first forward pass."""
    config = build_config(request.checkpoint.config)
    processor = load_image_processor(request.checkpoint, request.staged)
    if not hasattr(processor, "post_process_object_detection"):
        raise UserError(
            Code.PROCESSOR_INVALID,
            f"The image processor {type(processor).__name__} makes no boxes of a model's outputs. "
            "Save the one that belongs to the model with image_processor.save_pretrained.",
        )
    images = image_bytes(request.items.inputs.column("image"))
    sizes = check_headers(images, request.items.item_ids)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_OBJECT_DETECTION_MAPPING,
        purpose="object detection",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    rows = request.spec.engine.batch_rows
    return prepare_detection(processor, loaded, images, sizes, batch_rows=rows)


def prepare_detection(
    processor: Any,
    loaded: LoadedModel,
    images: pa.ChunkedArray,
    sizes: Ints,
    *,
    batch_rows: int | None = None,
) -> Prepared:
    """The forward pass over any of the images, whose height and width are `sizes`."""
    model, device = loaded.model, loaded.model.device
    settings = post_process_settings(processor, model.config)

    def forward(batch: Images) -> Ragged:
        found: list[torch.Tensor] = [torch.empty(0)] * len(batch.rows)
        for places, stacked in batch.by_size():
            given = {name: send(tensor, device) for name, tensor in stacked.items()}
            given["pixel_values"] = given["pixel_values"].to(model.dtype)
            with torch.inference_mode():
                outputs = model(**given)
                here = [tuple(sizes[batch.rows[at]].tolist()) for at in places]
                for at, boxes in zip(
                    places, _boxes(processor, outputs, here, settings), strict=True
                ):
                    found[at] = boxes
        return Ragged(torch.cat(found), tuple(len(boxes) for boxes in found))

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
            f"no score threshold, at most {MAX_FOUND} boxes an image",
        ),
    )


def post_process_settings(processor: Any, config: Any) -> dict[str, Any]:
    """What the processor wants to know of the model besides its outputs: how its scores were
    trained, where that is a choice."""
    known = inspect.signature(processor.post_process_object_detection).parameters
    has_choice = "use_focal_loss" in known and hasattr(config, "use_focal_loss")
    return {"use_focal_loss": bool(config.use_focal_loss)} if has_choice else {}


def _boxes(
    processor: Any, outputs: Any, sizes: list[tuple[int, ...]], settings: dict[str, Any]
) -> list[torch.Tensor]:
    """Rows of left, top, right, bottom, score and label by image; one of NaN where outputs are."""
    outputs.logits, outputs.pred_boxes = outputs.logits.float(), outputs.pred_boxes.float()
    made = processor.post_process_object_detection(
        outputs, threshold=0.0, target_sizes=sizes, **settings
    )
    rows = []
    for at, one in enumerate(made):
        is_finite = outputs.logits[at].isfinite().all() & outputs.pred_boxes[at].isfinite().all()
        boxes = torch.column_stack([one["boxes"], one["scores"], one["labels"].float()])
        rows.append(boxes if is_finite else boxes.new_full((1, 6), torch.nan))
    return rows
