"""The two ways to the same scores: our engine, and `transformers.pipeline`.

Both tokenise (or decode images), compute and hand back probabilities by row and label; the model is
loaded before. Nothing is imported here that decides how many threads torch takes.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from ml_core.evaluate.job import Prepared

Scores = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True)
class Ours:
    """What our engine gave, and the slots it computed for the slots that were asked for."""

    scores: Scores
    useful_slots: int
    padded_slots: int


def our_text_engine(
    folder: Path, device: torch.device, dtype: torch.dtype
) -> Callable[[list[str]], Prepared]:
    """Texts to rows that are ready to be computed, over the model in `folder`."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    from ml_core.evaluate.tasks.text_classification import prepare_rows
    from ml_core.load.checkpoint import open_checkpoint
    from ml_core.load.model import build_config, load_model
    from ml_core.load.tokenizer import load_tokenizer

    checkpoint = open_checkpoint(folder, max_parameters=10**9)
    with tempfile.TemporaryDirectory() as scratch:
        staged = checkpoint.stage(Path(scratch))
        config = build_config(checkpoint.config)
        tokenizer = load_tokenizer(checkpoint, staged, config)
        loaded = load_model(
            staged,
            config,
            MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
            purpose="text classification",
            max_parameters=10**9,
            device=device,
            dtype=dtype,
        )
    return lambda texts: prepare_rows(tokenizer, loaded, texts)


def our_image_engine(
    folder: Path, device: torch.device, dtype: torch.dtype
) -> Callable[[list[bytes]], Prepared]:
    """Encoded images to rows that are ready to be computed, over the model in `folder`."""
    import pyarrow as pa
    from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

    from ml_core.evaluate.tasks.image_classification import prepare_images
    from ml_core.load.checkpoint import open_checkpoint
    from ml_core.load.images import load_image_processor
    from ml_core.load.model import build_config, load_model

    checkpoint = open_checkpoint(folder, max_parameters=10**9)
    with tempfile.TemporaryDirectory() as scratch:
        staged = checkpoint.stage(Path(scratch))
        processor = load_image_processor(checkpoint, staged)
        loaded = load_model(
            staged,
            build_config(checkpoint.config),
            MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
            purpose="image classification",
            max_parameters=10**9,
            device=device,
            dtype=dtype,
        )
    return lambda images: prepare_images(processor, loaded, pa.chunked_array([images]))


def compute(prepared: Prepared, n_labels: int) -> Ours:
    """All rows through the engine, as a job does it."""
    from ml_core.answers.label import softmax
    from ml_core.device import exact_arithmetic
    from ml_core.evaluate.batching import plan_batches
    from ml_core.evaluate.engine import run_batches
    from ml_core.evaluate.events import Reporter, ignore

    budget, max_rows = prepared.default_budget, prepared.max_rows
    plan = plan_batches(prepared.lengths, budget=budget, max_rows=max_rows)
    with exact_arithmetic():
        outputs = run_batches(
            plan,
            inputs=prepared.inputs,
            forward=prepared.forward,
            n_rows=len(prepared.lengths),
            slots=prepared.slots,
            reporter=Reporter(ignore),
        )
    return Ours(softmax(outputs.dense(n_labels)), plan.useful_slots, plan.padded_slots)


def text_pipeline(
    folder: Path, labels: Sequence[str], device: str = "cpu", dtype: str = "float32"
) -> Callable[[list[str], int], Scores]:
    """Texts and a batch size to probabilities, by `transformers.pipeline`."""
    from transformers import pipeline

    classify = pipeline(
        "text-classification", model=str(folder), device=device, dtype=dtype, top_k=None
    )
    return lambda texts, batch_size: _by_label(
        classify(texts, batch_size=batch_size, truncation=True), labels
    )


def image_pipeline(
    folder: Path, labels: Sequence[str], device: str = "cpu", dtype: str = "float32"
) -> Callable[[list[bytes], int, int], Scores]:
    """Encoded images, a batch size and a number of preprocessing processes to probabilities.

    On the PIL backend like ours: torchvision resizes to other pixels, and so to other scores.
    """
    from PIL import Image
    from transformers import AutoImageProcessor, pipeline

    classify = pipeline(
        "image-classification",
        model=str(folder),
        image_processor=AutoImageProcessor.from_pretrained(folder, backend="pil"),
        device=device,
        dtype=dtype,
    )

    def scores(images: list[bytes], batch_size: int, n_workers: int) -> Scores:
        opened = [Image.open(io.BytesIO(data)) for data in images]
        return _by_label(
            classify(opened, batch_size=batch_size, num_workers=n_workers, top_k=len(labels)),
            labels,
        )

    return scores


def _by_label(rows: list[list[dict[str, Any]]], labels: Sequence[str]) -> Scores:
    said = [{str(entry["label"]): float(entry["score"]) for entry in row} for row in rows]
    return np.array([[by[label] for label in labels] for by in said], dtype=np.float32)
