"""Families of images in the real cage: what the job answers, the parent reads and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.cage import Limits, core_job
from evaluation.runner import run_job
from ml_core.answers import load_kind
from ml_core.data.withhold import withhold_truth
from ml_core.evaluate import PREDICTIONS_FILE, RESULT_FILE, get_task
from ml_core.metrics import Setting
from ml_core.results import EvaluationResult
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support import tiny_models
from tests.support.data_files import png, segmented
from tests.support.jobs import require_cage

pytestmark = pytest.mark.slow

IMAGES = [png(40, 30), png(30, 40), png(40, 30)]
BOXES = {"bbox": [[1, 2, 9, 9], [4, 4, 9, 9]], "category": ["cat", "dog"]}
FAMILIES = [
    ("object-detection", {"objects": [BOXES] * 3}, None, tiny_models.save_detector),
    (
        "image-segmentation",
        {"mask": [segmented(40, 30), segmented(30, 40), segmented(40, 30)]},
        ("sky", "road", "car"),
        tiny_models.save_segmenter,
    ),
    (
        "zero-shot-image-classification",
        {"label": [0, 1, 0]},
        ("cat", "dog"),
        tiny_models.save_clip,
    ),
]


@pytest.mark.parametrize(("name", "truth", "labels", "save"), FAMILIES)
def test_images_are_answered_in_the_cage_and_scored_outside(
    name: str, truth: dict[str, Any], labels: tuple[str, ...] | None, save: Any, tmp_path: Path
) -> None:
    cage = require_cage()
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    pq.write_table(pa.table({"image": IMAGES, **truth}), tmp_path / "test.parquet")
    data = DataSpec((str(tmp_path / "test.parquet"),))
    model = save(tmp_path / "model")
    engine = EngineSpec(device="cpu", threads=1)
    spec = EvaluationSpec(name, ModelSpec(str(model)), data, labels, engine=engine)
    task = get_task(name)
    withheld = withhold_truth(spec, task, tmp_path / "in")
    withheld.spec.write(tmp_path / "in/spec.json")
    visible = [tmp_path / "in", model]
    job = core_job("evaluate", tmp_path / "in/spec.json", tmp_path / "out", read_only=visible)
    outcome = run_job(job, cage=cage, limits=Limits(wall_s=300, memory_bytes=4 << 30))
    assert outcome.ok, outcome
    result = EvaluationResult.from_json(json.loads((tmp_path / "out" / RESULT_FILE).read_text()))
    assert result.scores is None, "the cage saw nothing of what is right"
    kind = load_kind(task.answer)
    read = kind.read(tmp_path / "out" / PREDICTIONS_FILE, withheld.truth)
    setting = Setting(read.n_missing, 20, 0)
    scores = kind.score(read, withheld.truth, metrics=task.metrics, setting=setting)
    assert (scores.metrics[0].n, scores.metrics[0].n_missing) == (3, 0)
    assert scores.metrics[0].value is not None
