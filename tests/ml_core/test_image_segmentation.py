"""Masks as transformers gives them, scores by scikit-learn's matrix, files read without trust."""

import dataclasses
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import confusion_matrix, jaccard_score

from ml_core import evaluate
from ml_core.answers.mask import KIND, NONE, SCHEMA, MaskPredictions, TrueMasks
from ml_core.data import masks
from ml_core.data.masks import read_masks
from ml_core.data.schema import read_items
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.metrics import Setting
from ml_core.metrics.runs import Runs, matrix_of, runs_in
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.data_files import png as grey_png
from tests.support.tiny_models import edit_json, save_segmenter

TASK = get_task("image-segmentation")
LABELS = ("sky", "road", "car")
SIZES = [(60, 40), (40, 60), (48, 48)]


def png(values, mode=None):
    stream = io.BytesIO()
    Image.fromarray(values, mode).save(stream, "PNG")
    return stream.getvalue()


def pixels_of(seed, *shape, high=255):
    return np.random.default_rng(seed).integers(0, high, shape, dtype=np.uint8)


PICTURES = [pixels_of(at, *SIZES[at % 3][::-1], 3) for at in range(7)]
MASKS = [pixels_of(at, *SIZES[at % 3][::-1], high=3) for at in range(7)]
for at, mask in enumerate(MASKS):
    mask[: at + 1] = 255


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_segmenter(tmp_path_factory.mktemp("model") / "m")


def packed(mask):
    return Runs.of(*runs_in(mask))


def unpacked(runs):
    return np.repeat(runs.labels, runs.lengths)


def spec_of(model, path, n=7, **more):
    images, masks = [png(one) for one in PICTURES[:n]], [png(one) for one in MASKS[:n]]
    pq.write_table(pa.table({"image": images, "mask": masks}), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    spec = EvaluationSpec("image-segmentation", ModelSpec(str(model)), data, LABELS, engine=engine)
    return dataclasses.replace(spec, bootstrap_draws=50, **more)


def reference(folder, pixels):
    """One image alone through transformers' own classes."""
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
    with torch.inference_mode():
        outputs = model(**processor(images=[Image.fromarray(pixels)], return_tensors="pt"))
    (made,) = processor.post_process_semantic_segmentation(outputs, [pixels.shape[:2]])
    return made.numpy()


def masks_in(out, shapes):
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    for row, shape in zip(rows, shapes, strict=True):
        labels, lengths = (np.frombuffer(row[name], "<u2") for name in ("labels", "lengths"))
        yield np.repeat(labels, lengths).reshape(shape)


def test_masks_and_scores_equal_those_of_transformers_and_scikit_learn(model, tmp_path):
    result = evaluate.run(spec_of(model, tmp_path / "d.parquet"), tmp_path / "out")
    expected = [reference(model, pixels) for pixels in PICTURES]
    given = list(masks_in(tmp_path / "out", [mask.shape for mask in MASKS]))
    assert np.mean([(a == b).mean() for a, b in zip(given, expected, strict=True)]) > 0.9999
    truth = np.concatenate([mask.ravel() for mask in MASKS])
    said = np.concatenate([mask.ravel() for mask in given])
    truth, said = truth[truth != 255], said[truth != 255]
    scores = jaccard_score(truth, said, average=None, labels=[0, 1, 2])
    assert result.metric("mean_iou").value == pytest.approx(scores.mean(), abs=1e-12)
    assert result.metric("pixel_accuracy").value == pytest.approx((truth == said).mean(), abs=1e-12)
    assert [one.iou for one in result.scores.per_class] == pytest.approx(scores, abs=1e-12)
    matrix = np.zeros((3, 3), dtype=int)
    for row, column, count in result.scores.confusion.cells:
        matrix[row, column] = count
    assert (matrix == confusion_matrix(truth, said, labels=[0, 1, 2])).all()
    assert result.metric("mean_iou").se > 0


def test_batches_do_not_matter(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet")
    evaluate.run(spec, tmp_path / "a")
    engine = dataclasses.replace(spec.engine, batch_rows=7, token_budget=7, threads=2)
    evaluate.run(dataclasses.replace(spec, engine=engine), tmp_path / "b")
    shapes = [mask.shape for mask in MASKS]
    sides = [np.concatenate([m.ravel() for m in masks_in(tmp_path / at, shapes)]) for at in "ab"]
    assert (sides[0] == sides[1]).mean() > 0.9999


def test_truth_stays_behind_and_the_parent_scores_what_it_reads(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet")
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    assert pq.read_schema(tmp_path / "in/inputs.parquet").names == ["image", "item_id"]
    assert evaluate.run(withheld.spec, tmp_path / "out").scores is None
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    setting = Setting(read.n_missing, spec.bootstrap_draws, 0)
    scores = KIND.score(read, withheld.truth, metrics=TASK.metrics, setting=setting)
    assert scores == evaluate.run(spec, tmp_path / "open").scores
    rows = KIND.samples(read, withheld.truth).to_pylist()
    total = sum(row["n_correct"] for row in rows) / sum(row["n_pixels"] for row in rows)
    assert scores.metrics[1].value == pytest.approx(total, abs=1e-12)


def test_by_hand():
    """Right 2 of 4 pixels; sky 1/2, road 1/3, car 0: it is answered and never true."""
    truth = TrueMasks(("a",), (packed(np.array([[0, 0, 1, 1, 255]])),), LABELS)
    said = packed(np.array([[0, 1, 1, 2, 2]]))
    predictions = MaskPredictions(("a",), (said,), LABELS, np.zeros(1, bool), (None,))
    metrics = ("mean_iou", "pixel_accuracy")
    scores = KIND.score(predictions, truth, metrics=metrics, setting=Setting(0, 0, 0))
    assert [one.iou for one in scores.per_class] == pytest.approx([1 / 2, 1 / 3, 0])
    assert scores.metrics[0].value == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert scores.metrics[1].value == 0.5


def test_a_label_that_leads_nowhere_is_a_wrong_answer_of_its_pixels(model, tmp_path):
    plain = evaluate.run(spec_of(model, tmp_path / "d.parquet"), tmp_path / "a")
    label_map = {"sky": "sky", "road": "road", "car": None}
    spec = spec_of(model, tmp_path / "d.parquet", label_map=label_map)
    found = evaluate.run(spec, tmp_path / "b")
    lost = sum(n for row, column, n in plain.scores.confusion.cells if row == column == 2)
    share = lost / sum(n for _, _, n in plain.scores.confusion.cells)
    before = plain.metric("pixel_accuracy").value
    assert found.metric("pixel_accuracy").value == pytest.approx(before - share, abs=1e-12)
    assert found.scores.per_class[2].iou == 0
    assert found.scores.confusion.labels == (*LABELS, "(none)")


def test_outputs_that_are_no_numbers_are_missing_items(tmp_path):
    broken = save_segmenter(tmp_path / "m")
    weights = load_file(broken / "model.safetensors")
    weights["decode_head.classifier.bias"] = torch.full((3,), float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="not finite numbers"):
        evaluate.run(spec_of(broken, tmp_path / "d.parquet", n=2), tmp_path / "out")


def test_a_processor_that_cuts_images_is_refused(tmp_path):
    broken = save_segmenter(tmp_path / "m")
    edit_json(broken / "preprocessor_config.json", do_center_crop=True)
    edit_json(broken / "preprocessor_config.json", image_processor_type="MobileViTImageProcessor")
    with pytest.raises(UserError, match="has do_center_crop") as caught:
        evaluate.run(spec_of(broken, tmp_path / "d.parquet", n=2), tmp_path / "out")
    assert caught.value.code == "processor_invalid"


def test_runs_longer_than_sixteen_bits_are_several():
    mask = np.zeros((300, 1000), dtype=np.int64)
    mask[299, 999] = 7
    runs = packed(mask)
    assert runs.lengths.tolist() == [65535] * 4 + [37859, 1]
    assert (unpacked(runs) == mask.ravel()).all()
    noise = pixels_of(1, 50, 70, high=4).astype(np.int64)
    assert (unpacked(packed(noise)) == noise.ravel()).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_matrix_of_runs_is_that_of_pixels(seed):
    rng = np.random.default_rng(seed)
    truth, said = (np.repeat(rng.integers(0, 4, 90), rng.integers(1, 9, 90))[:300] for _ in "ab")
    truth[rng.random(300) < 0.1] = 255
    matrix = matrix_of(packed(truth), packed(said), 4, 255)
    kept = truth != 255
    assert (matrix[:, :4] == confusion_matrix(truth[kept], said[kept], labels=range(4))).all()
    assert not matrix[:, 4].any()


def test_a_split_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "MAX_SPLIT_PIXELS", 2000)
    table = pa.table({"image": [png(COLOURS)] * 2, "mask": [png(GREY)] * 2})
    pq.write_table(table, tmp_path / "d.parquet")
    items = read_items(DataSpec((str(tmp_path / "d.parquet"),)), TASK.inputs, TASK.truth)
    with pytest.raises(UserError, match="more than 2,000 pixels together"):
        read_masks(items, 3)


GREY = np.zeros((30, 40), dtype=np.uint8)
COLOURS = np.zeros((30, 40, 3), dtype=np.uint8)
STRANGE = np.full((30, 40), 3, dtype=np.uint8)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (b"no image", "no PNG"),
        (b"", "have no mask"),
        (None, "have no mask"),
        (png(COLOURS), "in colours"),
        (png(STRANGE), "none of the 3 labels"),
        (png(GREY[:29]), "another size than their image"),
        (png(pixels_of(0, 30, 40))[:200], "cannot be decoded"),
        (grey_png(claims=(60_000, 60_000)), "no PNG of at most"),
    ],
)
def test_hostile_masks_are_named_by_their_row(mask, words, tmp_path):
    table = pa.table({"image": [png(COLOURS)] * 2, "mask": [png(GREY), mask]})
    pq.write_table(table, tmp_path / "d.parquet")
    items = read_items(DataSpec((str(tmp_path / "d.parquet"),)), TASK.inputs, TASK.truth)
    with pytest.raises(UserError, match=rf"1 of 2 rows have .*{words.removeprefix('have ')}.*: 1"):
        read_masks(items, 3)


def test_masks_need_names(model, tmp_path):
    spec = dataclasses.replace(spec_of(model, tmp_path / "d.parquet"), labels=None)
    with pytest.raises(UserError, match="list the names under labels"):
        evaluate.run(spec, tmp_path / "out")


TRUTH = TrueMasks(("a", "b"), (packed(GREY), packed(GREY)), LABELS)


def u2(*values):
    return np.array(values, dtype="<u2").tobytes()


ROWS = {
    "item_id": ["a", "b"],
    "labels": [u2(0, 1, NONE), None],
    "lengths": [u2(1000, 100, 100), None],
    "truncated": [False, False],
    "error": [None, "not_finite"],
}


def write(path, **change):
    rows = ROWS | change
    arrays = [
        v if isinstance(v, pa.Array) else pa.array(v, SCHEMA.field(k).type) for k, v in rows.items()
    ]
    pq.write_table(pa.table(arrays, names=list(rows)), path)
    return path


def test_a_file_of_masks_is_read_back(tmp_path):
    read = KIND.read(write(tmp_path / "p.parquet"), TRUTH)
    assert np.bincount(unpacked(read.masks[0]))[[0, 1, NONE]].tolist() == [1000, 100, 100]
    assert read.masks[1] is None
    assert read.n_missing == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lengths": [u2(1000, 100), None]}, "other numbers"),
        ({"lengths": [None, None]}, "other numbers"),
        ({"lengths": [u2(1000, 100, 100)[:-1], None]}, "other numbers"),
        ({"lengths": [u2(1000, 100, 101), None]}, "another number of pixels"),
        ({"lengths": [u2(65535, 65535, 65535), None]}, "another number of pixels"),
        ({"labels": [b"", None], "lengths": [b"", None]}, "another number of pixels"),
        ({"lengths": [u2(1000, 0, 200), None]}, "no pixels"),
        ({"labels": [u2(0, 1, 3), None]}, "no label"),
        ({"labels": [u2(0, 255, 1), None]}, "no label"),
        ({"labels": pa.array([[0, 1], None])}, "cast"),
        ({"labels": [bytes(30_000_000), None]}, "unpacks|plain file"),
        ({"item_id": ["a", "a"]}, "item ids"),
    ],
)
def test_hostile_files_of_masks_are_refused(change, words, tmp_path):
    with pytest.raises(PlatformError, match=words) as caught:
        KIND.read(write(tmp_path / "p.parquet", **change), TRUTH)
    assert caught.value.code == "result_invalid"
