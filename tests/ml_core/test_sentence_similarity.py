"""Similarities of sentences: as transformers and scipy give them, poolings, hostile data."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats

from ml_core import evaluate
from ml_core.answers.similarity import KIND, Judged
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.metrics import Setting
from ml_core.metrics.similarity import mean_ranks, pearson_of, spearman_of
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import SENTENCES, save_masked_lm

TASK = get_task("sentence-similarity")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model for masked words: its head is left over, and no pooler is there."""
    return save_masked_lm(tmp_path_factory.mktemp("model") / "m")


def columns_of(n):
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    rows = [[" ".join(rng.choice(words, rng.integers(1, 80))) for _ in range(2)] for _ in range(n)]
    scores = np.round(rng.random(n) * 5, 1).tolist()
    return {"sentence1": [a for a, _ in rows], "sentence2": [b for _, b in rows], "score": scores}


def spec_of(model, path, columns):
    pq.write_table(pa.table(columns), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    return EvaluationSpec("sentence-similarity", ModelSpec(str(model)), data, engine=engine)


def embedding(folder, text, pooling):
    """One sentence by transformers alone."""
    from transformers import AutoTokenizer, BertModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    batch = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state[0].double()
    pooled = {"mean": states.mean(0), "cls": states[0], "lasttoken": states[-1]}
    pooled["max"] = states.amax(0)
    return (pooled[pooling] / pooled[pooling].norm()).numpy()


def write_pooling(folder, **values):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps(values))


POOLINGS = [
    (None, "mean"),
    ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
    ({"pooling_mode_cls_token": True}, "cls"),
    ({"pooling_mode": "max"}, "max"),
    ({"pooling_mode_lasttoken": True}, "lasttoken"),
]


@pytest.mark.parametrize(("config", "pooling"), POOLINGS)
def test_similarities_equal_those_of_transformers(config, pooling, tmp_path):
    folder = save_masked_lm(tmp_path / "m")
    if config is not None:
        write_pooling(folder, **config)
    columns = columns_of(10)
    result = evaluate.run(spec_of(folder, tmp_path / "d.parquet", columns), tmp_path / "out")
    pairs = zip(columns["sentence1"], columns["sentence2"], strict=True)
    expected = [embedding(folder, a, pooling) @ embedding(folder, b, pooling) for a, b in pairs]
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    assert [row["similarity"] for row in rows] == pytest.approx(expected, abs=1e-5)
    assert result.execution.notes == (f"pooling: {pooling}",)
    found = [row["similarity"] for row in rows]
    spearman = stats.spearmanr(found, columns["score"]).statistic
    assert result.metric("spearman").value == pytest.approx(spearman, abs=1e-6)
    pearson = stats.pearsonr(found, columns["score"]).statistic
    assert result.metric("pearson").value == pytest.approx(pearson, abs=1e-6)


@pytest.mark.parametrize(
    "values", [{"pooling_mode": "x"}, {"pooling_mode_weightedmean_tokens": True}, {}]
)
def test_a_pooling_that_is_not_known_is_refused(values, tmp_path):
    folder = save_masked_lm(tmp_path / "m")
    write_pooling(folder, **values)
    with pytest.raises(UserError) as caught:
        evaluate.run(spec_of(folder, tmp_path / "d.parquet", columns_of(2)), tmp_path / "out")
    assert caught.value.code == "unsupported_model"


def test_truth_stays_behind_and_the_parent_scores_what_it_reads(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", columns_of(12))
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    names = pq.read_schema(tmp_path / "in/inputs.parquet").names
    assert names == ["sentence1", "sentence2", "item_id"]
    assert evaluate.run(withheld.spec, tmp_path / "out").scores is None
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    setting = Setting(read.n_missing, spec.bootstrap_draws, 0)
    scores = KIND.score(read, withheld.truth, metrics=TASK.metrics, setting=setting)
    assert scores == evaluate.run(spec, tmp_path / "open").scores
    samples = KIND.samples(read, withheld.truth)
    assert samples.column("target").to_pylist() == columns_of(12)["score"]


def test_a_sentence_is_embedded_once(model, tmp_path):
    columns = {"sentence1": ["the cat"] * 5, "sentence2": ["the cat"] * 5, "score": [1, 2, 3, 4, 5]}
    result = evaluate.run(spec_of(model, tmp_path / "d.parquet", columns), tmp_path / "out")
    assert sum(result.execution.batch_sizes.values()) == 1
    assert result.metric("spearman").value is None, "one and the same similarity has no order"


def test_batch_size_does_not_change_the_answer(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", columns_of(12))
    small = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=70))
    first, second = evaluate.run(spec, tmp_path / "a"), evaluate.run(small, tmp_path / "b")
    assert first.metric("spearman").value == second.metric("spearman").value


BROKEN = [
    ({"score": ["high"]}, "dataset_broken_row", "not numbers"),
    ({"score": [float("nan")]}, "dataset_broken_row", "no finite score"),
    ({"score": pa.array([None], pa.float64())}, "dataset_broken_row", "no finite score"),
    ({"sentence2": pa.array([None], pa.string())}, "dataset_broken_row", "no text"),
    ({"sentence2": [3]}, "dataset_broken_row", "not text"),
]


@pytest.mark.parametrize(("change", "code", "words"), BROKEN)
def test_broken_data_is_named(change, code, words, tmp_path):
    columns = {"sentence1": ["a"], "sentence2": ["b"], "score": [1.0]} | change
    with pytest.raises(UserError, match=words) as caught:
        withhold_truth(spec_of("/m", tmp_path / "d.parquet", columns), TASK, tmp_path)
    assert caught.value.code == code


HOSTILE = [
    ({"similarity": [1.5, 0.0]}, "not from -1 to 1"),
    ({"similarity": [float("nan"), 0.0]}, "not from -1 to 1"),
    ({"similarity": ["a", "b"]}, "cannot be used"),
    ({"item_id": ["0", "7"]}, "item ids"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_predictions_that_were_not_asked_for_are_refused(change, words, tmp_path):
    columns = {"item_id": ["0", "1"], "similarity": [0.5, -0.5], "truncated": [False] * 2}
    columns |= {"error": pa.array([None] * 2, pa.string())} | change
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words):
        KIND.read(tmp_path / "p.parquet", Judged(("0", "1"), np.array([1.0, 2.0])))


@pytest.mark.parametrize("seed", range(4))
def test_correlations_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, 30).astype(float), rng.normal(size=30)
    assert spearman_of(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert pearson_of(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert mean_ranks(x).tolist() == stats.rankdata(x).tolist()


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0])])
def test_no_order_is_no_correlation_and_not_zero(x, y):
    assert pearson_of(np.array(x), np.array(y)) is None
    assert spearman_of(np.array(x), np.array(y)) is None
