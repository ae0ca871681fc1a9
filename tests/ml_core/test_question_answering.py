"""Answers out of texts: spans as transformers' logits give them, SQuAD's comparison, bad data."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml_core import evaluate
from ml_core.answers.span import KIND, RightSpans
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.metrics import Setting
from ml_core.metrics.answers import exact_of, f1_of, normalised
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import SENTENCES, save_question_answerer

TASK = get_task("question-answering")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_question_answerer(tmp_path_factory.mktemp("model") / "m")


def columns_of(n, shortest=3, longest=20):
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    some = lambda low, high: list(rng.choice(words, rng.integers(low, high)))  # noqa: E731
    questions = [" ".join(some(1, 8)) for _ in range(n)]
    contexts = [some(shortest, longest) for _ in range(n)]
    answers = [{"text": [row[-1]], "answer_start": [0]} for row in contexts]
    return {"question": questions, "context": [" ".join(c) for c in contexts], "answers": answers}


def spec_of(model, path, columns):
    pq.write_table(pa.table(columns), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    return EvaluationSpec("question-answering", ModelSpec(str(model)), data, engine=engine)


def reference(folder, question, context):
    """Every piece of a context that fits in one window, by brute force: the best, and silence."""
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    batch = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = batch.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        found = model(**batch)
    starts, ends = found.start_logits[0].tolist(), found.end_logits[0].tolist()
    inside = [at for at, part in enumerate(batch.sequence_ids(0)) if part == 1]
    pieces = [(starts[a] + ends[b], a, b) for a in inside for b in inside if a <= b <= a + 29]
    score, a, b = max(pieces)
    return score, context[offsets[a][0] : offsets[b][1]], starts[0] + ends[0]


def answers_in(out):
    return pq.read_table(out / "predictions.parquet").column("prediction").to_pylist()


def test_answers_equal_those_of_every_piece_tried(model, tmp_path):
    columns = columns_of(20)
    result = evaluate.run(spec_of(model, tmp_path / "d.parquet", columns), tmp_path / "out")
    pairs = list(zip(columns["question"], columns["context"], strict=True))
    expected = [reference(model, *pair) for pair in pairs]
    assert answers_in(tmp_path / "out") == [text for _, text, _ in expected]
    right = [row["text"] for row in columns["answers"]]
    f1 = np.mean([f1_of(e[1], r) for e, r in zip(expected, right, strict=True)])
    assert result.metric("answer_f1").value == pytest.approx(f1, abs=1e-12)
    assert 0 < f1 < 1
    assert "silence allowed: False" in result.execution.notes


def test_silence_is_an_answer_where_some_questions_have_none(model, tmp_path):
    columns = columns_of(40, shortest=1, longest=3)
    columns["answers"][0] = {"text": [], "answer_start": []}
    result = evaluate.run(spec_of(model, tmp_path / "d.parquet", columns), tmp_path / "out")
    pairs = list(zip(columns["question"], columns["context"], strict=True))
    expected = [reference(model, *pair) for pair in pairs]
    wanted = ["" if none > score else text for score, text, none in expected]
    assert answers_in(tmp_path / "out") == wanted
    assert 0 < wanted.count("") < 40
    assert "silence allowed: True" in result.execution.notes


def test_long_contexts_are_windows_and_batches_do_not_matter(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", columns_of(12, longest=200))
    first = evaluate.run(spec, tmp_path / "a")
    small = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=70))
    evaluate.run(small, tmp_path / "b")
    assert answers_in(tmp_path / "a") == answers_in(tmp_path / "b")
    assert sum(n * int(rows) for rows, n in first.execution.batch_sizes.items()) > 12


def test_a_question_longer_than_the_model_leaves_place_for_its_context(model, tmp_path):
    columns = columns_of(1)
    columns["question"] = ["the cat " * 500]
    evaluate.run(spec_of(model, tmp_path / "d.parquet", columns), tmp_path / "out")
    (answer,) = answers_in(tmp_path / "out")
    assert answer
    assert answer in columns["context"][0]


def test_truth_stays_behind_and_the_parent_scores_what_it_reads(model, tmp_path):
    columns = columns_of(10)
    columns["answers"][3] = {"text": [], "answer_start": []}
    spec = spec_of(model, tmp_path / "d.parquet", columns)
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    names = pq.read_schema(tmp_path / "in/inputs.parquet").names
    assert names == ["question", "context", "item_id"]
    assert withheld.spec.may_be_silent
    assert evaluate.run(withheld.spec, tmp_path / "out").scores is None
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    setting = Setting(read.n_missing, spec.bootstrap_draws, 0)
    scores = KIND.score(read, withheld.truth, metrics=TASK.metrics, setting=setting)
    assert scores == evaluate.run(spec, tmp_path / "open").scores
    rows = KIND.samples(read, withheld.truth).to_pylist()
    f1 = np.mean([row["answer_f1"] for row in rows])
    assert scores.metrics[0].value == pytest.approx(f1, abs=1e-12)


# Worked by hand with the rules of SQuAD's own script (`normalize_answer`, `f1_score`).
VECTORS = [
    ("The Cat!", ["cat"], 1.0, 1.0),
    ("a cat sat", ["the cat"], 0.0, 2 / 3),
    ("Saint-Denis", ["saintdenis"], 1.0, 1.0),
    ("in 1066 AD", ["1066", "in 1066"], 0.0, 0.8),
    ("cat cat", ["cat"], 0.0, 2 / 3),
    ("dog", ["cat"], 0.0, 0.0),
    ("", [], 1.0, 1.0),
    ("cat", [], 0.0, 0.0),
    ("", ["cat"], 0.0, 0.0),
    ("the", ["a"], 1.0, 1.0),
]


@pytest.mark.parametrize(("said", "right", "exact", "f1"), VECTORS)
def test_answers_are_compared_as_squad_does(said, right, exact, f1):
    assert exact_of(said, right) == exact
    assert f1_of(said, right) == pytest.approx(f1, abs=1e-12)


def test_normalisation_by_hand():
    assert normalised("  The  Quick, brown; A fox's ") == "quick brown foxs"


BROKEN = [
    ({"answers": [["dog"]]}, "not in their context"),
    ({"answers": ["a cat"]}, "list of texts"),
    ({"answers": [[1]]}, "no text"),
    ({"answers": [[""]]}, "no text"),
    ({"answers": pa.array([None], pa.list_(pa.string()))}, "no list of answers"),
    ({"context": pa.array([None], pa.string())}, "no text"),
    ({"question": [7]}, "not text"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_broken_data_is_named(change, words, tmp_path):
    columns = {"question": ["who"], "context": ["a cat"], "answers": [["cat"]]} | change
    with pytest.raises(UserError, match=words) as caught:
        withhold_truth(spec_of("/m", tmp_path / "d.parquet", columns), TASK, tmp_path)
    assert caught.value.code == "dataset_broken_row"


TRUTH = RightSpans(("0", "1"), (("cat",), ()), ("a cat", "a dog"))
HOSTILE = [
    ({"prediction": ["dog", ""]}, "not in its context"),
    ({"prediction": [1, 2]}, "cannot be used"),
    ({"prediction": ["cat", "x" * 3_000_000]}, "cannot be used"),
    ({"item_id": ["0", "7"]}, "item ids"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_predictions_that_were_not_asked_for_are_refused(change, words, tmp_path):
    columns = {"item_id": ["0", "1"], "prediction": ["cat", ""], "truncated": [False] * 2}
    columns |= {"error": pa.array([None] * 2, pa.string())} | change
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words):
        KIND.read(tmp_path / "p.parquet", TRUTH)


def test_missing_answers_are_counted_and_silence_is_none_of_them(tmp_path):
    columns = {"item_id": ["0", "1"], "prediction": [None, ""], "truncated": [False] * 2}
    columns |= {"error": ["not_finite", None]}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    read = KIND.read(tmp_path / "p.parquet", TRUTH)
    setting = Setting(read.n_missing, 50, 0)
    (value,) = KIND.score(read, TRUTH, metrics=("exact_match",), setting=setting).metrics
    assert (value.value, value.n, value.n_missing) == (1.0, 1, 1)
