"""Zero-shot image classification: the label whose name, in a sentence, is most like the image.

Each label's name is set into every template, the embeddings of these sentences are averaged, and
this happens once; then each image is embedded and compared with all labels.

Source: Radford et al., CLIP, arXiv 2103.00020, section 3.1.4.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL.Image import Image
from transformers import MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING, PreTrainedTokenizerBase

from ml_core.data.labels import label_names
from ml_core.data.schema import image_bytes
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.pictures import check_headers, image_mode, in_threads
from ml_core.evaluate.transfer import send
from ml_core.load.images import BACKEND, load_image_processor
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import load_tokenizer, longest_input

TEMPLATES = ("a photo of a {}.", "a picture of the {}.", "this is a {}.")
"""Where the benchmark names none."""
ROWS = {"cpu": 16, "cuda": 128}
TEXTS = 64
"""Sentences embedded at a time."""


def prepare(request: Request) -> Prepared:
    """Tokenizer, image processor and model; every image's header is read."""
    config = build_config(request.checkpoint.config)
    processor = load_image_processor(request.checkpoint, request.staged)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    images = image_bytes(request.items.inputs.column("image"))
    check_headers(images, request.items.item_ids)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING,
        purpose="zero-shot image classification",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    check_model(loaded)
    return prepare_zero_shot(
        processor,
        tokenizer,
        loaded,
        images,
        label_names(request.items, request.spec.labels),
        templates=request.spec.templates or TEMPLATES,
        batch_rows=request.spec.engine.batch_rows,
    )


def prepare_zero_shot(
    processor: Any,
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    images: pa.ChunkedArray,
    labels: tuple[str, ...],
    *,
    templates: tuple[str, ...] = TEMPLATES,
    batch_rows: int | None = None,
) -> Prepared:
    """The forward pass over any of the images, against all labels."""
    model: Any = loaded.model  # these two towers have no common type
    device, dtype = model.device, model.dtype
    max_length = longest_input(tokenizer, model, None)

    @cache
    def classes() -> torch.Tensor:
        return embed_labels(tokenizer, model, labels, templates, max_length=max_length)

    def forward(batch: Inputs) -> torch.Tensor:
        sent = {name: send(tensor, device) for name, tensor in batch.items()}
        sent["pixel_values"] = sent["pixel_values"].to(dtype)
        with torch.inference_mode():
            found = _unit(model.get_image_features(**sent).pooler_output)
            logits: torch.Tensor = model.logit_scale.float().exp() * found @ classes().T
        return logits

    return Prepared(
        inputs=_image_inputs(processor, images, image_mode(model.config)),
        forward=forward,
        slots=len,
        lengths=np.ones(len(images), dtype=np.int64),
        truncated=np.zeros(len(images), dtype=np.bool_),
        default_budget=batch_rows or ROWS[device.type],
        max_rows=batch_rows,
        max_length=max_length,
        architecture=type(model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=(
            f"image backend: {BACKEND}",
            f"image processor: {type(processor).__name__}",
            f"templates: {'; '.join(templates)}",
        ),
    )


def embed_labels(
    tokenizer: PreTrainedTokenizerBase,
    model: Any,
    labels: tuple[str, ...],
    templates: tuple[str, ...],
    *,
    max_length: int,
) -> torch.Tensor:
    """An embedding of length 1 a label, shape `(labels, width)`: the mean over the templates."""
    texts = [template.replace("{}", label) for label in labels for template in templates]
    # SigLIP's texts were padded to their full length in training, and have no mask.
    padding = "max_length" if model.config.model_type.startswith("siglip") else True
    parts = []
    for start in range(0, len(texts), TEXTS):
        batch = tokenizer(
            texts[start : start + TEXTS],
            padding=padding,
            truncation=True,
            max_length=max_length,
            return_tensors="pt",
        )
        given = {name: tensor.to(model.device) for name, tensor in batch.items()}
        parts.append(_unit(model.get_text_features(**given).pooler_output))
    return _unit(torch.cat(parts).reshape(len(labels), len(templates), -1).mean(dim=1))


def check_model(loaded: LoadedModel) -> None:
    """Raise `unsupported_model` for a model whose two towers cannot be asked one by one."""
    needed = ("get_image_features", "get_text_features", "logit_scale")
    if not all(hasattr(loaded.model, name) for name in needed):
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"{type(loaded.model).__name__} does not embed images and texts apart and compare them "
            "by their cosine, as CLIP and SigLIP do; this task needs that.",
        )


def _image_inputs(processor: Any, images: pa.ChunkedArray, mode: str) -> Callable[[Rows], Inputs]:
    """All tensors that the processor makes of images."""

    def work(decoded: list[Image]) -> list[dict[str, torch.Tensor]]:
        return [dict(processor(images=decoded, return_tensors="pt"))]

    run = in_threads(work, images, mode, n_threads=torch.get_num_threads())

    def inputs(rows: Rows) -> Inputs:
        pieces = run(rows)
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    return inputs


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors.float(), dim=-1)
