"""Image classification: a new head on a base, one label out of several for an image."""

from pathlib import Path

import numpy as np
import torch
from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from ml_core.data.schema import image_bytes
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs, RowsFailed
from ml_core.evaluate.pictures import check_headers, image_mode
from ml_core.evaluate.tasks.image_classification import (
    ROWS,
    image_inputs,
    prepare_images,
)
from ml_core.load.heads import load_with_head, name_labels
from ml_core.load.images import BACKEND, load_image_processor
from ml_core.load.model import build_config
from ml_core.train.objectives import Objective, Request
from ml_core.train.objectives.text_classification import label_loss

PURPOSE = "image classification"


def prepare(request: Request) -> Objective:
    """Image processor and model with a new head; images are decoded when it is their turn."""
    config = build_config(request.checkpoint.config)
    keep_head = name_labels(config, request.labels)
    processor = load_image_processor(request.checkpoint, request.staged)
    images = image_bytes(request.items.inputs.column("image"))
    held = image_bytes(request.validation.inputs.column("image"))
    check_headers(images, request.items.item_ids)
    check_headers(held, request.validation.item_ids)
    headed = load_with_head(
        request.staged,
        config,
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        purpose=PURPOSE,
        max_parameters=request.spec.max_parameters,
        device=request.device,
        keep_head=keep_head,
    )
    pixels = image_inputs(processor, images, image_mode(config), n_threads=torch.get_num_threads())
    labels = torch.from_numpy(np.asarray(request.truth.label_index))
    batch_rows = request.spec.engine.batch_rows

    def inputs(rows: Rows, _epoch: int) -> Inputs:
        try:
            made = pixels(rows)
        except RowsFailed as failed:
            row, error = next(iter(failed.errors.items()))
            item = request.items.item_ids[row]
            raise UserError(
                Code.BROKEN_ROW,
                f"The image of the row {item} cannot be used: {error}.",
                item_ids=[item],
            ) from failed
        return made | {"labels": labels[torch.from_numpy(rows)]}

    def save(folder: Path) -> None:
        processor.save_pretrained(folder)

    return Objective(
        loaded=headed.loaded,
        classes=MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        purpose=PURPOSE,
        fresh=headed.fresh,
        lengths=np.ones(len(request.items), dtype=np.int64),
        units=np.ones(len(request.items), dtype=np.int64),
        inputs=inputs,
        loss=label_loss,
        answer=lambda loaded: prepare_images(processor, loaded, held, batch_rows=batch_rows),
        save=save,
        budget=batch_rows or ROWS[request.device.type],
        max_rows=batch_rows,
        max_length=None,
        n_truncated=0,
        notes=(f"image backend: {BACKEND}",),
    )
