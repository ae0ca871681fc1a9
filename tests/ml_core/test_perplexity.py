"""Likelihood of texts: rolling windows as lm-eval cuts them, and one masked token at a time."""

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml_core import evaluate
from ml_core.answers.likelihood import KIND, TextSizes
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.evaluate.tasks.perplexity import roll
from ml_core.metrics import Setting
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import SENTENCES, save_causal_lm, save_masked_lm


def texts_of(n, longest=60):
    """Texts of 1 to `longest` words: the longest need several windows of 64 tokens."""
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    return [" ".join(rng.choice(words, rng.integers(1, longest))) for _ in range(n)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "perplexity": save_causal_lm(folder / "gpt"),
        "fill-mask": save_masked_lm(folder / "bert"),
    }


def spec_of(task, model, path, texts):
    pq.write_table(pa.table({"text": texts}), path)
    engine = EngineSpec(device="cpu", threads=1)
    return EvaluationSpec(task, ModelSpec(str(model)), DataSpec((str(path),)), engine=engine)


def rows_in(out):
    return pq.read_table(out / "predictions.parquet").to_pylist()


def causal_reference(folder, text):
    """Log likelihood by transformers alone: windows of 64 tokens, cut by hand, one at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    total = 0.0
    for end in [*range(65, len(ids), 64), len(ids)]:
        window = ids[max(0, end - 65) : end]
        n_new = (end - 1) % 64 or 64
        with torch.inference_mode():
            found = model(torch.tensor([window[:-1]])).logits[0].double().log_softmax(-1)
        picked = found.gather(1, torch.tensor(window[1:])[:, None])[:, 0]
        total += picked[-n_new:].sum().item()
    return total


def masked_reference(folder, text):
    """Pseudo-log-likelihood by transformers alone, one masked row at a time."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    total = 0.0
    for at in range(1, ids.shape[1] - 1):
        masked = ids.clone()
        masked[0, at] = tokenizer.mask_token_id
        with torch.inference_mode():
            found = model(masked).logits[0, at].double().log_softmax(-1)
        total += found[ids[0, at]].item()
    return total


REFERENCES = [("perplexity", causal_reference, 60), ("fill-mask", masked_reference, 20)]


@pytest.mark.parametrize(("task", "reference", "longest"), REFERENCES)
def test_likelihoods_equal_those_of_transformers(task, reference, longest, models, tmp_path):
    texts = texts_of(12, longest)
    spec = spec_of(task, models[task], tmp_path / "d.parquet", texts)
    result = evaluate.run(spec, tmp_path / "out")
    expected = [reference(models[task], text) for text in texts]
    found = [row["log_likelihood"] for row in rows_in(tmp_path / "out")]
    assert found == pytest.approx(expected, rel=1e-5)
    n_bytes = sum(len(text.encode()) for text in texts)
    bits = -sum(expected) / math.log(2) / n_bytes
    assert result.metric("bits_per_byte").value == pytest.approx(bits, abs=1e-6)
    n_words = sum(len(text.split()) for text in texts)
    words = math.exp(-sum(expected) / n_words)
    assert result.metric("word_perplexity").value == pytest.approx(words, rel=1e-5)
    assert result.metric("bits_per_byte").direction == "lower"
    assert (result.labels, result.label_map, result.scores.per_class) == ((), {}, ())


@pytest.mark.parametrize("task", ["perplexity", "fill-mask"])
def test_batch_size_does_not_change_the_answer(task, models, tmp_path):
    spec = spec_of(task, models[task], tmp_path / "d.parquet", texts_of(8, 20))
    evaluate.run(spec, tmp_path / "a")
    small = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=70))
    evaluate.run(small, tmp_path / "b")
    a, b = ([row["log_likelihood"] for row in rows_in(tmp_path / n)] for n in "ab")
    assert a == pytest.approx(b, rel=1e-5)


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 128, 130])
def test_every_token_is_scored_once_and_windows_are_full(n):
    ids = list(range(1, n + 1))
    windows = list(roll(ids, 0, 64))
    assert [token for window, k in windows for token in window[-k:]] == ids
    assert all(len(window) <= 65 for window, _ in windows)
    assert all(len(window) == 65 for window, _ in windows[1:])
    assert not windows or windows[0][0][0] == 0


def test_long_texts_are_windows_for_masked_models_too(models, tmp_path):
    spec = spec_of("fill-mask", models["fill-mask"], tmp_path / "d.parquet", ["the cat sat " * 40])
    evaluate.run(spec, tmp_path / "out")
    (row,) = rows_in(tmp_path / "out")
    assert row["n_tokens"] > 64
    assert math.isfinite(row["log_likelihood"])


def test_bytes_that_an_unknown_token_hides_are_paid_for(models, tmp_path):
    """A tokenizer that knows nothing must not look like a model that knows everything."""
    texts = ["the cat \u4e2d\u6587", "the cat"]
    spec = spec_of("fill-mask", models["fill-mask"], tmp_path / "d.parquet", texts)
    result = evaluate.run(spec, tmp_path / "out")
    hidden, plain = (row["log_likelihood"] for row in rows_in(tmp_path / "out"))
    assert hidden <= -6 * 8 * math.log(2)
    assert result.execution.notes == ("texts with unknown tokens: 1",)
    assert plain > hidden


@pytest.mark.parametrize("task", ["perplexity", "fill-mask"])
def test_empty_texts_alone_are_no_score_and_not_zero(task, models, tmp_path):
    spec = spec_of(task, models[task], tmp_path / "d.parquet", ["", ""])
    result = evaluate.run(spec, tmp_path / "out")
    assert result.metric("bits_per_byte").value is None
    assert [row["n_tokens"] for row in rows_in(tmp_path / "out")] == [0, 0]


def test_a_text_of_a_megabyte_is_scored_whole(models, tmp_path):
    spec = spec_of("perplexity", models["perplexity"], tmp_path / "d.parquet", ["cat " * 50_000])
    evaluate.run(spec, tmp_path / "out")
    (row,) = rows_in(tmp_path / "out")
    assert row["n_tokens"] >= 50_000
    assert not row["truncated"]


def test_a_model_without_the_head_is_refused(models, tmp_path):
    spec = spec_of("perplexity", models["fill-mask"], tmp_path / "d.parquet", ["a"])
    with pytest.raises(UserError) as caught:
        evaluate.run(spec, tmp_path / "out")
    assert caught.value.code in ("weights_mismatch", "tokenizer_invalid")
    other = spec_of("fill-mask", models["perplexity"], tmp_path / "d.parquet", ["a"])
    with pytest.raises(UserError) as caught:
        evaluate.run(other, tmp_path / "out")
    assert caught.value.code == "unsupported_model"


def test_the_parent_counts_bytes_and_words_itself(models, tmp_path):
    texts = ["two words", "\u4e2d\u6587", ""]
    spec = spec_of("perplexity", models["perplexity"], tmp_path / "d.parquet", texts)
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, get_task("perplexity"), tmp_path / "in")
    assert withheld.truth.n_bytes.tolist() == [9, 6, 0]
    evaluate.run(withheld.spec, tmp_path / "out")
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    rows = KIND.samples(read, withheld.truth).to_pylist()
    assert [row["n_words"] for row in rows] == [2, 1, 1]
    assert rows[2]["bits_per_byte"] is None


TRUTH = TextSizes(("0", "1"), np.array([10, 20]), np.array([2, 3]))
HOSTILE = [
    ({"log_likelihood": [0.5, -1.0]}, "above 0"),
    ({"log_likelihood": [float("nan"), -1.0]}, "no number"),
    ({"log_likelihood": [float("-inf"), -1.0]}, "no number"),
    ({"log_likelihood": ["x", "y"]}, "cannot be used"),
    ({"n_tokens": [-1, 3]}, "below 0"),
    ({"n_tokens": [None, 3]}, "cannot be used"),
    ({"item_id": ["0", "7"]}, "item ids"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_predictions_that_were_not_asked_for_are_refused(change, words, tmp_path):
    columns = {"item_id": ["0", "1"], "log_likelihood": [-1.0, -2.0], "n_tokens": [3, 4]}
    columns |= {"truncated": [False] * 2, "error": pa.array([None] * 2, pa.string())} | change
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words):
        KIND.read(tmp_path / "p.parquet", TRUTH)


def test_missing_texts_are_counted_and_in_no_number(tmp_path):
    columns = {"item_id": ["0", "1"], "log_likelihood": [None, -20 * math.log(2)]}
    columns |= {"n_tokens": [0, 4], "truncated": [False] * 2, "error": ["not_finite", None]}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    read = KIND.read(tmp_path / "p.parquet", TRUTH)
    setting = Setting(read.n_missing, 50, 0)
    (value,) = KIND.score(read, TRUTH, metrics=("bits_per_byte",), setting=setting).metrics
    assert (value.value, value.n, value.n_missing) == (pytest.approx(1.0), 1, 1)
