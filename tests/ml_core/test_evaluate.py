"""Whole evaluations of tiny models: equal to transformers itself, in the order of the data."""

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ml_core import evaluate
from ml_core.answers.label import softmax
from ml_core.data.labels import Truth
from ml_core.data.predictions import read_predictions
from ml_core.errors import ErrorReport, UserError
from ml_core.evaluate.batching import plan_batches
from ml_core.evaluate.engine import RowsFailed, run_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.evaluate.transfer import Arriving
from ml_core.results import EvaluationResult
from ml_core.scoring import score
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import (
    LABELS,
    SENTENCES,
    edit_json,
    save_decoder_classifier,
    save_image_classifier,
    save_text_classifier,
)


def texts_of(n, seed=0):
    """Rows of 1 to 90 words: ragged enough to be sorted and padded, some cut at 64 tokens."""
    rng = np.random.default_rng(seed)
    words = " ".join(SENTENCES).split()
    return [" ".join(rng.choice(words, rng.integers(1, 90))) for _ in range(n)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_text_classifier(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def data(tmp_path):
    texts = texts_of(60)
    columns = {
        "text": texts,
        "label": [at % 2 for at in range(60)],
        "item_id": list(range(60, 0, -1)),
    }
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    return DataSpec((str(tmp_path / "d.parquet"),))


@pytest.fixture
def spec(model, data):
    engine = EngineSpec(device="cpu", threads=1)
    return EvaluationSpec(
        "text-classification", ModelSpec(str(model)), data, labels=LABELS, engine=engine
    )


def reference(folder, texts, pairs=None):
    """Probabilities by transformers alone, one row at a time."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    for at, text in enumerate(texts):
        pair = pairs[at] if pairs else None
        batch = tokenizer(text, pair, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            rows.append(model(**batch).logits.softmax(-1)[0].numpy())
    return np.array(rows)


def probabilities(out):
    return np.array(pq.read_table(out / "predictions.parquet").column("probabilities").to_pylist())


def test_probabilities_equal_those_of_transformers_in_the_order_of_the_data(spec, model, tmp_path):
    result = evaluate.run(spec, tmp_path / "out")
    expected = reference(model, texts_of(60))
    assert np.abs(probabilities(tmp_path / "out") - expected).max() < 1e-5
    assert expected.std(axis=0).min() > 0.05, "a model that answers always the same tests nothing"
    table = pq.read_table(tmp_path / "out/predictions.parquet")
    assert table.column("item_id").to_pylist() == [str(n) for n in range(60, 0, -1)]
    truth = np.arange(60) % 2
    assert result.metric("accuracy").value == np.mean(expected.argmax(1) == truth)
    assert 0 < result.metric("accuracy").value < 1
    assert result.execution.n_items == 60
    assert 0 < result.execution.n_truncated < 60
    assert result.execution.max_length == 64


def test_the_metric_recomputed_from_the_file_is_the_same_number(spec, tmp_path):
    result = evaluate.run(spec, tmp_path / "out")
    ids = tuple(str(n) for n in range(60, 0, -1))
    read = read_predictions(tmp_path / "out/predictions.parquet", ids, LABELS)
    truth = Truth(ids, np.arange(60) % 2, LABELS)
    again = score(read, truth, metrics=("accuracy", "macro_f1"))
    assert result.scores is not None
    assert dataclasses.replace(result.scores, calibration=None) == again
    stored = EvaluationResult.from_json(json.loads((tmp_path / "out/result.json").read_text()))
    assert stored == result


def test_the_same_spec_gives_the_same_file(spec, tmp_path):
    first = evaluate.run(spec, tmp_path / "a").predictions.sha256
    assert evaluate.run(spec, tmp_path / "b").predictions.sha256 == first


def test_batch_size_does_not_change_the_answer(spec, tmp_path):
    evaluate.run(spec, tmp_path / "a")
    small = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=70))
    result = evaluate.run(small, tmp_path / "b")
    assert np.abs(probabilities(tmp_path / "a") - probabilities(tmp_path / "b")).max() < 1e-6
    assert result.execution.token_budget <= 70


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_recorded_and_close(dtype, spec, model, tmp_path):
    half = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, dtype=dtype))
    result = evaluate.run(half, tmp_path / "out")
    assert result.execution.dtype == dtype
    difference = np.abs(probabilities(tmp_path / "out") - reference(model, texts_of(60))).max()
    assert 0 < difference < 0.1


def test_pairs_of_texts_are_seen_as_pairs(spec, model, tmp_path):
    first, second = texts_of(20, 1), texts_of(20, 2)
    columns = {"text": first, "text_pair": second, "label": [0, 1] * 10}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    evaluate.run(
        dataclasses.replace(spec, data=DataSpec((str(tmp_path / "p.parquet"),))), tmp_path / "out"
    )
    expected = reference(model, first, second)
    assert np.abs(probabilities(tmp_path / "out") - expected).max() < 1e-5
    assert np.abs(probabilities(tmp_path / "out") - reference(model, first)).max() > 1e-3


def test_without_labels_there_are_predictions_and_no_scores(spec, tmp_path):
    pq.write_table(pa.table({"text": texts_of(5)}), tmp_path / "p.parquet")
    result = evaluate.run(
        dataclasses.replace(spec, data=DataSpec((str(tmp_path / "p.parquet"),))), tmp_path / "out"
    )
    assert result.scores is None
    assert result.predictions.rows == 5


def test_events_tell_the_phases_and_the_end(spec, tmp_path):
    events = []
    evaluate.run(spec, tmp_path / "out", events.append)
    assert [e["phase"] for e in events if e["event"] == "phase"] == [
        "loading",
        "running",
        "scoring",
    ]
    progress = [e for e in events if e["event"] == "progress"]
    assert (progress[-1]["done"], progress[-1]["total"]) == (60, 60)


@pytest.mark.parametrize("pad_token", [True, False])
def test_decoders_find_their_last_token_with_and_without_padding(pad_token, spec, tmp_path):
    folder = save_decoder_classifier(tmp_path / "gpt", pad_token=pad_token)
    result = evaluate.run(dataclasses.replace(spec, model=ModelSpec(str(folder))), tmp_path / "out")
    expected = reference(folder, texts_of(60))
    assert np.abs(probabilities(tmp_path / "out") - expected).max() < 1e-5
    if not pad_token:
        assert result.execution.batch_sizes == {"1": 60}
        assert "no padding token" in result.execution.notes[0]


def png(value, size=(20, 24)):
    stream = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def image_spec(tmp_path):
    folder = save_image_classifier(tmp_path / "vit")
    images = [{"bytes": png(at * 6), "path": None} for at in range(40)]
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 20}), tmp_path / "i.parquet")
    data = DataSpec((str(tmp_path / "i.parquet"),))
    labels = ("dark", "bright")
    engine = EngineSpec(device="cpu", threads=1)
    return EvaluationSpec(
        "image-classification", ModelSpec(str(folder)), data, labels, engine=engine
    )


def test_images_equal_those_of_transformers(image_spec, tmp_path):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    result = evaluate.run(image_spec, tmp_path / "out")
    folder = image_spec.model.path
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    images = [Image.open(io.BytesIO(png(at * 6))) for at in range(40)]
    with torch.inference_mode():
        logits = model(**processor(images=images, return_tensors="pt")).logits
    assert np.abs(probabilities(tmp_path / "out") - logits.softmax(-1).numpy()).max() < 1e-5
    assert "image backend: pil" in result.execution.notes


def test_threads_share_the_images_and_change_nothing(image_spec, tmp_path):
    from ml_core.evaluate.tasks.image_classification import image_inputs
    from ml_core.load.checkpoint import open_checkpoint
    from ml_core.load.images import load_image_processor

    checkpoint = open_checkpoint(Path(image_spec.model.path), max_parameters=10**6)
    processor = load_image_processor(checkpoint, checkpoint.stage(tmp_path))
    images = pa.chunked_array([[png(at, (30 + at, 20)) for at in range(11)], [b"no image"]])
    rows = np.arange(11)[::-1]
    alone, shared = (
        image_inputs(processor, images, "RGB", n_threads=n)(rows)["pixel_values"] for n in (1, 3)
    )
    assert alone.shape == (11, 3, 16, 16)
    assert torch.equal(alone, shared)
    assert alone[0].mean() > alone[-1].mean(), "in the order of the rows asked for"
    with pytest.raises(RowsFailed) as caught:
        image_inputs(processor, images, "RGB", n_threads=3)(np.arange(12))
    assert list(caught.value.errors) == [11]


@pytest.mark.parametrize("broken", [b"no image", b"%!PS-Adobe-3.0 EPSF", png(1)[:20]])
def test_a_row_that_is_no_image_is_found_before_the_model_loads(broken, image_spec, tmp_path):
    table = pa.table({"image": [png(1), broken], "label": [0, 1]})
    pq.write_table(table, tmp_path / "i.parquet")
    with pytest.raises(UserError, match=r"1 of 2 rows hold no image.*: 1") as caught:
        evaluate.run(image_spec, tmp_path / "out")
    assert caught.value.code == "dataset_broken_row"


def test_an_image_that_breaks_off_is_an_error_of_its_row(image_spec, tmp_path):
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(stream, "PNG")
    table = pa.table({"image": [png(1), stream.getvalue()[:2000], png(3)], "label": [0, 1, 0]})
    pq.write_table(table, tmp_path / "i.parquet")
    lenient = dataclasses.replace(image_spec, max_error_share=0.5)
    result = evaluate.run(lenient, tmp_path / "out")
    assert result.execution.n_errors == 1
    assert (result.metric("accuracy").n, result.metric("accuracy").n_missing) == (2, 1)
    row = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()[1]
    assert row["prediction"] is None
    assert row["error"].startswith("image:")
    with pytest.raises(UserError, match="1 of 3 items gave no prediction"):
        evaluate.run(image_spec, tmp_path / "strict")


def test_a_model_without_image_processor_is_refused(image_spec, tmp_path):
    (tmp_path / "vit/preprocessor_config.json").unlink()
    with pytest.raises(UserError) as caught:
        evaluate.run(image_spec, tmp_path / "out")
    assert caught.value.code == "processor_missing"


def broken_model(model, tmp_path, **tensors):
    folder = shutil.copytree(model, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors") | tensors
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_logits_that_are_no_numbers_are_errors_of_their_rows(spec, model, tmp_path):
    """A word whose embedding is NaN spoils the rows it stands in, and no others."""
    from transformers import AutoTokenizer

    word = AutoTokenizer.from_pretrained(model)("liked")["input_ids"][1]
    embedding = load_file(model / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    embedding[word] = float("nan")
    folder = broken_model(model, tmp_path, **{"bert.embeddings.word_embeddings.weight": embedding})
    lenient = dataclasses.replace(spec, model=ModelSpec(str(folder)), max_error_share=1.0)
    result = evaluate.run(lenient, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    failed = [row["error"] == "not_finite" for row in rows]
    assert 0 < sum(failed) < 60
    assert result.metric("accuracy").n_missing == sum(failed) == result.execution.n_errors
    assert all((row["prediction"] is None) == bad for row, bad in zip(rows, failed, strict=True))
    strict = dataclasses.replace(lenient, max_error_share=0.0)
    with pytest.raises(UserError, match="not finite numbers") as caught:
        evaluate.run(strict, tmp_path / "strict")
    assert caught.value.code == "too_many_item_errors"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"task": "poetry"}, "task_unknown"),
        ({"metrics": ("bleu",)}, "metric_unknown"),
        ({"labels": ("no", "yes")}, "labels_unresolved"),
        ({"labels": ("negative",)}, "dataset_unknown_label"),
        ({"engine": EngineSpec(device="abacus")}, "spec_invalid"),
        ({"max_parameters": 10}, "model_too_large"),
        ({"model": ModelSpec("/nowhere")}, "weights_missing"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_forward_pass(change, code, spec, tmp_path):
    events = []
    with pytest.raises(UserError) as caught:
        evaluate.run(dataclasses.replace(spec, **change), tmp_path / "out", events.append)
    assert caught.value.code == code
    assert {"event": "phase", "phase": "running"} not in events


def test_a_machine_without_gpu_says_so(spec, tmp_path):
    from ml_core.errors import PlatformError

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(PlatformError) as caught:
        evaluate.run(dataclasses.replace(spec, engine=EngineSpec(device="cuda")), tmp_path / "out")
    assert caught.value.code == "device_unavailable"


def test_a_text_of_a_megabyte_is_cut(spec, tmp_path):
    pq.write_table(
        pa.table({"text": ["cat " * 250_000, ""], "label": [0, 1]}), tmp_path / "t.parquet"
    )
    data = DataSpec((str(tmp_path / "t.parquet"),))
    result = evaluate.run(dataclasses.replace(spec, data=data), tmp_path / "out")
    assert result.execution.n_truncated == 1
    assert pq.read_table(tmp_path / "out/predictions.parquet").column("truncated").to_pylist() == [
        True,
        False,
    ]


# The engine by itself, with a forward pass that is a function of the test's.


def engine(forward, n_rows=40, budget=8, inputs=lambda rows: rows):
    lengths = np.ones(n_rows, dtype=np.int64) * 2
    plan = plan_batches(lengths, budget=budget)
    return run_batches(
        plan,
        inputs=inputs,
        forward=lambda rows: torch.from_numpy(forward(rows)),
        n_rows=n_rows,
        slots=lambda rows: len(rows) * 2,
        reporter=Reporter(ignore),
    )


def answers(rows):
    return np.stack([rows, -rows], axis=1).astype(np.float32)


def test_a_batch_without_memory_is_halved_until_it_fits():
    sizes = []

    def forward(rows):
        sizes.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answers(rows)

    outputs = engine(forward)
    assert np.array_equal(outputs.dense(2), answers(np.arange(40)))
    assert outputs.errors == {}
    assert outputs.oom_halvings > 0
    assert set(outputs.batch_sizes) == {1}
    assert sum(outputs.batch_sizes) == 40


def test_what_did_not_fit_once_is_not_tried_again():
    """30 batches of 4 rows, of which 2 fit: the first tells, and no other has to fail."""
    sizes = []

    def forward(rows):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")
        return answers(rows)

    outputs = engine(forward, n_rows=120)
    assert np.array_equal(outputs.dense(2), answers(np.arange(120)))
    assert sizes == [4] + [2] * 60
    assert outputs.oom_halvings == 1


def test_the_next_batch_is_given_to_the_device_before_the_last_is_read(monkeypatch):
    """A device that is never done by itself: two batches are under way, and never three."""
    from ml_core.evaluate import engine as module

    log = []

    class Slow(Arriving):
        def has_arrived(self):
            return False

        def wait(self):
            log.append("read")
            return super().wait()

    monkeypatch.setattr(module, "fetch", Slow)

    def forward(rows):
        log.append("give")
        return answers(rows)

    outputs = engine(forward)
    assert np.array_equal(outputs.dense(2), answers(np.arange(40)))
    n_batches = len(outputs.batch_sizes)
    assert log == ["give", *["give", "read"] * (n_batches - 1), "read"]


def test_a_row_without_memory_is_an_error_of_its_own():
    def forward(rows):
        if 7 in rows:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return answers(rows)

    outputs = engine(forward)
    assert outputs.errors == {7: "out_of_memory"}
    assert np.isnan(outputs.dense(2)[7]).all()
    assert np.isfinite(np.delete(outputs.dense(2), 7, axis=0)).all()


def test_rows_that_cannot_be_prepared_leave_the_rest_of_their_batch():
    def inputs(rows):
        bad = {int(r): "image: broken" for r in rows if r % 10 == 3}
        if bad:
            raise RowsFailed(bad)
        return rows

    outputs = engine(answers, inputs=inputs)
    assert sorted(outputs.errors) == [3, 13, 23, 33]
    assert np.isfinite(np.delete(outputs.dense(2), [3, 13, 23, 33], axis=0)).all()


def test_other_errors_are_not_taken_for_memory():
    def forward(rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        engine(forward)


def test_softmax_of_large_logits_and_of_nothing():
    rows = softmax(np.array([[1000.0, 1000.0], [np.nan, np.nan]], dtype=np.float32))
    assert rows[0].tolist() == [0.5, 0.5]
    assert np.isnan(rows[1]).all()


# The job as a process of its own.


def run_job(spec_path, out, *flags, **more):
    command = [sys.executable, "-m", "ml_core.evaluate", *flags, str(spec_path), str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **more)


@pytest.mark.slow
def test_the_job_speaks_json_and_nothing_else(spec, tmp_path):
    spec.write(tmp_path / "spec.json")
    done = run_job(tmp_path / "spec.json", tmp_path / "out", "--standby", input="go\n")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0] == {"event": "phase", "phase": "ready"}
    assert events[-1] == {"event": "phase", "phase": "scoring"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "predictions.parquet",
        "result.json",
    ]


def test_the_job_leaves_a_report_of_a_users_error(spec, tmp_path, model):
    folder = shutil.copytree(model, tmp_path / "m")
    edit_json(folder / "config.json", auto_map={"AutoModel": "x.Y"})
    dataclasses.replace(spec, model=ModelSpec(str(folder))).write(tmp_path / "spec.json")
    done = run_job(tmp_path / "spec.json", tmp_path / "out")
    assert done.returncode == 3
    report = ErrorReport.from_json(json.loads((tmp_path / "out/error.json").read_text()))
    assert (report.family, report.code) == ("user", "remote_code")
    assert not (tmp_path / "out/result.json").exists()
    assert "Traceback" not in done.stderr


def test_the_job_reports_a_spec_it_cannot_read(tmp_path):
    (tmp_path / "spec.json").write_text("{")
    done = run_job(tmp_path / "spec.json", tmp_path / "out")
    assert done.returncode == 3
    report = json.loads((tmp_path / "out/error.json").read_text())
    assert report["code"] == "spec_invalid"


def test_a_job_standing_by_ends_with_its_input(monkeypatch):
    from ml_core.evaluate.__main__ import wait_for_go

    said = []
    for typed, goes in (("", False), ("go\n", True)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        assert wait_for_go(said.append) is goes
    assert said == [{"event": "phase", "phase": "ready"}] * 2
