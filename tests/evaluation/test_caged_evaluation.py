"""The real job in the real cage: the way from labels withheld to a score by the parent."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.cage import Limits, core_job
from evaluation.child import start_child
from evaluation.runner import run_job, watch_child
from ml_core.answers import load_kind
from ml_core.data.predictions import read_predictions
from ml_core.data.withhold import withhold_truth
from ml_core.evaluate import PREDICTIONS_FILE, RESULT_FILE, get_task
from ml_core.generation import GenerationSpec
from ml_core.metrics import Setting
from ml_core.results import EvaluationResult
from ml_core.scoring import score
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.jobs import require_cage
from tests.support.tiny_models import (
    LABELS,
    SENTENCES,
    edit_json,
    save_text_classifier,
    save_translator,
)

pytestmark = pytest.mark.slow

LIMITS = Limits(wall_s=300, memory_bytes=4 << 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_text_classifier(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def withheld(model, tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    columns = {"text": list(SENTENCES) * 5, "label": ["positive", "negative", "negative"] * 10}
    pq.write_table(pa.table(columns), tmp_path / "hidden/test.parquet")
    spec = EvaluationSpec(
        "text-classification",
        ModelSpec(str(model)),
        DataSpec((str(tmp_path / "hidden/test.parquet"),)),
        labels=LABELS,
        engine=EngineSpec(device="cpu", threads=1),
    )
    return withhold_truth(spec, get_task(spec.task), tmp_path / "in")


def job_of(withheld, tmp_path, **more):
    withheld.spec.write(tmp_path / "in/spec.json")
    visible = [tmp_path / "in", Path(withheld.spec.model.path)]
    return core_job(
        "evaluate", tmp_path / "in/spec.json", tmp_path / "out", read_only=visible, **more
    )


def test_labels_withheld_and_joined_give_the_score_of_an_evaluation_in_the_open(withheld, tmp_path):
    from ml_core import evaluate

    cage = require_cage()
    job = job_of(withheld, tmp_path, standby=True)
    child = start_child(job, cage=cage, limits=LIMITS)
    assert json.loads(child.stdout.readline()) == {"event": "phase", "phase": "ready"}
    events = []
    child.go()
    outcome = watch_child(child, job, on_event=events.append)
    assert outcome.ok, outcome
    assert [e["phase"] for e in events if e["event"] == "phase"] == [
        "loading",
        "running",
        "scoring",
    ]
    result = EvaluationResult.from_json(json.loads((tmp_path / "out" / RESULT_FILE).read_text()))
    assert result.scores is None, "the cage saw no labels"
    truth = withheld.truth
    read = read_predictions(tmp_path / "out" / PREDICTIONS_FILE, truth.item_ids, truth.labels)
    scores = score(read, truth, metrics=("accuracy", "macro_f1"))
    open_spec = dataclasses.replace(
        withheld.spec, data=DataSpec((str(tmp_path / "hidden/test.parquet"),))
    )
    open_result = evaluate.run(open_spec, tmp_path / "open")
    assert scores.metrics == open_result.scores.metrics
    assert scores.metrics[0].value == np.mean(read.label_index == truth.label_index)
    assert outcome.peak_memory_bytes > 50 << 20
    assert outcome.cpu_s > 0.5


def test_texts_written_in_the_cage_are_compared_outside_of_it(tmp_path):
    from ml_core import evaluate

    cage = require_cage()
    for name in ("in", "out", "hidden"):
        (tmp_path / name).mkdir()
    right = [["the cat"], ["a film", "a story"], ["dogs"]]
    path = tmp_path / "hidden/test.parquet"
    pq.write_table(pa.table({"source": list(SENTENCES[:3]), "references": right}), path)
    spec = EvaluationSpec(
        "translation",
        ModelSpec(str(save_translator(tmp_path / "m"))),
        DataSpec((str(path),)),
        metrics=("bleu", "chrf"),
        engine=EngineSpec(device="cpu", threads=1),
        generation=GenerationSpec(max_new_tokens=8, temperature=5.0),
    )
    hidden = withhold_truth(spec, get_task("translation"), tmp_path / "in")
    outcome = run_job(job_of(hidden, tmp_path), cage=cage, limits=LIMITS)
    assert outcome.ok, outcome
    result = EvaluationResult.from_json(json.loads((tmp_path / "out" / RESULT_FILE).read_text()))
    assert result.scores is None
    assert result.execution.generation.settings == spec.generation
    kind = load_kind("text")
    read = kind.read(tmp_path / "out" / PREDICTIONS_FILE, hidden.truth)
    setting = Setting(read.n_missing, spec.bootstrap_draws, 0)
    scores = kind.score(read, hidden.truth, metrics=spec.metrics, setting=setting)
    assert scores.metrics == evaluate.run(spec, tmp_path / "open").scores.metrics


def test_a_users_error_comes_out_of_the_cage_in_its_words(withheld, tmp_path, model):
    cage = require_cage()
    folder = shutil.copytree(model, tmp_path / "m")
    edit_json(folder / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    spec = dataclasses.replace(withheld.spec, model=ModelSpec(str(folder)))
    outcome = run_job(
        job_of(dataclasses.replace(withheld, spec=spec), tmp_path), cage=cage, limits=LIMITS
    )
    assert (outcome.family, outcome.code) == ("user", "labels_unresolved")
    assert "'LABEL_0', 'LABEL_1'" in outcome.message
    assert "'negative', 'positive'" in outcome.message


def test_a_model_too_large_for_its_memory_is_told_so(withheld, tmp_path):
    cage = require_cage()
    limits = dataclasses.replace(LIMITS, memory_bytes=64 << 20)
    outcome = run_job(job_of(withheld, tmp_path), cage=cage, limits=limits)
    assert (outcome.family, outcome.code) == ("user", "out_of_memory")
    assert not (tmp_path / "out" / RESULT_FILE).exists()
