"""The demo's fine-tuned models: plain transformers and torch, seeded, a minute on two cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessorPil,
)

SEED = 0


def tune_languages(base: Path, data: Path, out: Path, *, steps: int) -> None:
    """BERT-tiny with a new head, `steps` batches of 32 sentences."""
    torch.manual_seed(SEED)
    rows = load_dataset(str(data), split="train")
    names = rows.features["label"].names
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(
        base,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    texts, labels = list(rows["text"]), torch.tensor(rows["label"])

    def batch(indices: list[int]) -> BatchEncoding:
        chosen = [texts[index] for index in indices]
        encoded: BatchEncoding = tokenizer(
            chosen, padding=True, truncation=True, max_length=64, return_tensors="pt"
        )
        return encoded

    _train(model, batch, labels, steps=steps, learning_rate=1e-3)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def train_digits(data: Path, out: Path, *, steps: int) -> None:
    """A small residual network from scratch, `steps` batches of 32 images."""
    torch.manual_seed(SEED)
    rows = load_dataset(str(data), split="train")
    names = rows.features["label"].names
    processor = ViTImageProcessorPil(
        size={"height": 32, "width": 32},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_convert_rgb=True,
    )
    config = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 64],
        depths=[1, 1, 1],
        layer_type="basic",
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    model = ResNetForImageClassification(config)
    pictures = [image.convert("RGB") for image in rows["image"]]
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]

    def batch(indices: list[int]) -> BatchEncoding:
        return BatchEncoding({"pixel_values": pixels[indices]})

    _train(model, batch, torch.tensor(rows["label"]), steps=steps, learning_rate=3e-3)
    model.save_pretrained(out)
    processor.save_pretrained(out)


def _train(
    model: PreTrainedModel,
    batch: Callable[[list[int]], BatchEncoding],
    labels: torch.Tensor,
    *,
    steps: int,
    learning_rate: float,
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    model.train()
    for indices in _shuffled(len(labels), steps=steps, size=32):
        loss = model(**batch(indices), labels=labels[indices]).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.train(False)


def _shuffled(count: int, *, steps: int, size: int) -> Iterator[list[int]]:
    generator = torch.Generator().manual_seed(SEED)
    order: list[int] = []
    for _ in range(steps):
        if len(order) < size:
            order += torch.randperm(count, generator=generator).tolist()
        yield order[:size]
        order = order[size:]
