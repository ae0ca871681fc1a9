"""Labels by their names: as CLIPModel says one by one; templates; the top five."""

import dataclasses
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.metrics import top_k_accuracy_score

from ml_core import evaluate
from ml_core.errors import UserError
from ml_core.evaluate import get_task
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import save_clip, save_image_classifier

TASK = get_task("zero-shot-image-classification")
LABELS = ("cat", "dog", "film", "day", "story", "mat", "good")
N = 24


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (20 + seed, 24, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("model") / "m")


def spec_of(model, path, labels=LABELS, **more):
    images = [png(picture(at)) for at in range(N)]
    numbers = [at % len(LABELS) for at in range(N)]
    pq.write_table(pa.table({"image": images, "label": numbers}), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    spec = EvaluationSpec(TASK.name, ModelSpec(str(model)), data, labels, engine=engine)
    return dataclasses.replace(spec, bootstrap_draws=50, **more)


def reference(folder, templates):
    """Every image with every sentence alone through CLIPModel; embeddings of templates averaged."""
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    clip = CLIPModel.from_pretrained(folder).eval()
    logits = np.zeros((N, len(LABELS)))
    for row in range(N):
        pixels = processor(images=[picture(row)], return_tensors="pt")["pixel_values"]
        for column, label in enumerate(LABELS):
            texts = []
            for template in templates:
                given = tokenizer([template.format(label)], return_tensors="pt")
                with torch.inference_mode():
                    out = clip(input_ids=given["input_ids"], pixel_values=pixels)
                texts.append(out.text_embeds[0])
            text = torch.stack(texts).mean(dim=0)
            cosine = out.image_embeds[0] @ text / text.norm()
            logits[row, column] = clip.logit_scale.exp().item() * cosine.item()
            if len(templates) == 1:
                assert logits[row, column] == pytest.approx(out.logits_per_image.item(), rel=1e-4)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("templates", [("the {}",), ("a {}", "a bad film of the {}")])
def test_probabilities_equal_those_of_clip_one_by_one(templates, model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", templates=templates)
    result = evaluate.run(spec, tmp_path / "out")
    given = pq.read_table(tmp_path / "out/predictions.parquet").column("probabilities").to_pylist()
    expected = reference(model, templates)
    assert np.array(given) == pytest.approx(expected, abs=1e-4)
    truth = np.arange(N) % len(LABELS)
    top5 = top_k_accuracy_score(truth, np.array(given), k=5, labels=np.arange(len(LABELS)))
    assert result.metric("top5_accuracy").value == pytest.approx(top5, abs=1e-12)
    assert result.metric("accuracy").value == (expected.argmax(axis=1) == truth).mean()
    assert 0 < top5 < 1
    assert f"templates: {'; '.join(templates)}" in result.execution.notes


def test_our_own_templates_stand_in_and_batches_do_not_matter(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet")
    first = evaluate.run(spec, tmp_path / "a")
    engine = dataclasses.replace(spec.engine, batch_rows=1, threads=2)
    evaluate.run(dataclasses.replace(spec, engine=engine), tmp_path / "b")
    files = (pq.read_table(tmp_path / at / "predictions.parquet") for at in "ab")
    sides = [np.array(file.column("probabilities").to_pylist()) for file in files]
    assert sides[0] == pytest.approx(sides[1], abs=1e-5)
    assert any("a photo of a {}." in note for note in first.execution.notes)


def test_five_labels_or_fewer_have_no_top_five(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet")
    table = pq.read_table(tmp_path / "d.parquet").slice(0, 5)
    pq.write_table(table, tmp_path / "d.parquet")
    result = evaluate.run(dataclasses.replace(spec, labels=LABELS[:5]), tmp_path / "out")
    value = result.metric("top5_accuracy")
    assert (value.value, value.se) == (None, None)
    assert result.metric("accuracy").value is not None


def test_numbers_without_names_are_no_labels(model, tmp_path):
    with pytest.raises(UserError, match="list them under labels") as caught:
        evaluate.run(spec_of(model, tmp_path / "d.parquet", labels=None), tmp_path / "out")
    assert caught.value.code == "dataset_unknown_label"


def test_a_label_map_and_a_model_without_texts_are_refused(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", label_map={"cat": "cat"})
    with pytest.raises(UserError, match="no labels of its own"):
        evaluate.run(spec, tmp_path / "out")
    other = save_image_classifier(tmp_path / "vit")
    with pytest.raises(UserError, match=r"tokenizer") as caught:
        evaluate.run(spec_of(other, tmp_path / "d.parquet"), tmp_path / "out")
    assert caught.value.code == "tokenizer_missing"


@pytest.mark.parametrize("templates", [("a cat",), ("a {} or a {}",), ("",)])
def test_a_template_has_one_place_for_the_name(templates, model, tmp_path):
    with pytest.raises(UserError, match=r"one place \{\}"):
        spec_of(model, tmp_path / "d.parquet", templates=templates)
