"""On a real GPU: the scores of the CPU, the arithmetic asked for, and memory that runs out."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml_core import evaluate
from ml_core.evaluate.batching import plan_batches
from ml_core.evaluate.engine import run_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import (
    LABELS,
    SENTENCES,
    save_decoder_classifier,
    save_image_classifier,
    save_text_classifier,
)

pytestmark = pytest.mark.gpu

MIB = 1 << 20
ON_CPU = EngineSpec(device="cpu", threads=1)
ON_GPU = EngineSpec(device="cuda")
FLOAT32_TOLERANCE = 1e-5
"""Of a probability: sums in another order. TF32 would be off by about 1e-3."""


def write_texts(folder, n_rows):
    """Ragged rows of 1 to 90 words; some are cut at the models' 64 tokens."""
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    texts = [" ".join(rng.choice(words, rng.integers(1, 90))) for _ in range(n_rows)]
    pq.write_table(pa.table({"text": texts, "label": np.arange(n_rows) % 2}), folder / "t.parquet")
    return DataSpec((str(folder / "t.parquet"),))


def text_spec(model, data):
    return EvaluationSpec("text-classification", ModelSpec(str(model)), data, labels=LABELS)


def image_spec(folder):
    """Noise of several sizes through a convolution that TF32 would blur."""
    from tests.ml_core.test_evaluate import png

    model = save_image_classifier(folder / "vit")
    images = [png(at * 3, (20 + at, 24)) for at in range(80)]
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 40}), folder / "i.parquet")
    data = DataSpec((str(folder / "i.parquet"),))
    return EvaluationSpec(
        "image-classification", ModelSpec(str(model)), data, labels=("dark", "bright")
    )


SPECS = {
    "encoder": lambda at: text_spec(save_text_classifier(at / "m"), write_texts(at, 400)),
    "decoder": lambda at: text_spec(
        save_decoder_classifier(at / "m", pad_token=True), write_texts(at, 400)
    ),
    "images": image_spec,
}


@pytest.fixture(params=SPECS)
def spec(request, tmp_path):
    return SPECS[request.param](tmp_path)


def probabilities(out):
    return np.array(pq.read_table(out / "predictions.parquet").column("probabilities").to_pylist())


def run(spec, out, engine):
    result = evaluate.run(dataclasses.replace(spec, engine=engine), out)
    return result, probabilities(out)


def test_scores_in_float32_are_those_of_the_cpu(spec, tmp_path):
    _, expected = run(spec, tmp_path / "cpu", ON_CPU)
    result, found = run(spec, tmp_path / "gpu", ON_GPU)
    assert np.abs(found - expected).max() < FLOAT32_TOLERANCE
    assert expected.std(axis=0).min() > 0.001, "a model that answers always the same tests nothing"
    assert result.execution.n_errors == 0


def test_the_same_spec_gives_the_same_file(spec, tmp_path):
    first, _ = run(spec, tmp_path / "a", ON_GPU)
    second, _ = run(spec, tmp_path / "b", ON_GPU)
    assert first.predictions.sha256 == second.predictions.sha256


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_recorded_and_close(dtype, spec, tmp_path):
    _, expected = run(spec, tmp_path / "cpu", ON_CPU)
    result, found = run(spec, tmp_path / "gpu", dataclasses.replace(ON_GPU, dtype=dtype))
    assert result.execution.dtype == dtype
    assert 0 < np.abs(found - expected).max() < 0.1


def test_the_record_names_the_device_and_what_it_held(spec, tmp_path):
    result, _ = run(spec, tmp_path / "gpu", ON_GPU)
    execution, environment = result.execution, result.environment
    assert execution.device_name == torch.cuda.get_device_name()
    assert execution.arithmetic == {"float32": "ieee", "convolutions": "deterministic"}
    least = 4 * result.model.parameters
    assert least < execution.peak_device_memory_bytes < torch.cuda.mem_get_info()[1]
    assert environment["gpu"] == execution.device_name
    assert environment["cuda"] == torch.version.cuda
    assert environment["gpu_driver"][0].isdigit()


@pytest.fixture
def limit_memory():
    """Lets this process have so many bytes of the GPU beyond what it holds."""
    torch.cuda.init()
    total = torch.cuda.mem_get_info()[1]

    def limit(n_bytes):
        torch.cuda.empty_cache()
        allowed = torch.cuda.memory_reserved() + n_bytes
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        return allowed

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_a_batch_too_large_for_the_gpu_is_halved_once_and_not_tried_again(limit_memory):
    """Rows of 32 MiB, 300 MiB to have: eight fit, the sixteen of each planned batch do not."""
    limit_memory(300 * MIB)
    sizes = []

    def forward(rows):
        sizes.append(len(rows))
        held = torch.full((len(rows), 32 * MIB // 4), 1.0, device="cuda")
        return held[:, :2] * torch.from_numpy(rows).to("cuda")[:, None]

    outputs = run_batches(
        plan_batches(np.ones(240, dtype=np.int64), budget=16),
        inputs=lambda rows: rows,
        forward=forward,
        n_rows=240,
        slots=len,
        reporter=Reporter(ignore),
    )
    assert outputs.dense(2)[:, 0].tolist() == list(range(240))
    assert sizes == [16] + [8] * 30
    assert (outputs.oom_halvings, outputs.errors) == (1, {})


def test_a_job_stays_below_its_memory_and_gives_the_same_scores(limit_memory, tmp_path):
    """A wide feed-forward layer: 32 KiB a token, and again for its activation."""
    model = save_text_classifier(tmp_path / "wide", intermediate_size=8192, initializer_range=0.05)
    spec = text_spec(model, write_texts(tmp_path, 3000))
    free, expected = run(spec, tmp_path / "free", ON_GPU)
    assert free.execution.oom_halvings == 0
    allowed = limit_memory(free.execution.peak_device_memory_bytes * 2 // 3)
    tight, found = run(spec, tmp_path / "tight", ON_GPU)
    assert tight.execution.oom_halvings >= 1
    assert tight.execution.n_errors == 0
    assert tight.execution.peak_device_memory_bytes <= allowed
    assert np.abs(found - expected).max() < FLOAT32_TOLERANCE
