"""Boxes as transformers' post-processing gives them, objects of the data, files without trust."""

import dataclasses
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ml_core import evaluate
from ml_core.answers.boxes import KIND, SCHEMA, ObjectTruth, detector_map
from ml_core.data.objects import object_labels, read_objects
from ml_core.data.schema import read_items
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.metrics import Setting
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import edit_json, save_detector

TASK = get_task("object-detection")
SIZES = [(60, 40), (40, 60), (48, 48)]


def noise(seed, size):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


PICTURES = [noise(at, SIZES[at % 3]) for at in range(9)]
IMAGES = [png(image) for image in PICTURES]


def objects_of(n):
    rng = np.random.default_rng(0)
    rows = []
    for at in range(n):
        many = at % 3
        boxes = np.c_[rng.uniform(0, 20, (many, 2)), rng.uniform(5, 20, (many, 2))]
        names = [("cat", "dog")[at % 2] for at in range(many)]
        rows.append({"bbox": boxes.tolist(), "category": names, "iscrowd": [0] * many})
    return rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_detector(tmp_path_factory.mktemp("model") / "m")


def spec_of(model, path, objects, images=IMAGES, **more):
    table = {"image": images[: len(objects)], "objects": objects}
    pq.write_table(pa.table(table), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    spec = EvaluationSpec("object-detection", ModelSpec(str(model)), data, engine=engine)
    return dataclasses.replace(spec, bootstrap_draws=20, **more)


def reference(folder, image):
    """One image alone through transformers' own classes."""
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    with torch.inference_mode():
        outputs = model(**processor(images=[image], return_tensors="pt"))
    size = [(image.height, image.width)]
    (made,) = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=size)
    order = made["scores"].argsort(descending=True, stable=True)
    return {name: values[order].numpy() for name, values in made.items()}


def test_boxes_equal_those_of_transformers_one_image_at_a_time(model, tmp_path):
    result = evaluate.run(spec_of(model, tmp_path / "d.parquet", objects_of(9)), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    for row, image in zip(rows, PICTURES, strict=True):
        expected = reference(model, image)
        left, top, right, bottom = expected["boxes"].T
        boxes = np.stack([left, top, right - left, bottom - top], axis=1)
        assert np.array(row["boxes"]).reshape(-1, 4) == pytest.approx(boxes, abs=1e-3)
        assert row["scores"] == pytest.approx(expected["scores"].tolist(), abs=1e-5)
        assert row["labels"] == expected["labels"].tolist()
    assert [value.name for value in result.scores.metrics] == list(TASK.metrics)
    assert result.metric("box_ap").n == 9
    assert "image processor: DetrImageProcessorPil" in result.execution.notes


def test_batches_do_not_matter(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", objects_of(9))
    evaluate.run(spec, tmp_path / "a")
    engine = dataclasses.replace(spec.engine, batch_rows=9, token_budget=9, threads=2)
    evaluate.run(dataclasses.replace(spec, engine=engine), tmp_path / "b")
    a, b = (pq.read_table(tmp_path / at / "predictions.parquet") for at in "ab")
    flat = [np.concatenate(t.column("boxes").to_pylist()) for t in (a, b)]
    assert flat[0] == pytest.approx(flat[1], abs=1e-3)


def test_truth_stays_behind_and_the_parent_scores_what_it_reads(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", objects_of(9))
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    assert pq.read_schema(tmp_path / "in/inputs.parquet").names == ["image", "item_id"]
    assert withheld.spec.labels == ("cat", "dog")
    assert evaluate.run(withheld.spec, tmp_path / "out").scores is None
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    setting = Setting(read.n_missing, spec.bootstrap_draws, 0)
    scores = KIND.score(read, withheld.truth, metrics=TASK.metrics, setting=setting)
    assert scores == evaluate.run(spec, tmp_path / "open").scores
    rows = KIND.samples(read, withheld.truth).to_pylist()
    assert [row["n_objects"] for row in rows] == [0, 1, 2] * 3
    assert all(len(row["boxes"]) == len(row["scores"]) for row in rows)


def test_outputs_that_are_no_numbers_are_missing_items(model, tmp_path):
    broken = save_detector(tmp_path / "m")
    weights = load_file(broken / "model.safetensors")
    weights["bbox_predictor.layers.2.bias"] = torch.full((4,), float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="not finite numbers"):
        evaluate.run(spec_of(broken, tmp_path / "d.parquet", objects_of(5)), tmp_path / "out")


GOOD = {"bbox": [[1, 2, 3, 4]], "category": ["cat"]}


def truth_of(tmp_path, rows, labels=None, **more):
    rows = pa.array(rows) if not isinstance(rows, pa.Array) else rows
    table = pa.table({"image": IMAGES[: len(rows)], "objects": rows, **more})
    pq.write_table(table, tmp_path / "d.parquet")
    items = read_items(DataSpec((str(tmp_path / "d.parquet"),)), TASK.inputs, TASK.truth)
    return read_objects(items, object_labels(items, labels))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bbox": [[1, 2, -3, 4]]}, "width or height is not above 0"),
        ({"bbox": [[1, 2, 0, 4]]}, "width or height is not above 0"),
        ({"bbox": [[1, 2, float("nan"), 4]]}, "not four numbers"),
        ({"bbox": [[1, 2, float("inf"), 4]]}, "not four numbers"),
        ({"bbox": [[1, 2, None, 4]]}, "not four numbers"),
        ({"bbox": [[1, 2, 3]]}, "not four numbers"),
        ({"bbox": [[1, 2, 3, 4, 5]]}, "not four numbers"),
        ({"bbox": [[100, 2, 3, 4]]}, "outside of its image"),
        ({"bbox": [[-9, 2, 3, 4]]}, "outside of its image"),
        ({"bbox": [[1, 2, 3, 4]] * 2}, "another number of category"),
        ({"category": [None]}, "object without category"),
        ({"area": [0.0]}, "object without area"),
        ({"area": [float("nan")]}, "object without area"),
        ({"iscrowd": [0, 1]}, "another number of iscrowd"),
    ],
)
def test_hostile_boxes_are_named_by_their_row(change, words, tmp_path):
    with pytest.raises(UserError, match=rf"1 of 2 rows have .*{words}.*: 0") as caught:
        truth_of(tmp_path, [GOOD | change, {"bbox": [], "category": []}], ("cat", "dog"))
    assert caught.value.code == "dataset_broken_row"


@pytest.mark.parametrize(
    ("rows", "words", "code"),
    [
        ([[1, 2]], "each row needs", "dataset_broken_row"),
        (["box"], "each row needs", "dataset_broken_row"),
        ([{"bbox": [[1, 2, 3, 4]]}], "each row needs", "dataset_broken_row"),
        ([{"bbox": ["x"], "category": ["cat"]}], "not four numbers", "dataset_broken_row"),
        ([{"bbox": [["1", "2", "3", "4"]], "category": ["cat"]}], "holds", "dataset_broken_row"),
        ([GOOD | {"category": ["cow"]}], "'cow'", "dataset_unknown_label"),
        ([GOOD | {"category": [7]}], "label 7", "dataset_unknown_label"),
    ],
)
def test_columns_that_hold_no_objects_are_refused(rows, words, code, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        truth_of(tmp_path, rows, ("cat", "dog"))
    assert caught.value.code == code


def test_objects_are_read_from_both_forms_and_images_may_have_none(tmp_path):
    lists = truth_of(tmp_path, [GOOD | {"iscrowd": [1]}, {"bbox": [], "category": []}, None])
    given = [[{"bbox": [1, 2, 3, 4], "category": "cat", "iscrowd": 1}], [], None]
    structs = truth_of(tmp_path, given)
    for truth in (lists, structs):
        assert [len(image.boxes) for image in truth] == [1, 0, 0]
        assert truth[0].boxes.tolist() == [[1, 2, 3, 4]]
        assert truth[0].is_crowd.tolist() == [True]
        assert truth[0].areas.tolist() == [12]
    fixed = pa.array([[[1.0, 2, 3, 4]]], pa.list_(pa.list_(pa.float32(), 4)))
    struct = pa.StructArray.from_arrays([fixed, pa.array([["cat"]])], ["bbox", "category"])
    assert truth_of(tmp_path, struct)[0].boxes.tolist() == [[1, 2, 3, 4]]


def test_category_numbers_need_names(tmp_path):
    rows = [GOOD | {"category": [1]}]
    with pytest.raises(UserError, match="list their names under labels"):
        truth_of(tmp_path, rows)
    feature = {
        "bbox": [],
        "category": {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": {"objects": feature}}})}
    table = pa.table({"image": IMAGES[:1], "objects": rows}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "n.parquet")
    items = read_items(DataSpec((str(tmp_path / "n.parquet"),)), TASK.inputs, TASK.truth)
    assert object_labels(items, None) == ("cat", "dog")


def test_numbers_without_category_lead_nowhere():
    found = detector_map(("N/A", "Cat", "N/A", "dog"), ("dog", "cat"), None)
    assert found.targets == (None, 1, None, 0)
    found = detector_map(("N/A", "x", "y"), ("dog", "cat"), {"x": "cat", "y": None})
    assert found.targets == (None, 1, None)
    with pytest.raises(UserError, match="only the model has"):
        detector_map(("N/A", "cat", "cow"), ("cat",), None)


TRUTH = ObjectTruth(("a", "b"), (), ("cat", "dog"))
ROWS = {
    "item_id": ["a", "b"],
    "boxes": [[1, 2, 3, 4], None],
    "scores": [[0.5], None],
    "labels": [[1], None],
    "truncated": [False, False],
    "error": [None, "not_finite"],
}


MANY = {"boxes": [[1] * 404, None], "scores": [[0.5] * 101, None], "labels": [[1] * 101, None]}
HUGE = pa.ListArray.from_arrays([0, 4_000_000, 4_000_000], pa.array(np.full(4_000_000, 0.5)))


def write(path, **change):
    rows = ROWS | change
    arrays = [
        v if isinstance(v, pa.Array) else pa.array(v, SCHEMA.field(k).type) for k, v in rows.items()
    ]
    pq.write_table(pa.table(arrays, names=list(rows)), path)
    return path


def test_a_file_of_boxes_is_read_back(tmp_path):
    read = KIND.read(write(tmp_path / "p.parquet"), TRUTH)
    assert read.found[0].boxes.tolist() == [[1, 2, 3, 4]]
    assert read.found[1] is None
    assert (read.n_missing, read.errors) == (1, (None, "not_finite"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boxes": [[1, 2, 3], None]}, "other numbers of boxes"),
        ({"boxes": [[1, 2, float("nan"), 4], None]}, "not four numbers"),
        ({"boxes": [[1, 2, -3, 4], None]}, "width and a height"),
        ({"scores": [[1.5], None]}, "score is not"),
        ({"scores": [[float("nan")], None]}, "score is not"),
        ({"scores": [None, None]}, "but not all"),
        ({"labels": [[2], None]}, "no category"),
        ({"labels": [[-1], None]}, "no category"),
        (MANY, "more than 100"),
        ({"scores": pa.array([["x"], None])}, "parse"),
        ({"labels": pa.array([[10**12], None])}, "out of bounds|not in range"),
        ({"scores": HUGE}, "too many values|plain file"),
        ({"item_id": ["a", "a"]}, "item ids"),
    ],
)
def test_hostile_files_of_boxes_are_refused(change, words, tmp_path):
    with pytest.raises(PlatformError, match=words) as caught:
        KIND.read(write(tmp_path / "p.parquet", **change), TRUTH)
    assert caught.value.code == "result_invalid"


def test_a_model_that_needs_torchvision_is_told_so(model, tmp_path):
    broken = save_detector(tmp_path / "m")
    edit_json(broken / "preprocessor_config.json", image_processor_type="RfDetrImageProcessor")
    with pytest.raises(UserError, match="torchvision alone") as caught:
        evaluate.run(spec_of(broken, tmp_path / "d.parquet", objects_of(5)), tmp_path / "out")
    assert caught.value.code == "unsupported_model"


def test_a_processor_that_makes_no_boxes_is_refused(model, tmp_path):
    broken = save_detector(tmp_path / "m")
    edit_json(broken / "preprocessor_config.json", image_processor_type="ViTImageProcessor")
    with pytest.raises(UserError, match="makes no boxes") as caught:
        evaluate.run(spec_of(broken, tmp_path / "d.parquet", objects_of(5)), tmp_path / "out")
    assert caught.value.code == "processor_invalid"
