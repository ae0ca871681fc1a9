"""Padded batches of many architectures against one row at a time by transformers alone."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ml_core import evaluate
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import LABELS, SENTENCES, train_tokenizer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 80,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}
SPECIAL = {"bos_token_id": 2, "eos_token_id": 3}
TEXT = {
    "distilbert": {
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 32,
        "initializer_range": 0.5,
    },
    "roberta": SIZES | {"pad_token_id": 1},
    "albert": SIZES | {"embedding_size": 16},
    "deberta-v2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": SIZES | SPECIAL | {"cls_token_id": 2, "sep_token_id": 3},
    "llama": SIZES | SPECIAL | {"num_key_value_heads": 2},
    "t5": {
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 1,
        "num_heads": 2,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "decoder_start_token_id": 0,
    },
}
IMAGE = {
    "resnet": {
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    },
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "swin": {
        "image_size": 32,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
}


def config_of(name, **settings):
    from transformers import AutoConfig

    names = dict(enumerate(LABELS))
    config = AutoConfig.for_model(name, **settings)
    config.id2label, config.label2id = names, {label: at for at, label in names.items()}
    return config


def evaluated(task, folder, data, tmp_path):
    """Probabilities by us, in the order of the data."""
    pq.write_table(pa.table(data), tmp_path / "d.parquet")
    spec = EvaluationSpec(
        task,
        ModelSpec(str(folder)),
        DataSpec((str(tmp_path / "d.parquet"),)),
        labels=LABELS,
        engine=EngineSpec(device="cpu", threads=1),
    )
    evaluate.run(spec, tmp_path / "out")
    column = pq.read_table(tmp_path / "out/predictions.parquet").column("probabilities")
    return np.array(column.to_pylist())


@pytest.mark.parametrize("name", TEXT)
def test_texts(name, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = config_of(name, vocab_size=len(tokenizer), **TEXT[name])
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    texts = [" ".join(rng.choice(words, rng.integers(1, 80))) for _ in range(30)]
    own = evaluated("text-classification", tmp_path / "m", {"text": texts}, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    with torch.inference_mode():
        rows = [tokenizer(t, truncation=True, max_length=64, return_tensors="pt") for t in texts]
        expected = np.concatenate([model(**row).logits.softmax(-1).numpy() for row in rows])
    assert expected.std(axis=0).min() > 0.01, "a model that answers always the same tests nothing"
    assert np.abs(own - expected).max() < 1e-5


@pytest.mark.parametrize("name", IMAGE)
def test_images(name, tmp_path):
    from transformers import AutoModelForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    model = AutoModelForImageClassification.from_config(config_of(name, **IMAGE[name])).eval()
    torch.nn.init.normal_(
        model.classifier.weight if name != "resnet" else model.classifier[1].weight
    )
    model.save_pretrained(tmp_path / "m")
    processor = ViTImageProcessorPil(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "m")
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)) for _ in range(20)]
    streams = [io.BytesIO() for _ in images]
    for image, stream in zip(images, streams, strict=True):
        image.save(stream, "PNG")
    data = {"image": [stream.getvalue() for stream in streams]}
    own = evaluated("image-classification", tmp_path / "m", data, tmp_path)
    with torch.inference_mode():
        inputs = processor(images=images, return_tensors="pt")
        expected = model(**inputs).logits.softmax(-1).numpy()
    assert np.abs(own - expected).max() < 1e-5
