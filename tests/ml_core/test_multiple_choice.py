"""Multiple choice: likelihoods of answers as transformers gives them, outcomes, hostile data."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml_core import evaluate
from ml_core.answers.choice import KIND, RightChoice
from ml_core.asking import AskingSpec, Example
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.metrics import Setting
from ml_core.metrics.choices import outcomes_of
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import SENTENCES, save_causal_lm

TASK = get_task("multiple-choice")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_causal_lm(tmp_path_factory.mktemp("model") / "m")


def spec_of(model, path, columns):
    pq.write_table(pa.table(columns), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    return EvaluationSpec("multiple-choice", ModelSpec(str(model)), data, engine=engine)


def columns_of(n):
    """Questions of 0 to 30 words with two to four answers of 1 to 3 words."""
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    some = lambda low, high: " ".join(rng.choice(words, rng.integers(low, high)))  # noqa: E731
    questions = ["", "ends in white space  ", *(some(1, 30) for _ in range(n - 2))]
    choices = [[some(1, 4) for _ in range(rng.integers(2, 5))] for _ in range(n)]
    answers = [int(rng.integers(len(row))) for row in choices]
    return {"question": questions, "choices": choices, "answer": answers}


def reference(folder, question, answer):
    """Log likelihood of an answer by transformers alone, tokenised as lm-eval does."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    context = tokenizer(question.rstrip())["input_ids"]
    whole = tokenizer(f"{question} {answer}")["input_ids"]
    n_new = len(whole) - len(context)
    ids = whole if context else [tokenizer.bos_token_id, *whole]
    with torch.inference_mode():
        found = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
    return found.gather(1, torch.tensor(ids[1:])[:, None])[-n_new:, 0].sum().item()


def test_likelihoods_equal_those_of_transformers(model, tmp_path):
    columns = columns_of(20)
    result = evaluate.run(spec_of(model, tmp_path / "d.parquet", columns), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    pairs = list(zip(columns["question"], columns["choices"], strict=True))
    expected = [[reference(model, q, answer) for answer in row] for q, row in pairs]
    for row, values in zip(rows, expected, strict=True):
        assert row["log_likelihoods"] == pytest.approx(values, abs=1e-3, rel=1e-5)
    right = columns["answer"]
    is_right = [int(np.argmax(v)) == at for v, at in zip(expected, right, strict=True)]
    assert result.metric("accuracy").value == pytest.approx(np.mean(is_right), abs=1e-12)
    by_byte = [
        int(np.argmax(np.array(values) / [len(c.encode()) for c in row])) == at
        for values, (_, row), at in zip(expected, pairs, right, strict=True)
    ]
    assert result.metric("accuracy_norm").value == pytest.approx(np.mean(by_byte), abs=1e-12)
    assert result.metric("brier").direction == "lower"


def test_letters_behind_examples_equal_those_of_transformers(model, tmp_path):
    columns = columns_of(8)
    asking = AskingSpec("{question}\n{choices}\nSo:", "letters", introduction="Cats.")
    shown = Example("x", "a dog", ("the mat", "a film"), 1)
    spec = spec_of(model, tmp_path / "d.parquet", columns)
    spec = dataclasses.replace(spec, asking=asking, examples=(shown,))
    result = evaluate.run(spec, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    for row, question, choices in zip(rows, columns["question"], columns["choices"], strict=True):
        if row["truncated"]:
            continue
        lines = "\n".join(f"{a}. {c}" for a, c in zip("ABCD", choices, strict=False))
        text = f"Cats.\n\na dog\nA. the mat\nB. a film\nSo: B\n\n{question}\n{lines}\nSo:"
        expected = [reference(model, text, letter) for letter in "ABCD"[: len(choices)]]
        assert row["log_likelihoods"] == pytest.approx(expected, abs=1e-3)
    assert sum(not row["truncated"] for row in rows) > 2
    norm, plain = (result.metric(name).value for name in ("accuracy_norm", "accuracy"))
    assert norm == plain, "letters are of one length"


def test_batch_size_does_not_change_the_answer(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", columns_of(12))
    first = evaluate.run(spec, tmp_path / "a")
    small = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=40))
    second = evaluate.run(small, tmp_path / "b")
    assert first.metric("brier").value == pytest.approx(second.metric("brier").value, abs=1e-5)


def test_a_question_that_is_too_long_loses_its_beginning(model, tmp_path):
    columns = {"question": ["cat " * 500], "choices": [["the mat", "the dog"]], "answer": [0]}
    evaluate.run(spec_of(model, tmp_path / "d.parquet", columns), tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    assert row["truncated"]
    assert len(set(row["log_likelihoods"])) == 2


def test_truth_stays_behind_and_the_parent_scores_what_it_reads(model, tmp_path):
    spec = spec_of(model, tmp_path / "d.parquet", columns_of(10))
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    names = pq.read_schema(tmp_path / "in/inputs.parquet").names
    assert names == ["question", "choices", "item_id"]
    assert evaluate.run(withheld.spec, tmp_path / "out").scores is None
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    setting = Setting(read.n_missing, spec.bootstrap_draws, 0)
    scores = KIND.score(read, withheld.truth, metrics=TASK.metrics, setting=setting)
    assert scores == evaluate.run(spec, tmp_path / "open").scores
    correct = [row["correct"] for row in KIND.samples(read, withheld.truth).to_pylist()]
    assert scores.metrics[0].value == pytest.approx(np.mean(correct), abs=1e-12)


BROKEN = [
    ({"choices": [["a"]]}, "fewer than two"),
    ({"choices": [["a", ""]]}, "empty text"),
    ({"choices": ["ab"]}, "not a list of texts"),
    ({"answer": [2]}, "none of their choices"),
    ({"answer": [-1]}, "none of their choices"),
    ({"answer": ["z"]}, "none of their choices"),
    ({"answer": [True]}, "none of their choices"),
    ({"answer": pa.array([None], pa.int64())}, "no right answer"),
    ({"question": pa.array([None], pa.string())}, "no text"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_broken_data_is_named(change, words, tmp_path):
    columns = {"question": ["q"], "choices": [["a", "b"]], "answer": [1]} | change
    with pytest.raises(UserError, match=words) as caught:
        withhold_truth(spec_of("/m", tmp_path / "d.parquet", columns), TASK, tmp_path)
    assert caught.value.code == "dataset_broken_row"


def test_an_answer_may_be_named_by_its_words(tmp_path):
    columns = {"question": ["q"], "choices": [["a", "b"]], "answer": ["b"]}
    spec = spec_of("/m", tmp_path / "d.parquet", columns)
    assert withhold_truth(spec, TASK, tmp_path).truth.answers.tolist() == [1]


TRUTH = RightChoice(("0", "1"), np.array([0, 1]), (np.array([1, 2]), np.array([1, 1, 1])))
HOSTILE = [
    ({"log_likelihoods": [[-1.0], [-1.0] * 3]}, "another number"),
    ({"log_likelihoods": [[-1.0, 0.5], [-1.0] * 3]}, "above 0"),
    ({"log_likelihoods": [[-1.0, float("nan")], [-1.0] * 3]}, "no number"),
    ({"log_likelihoods": [[-1.0, None], [-1.0] * 3]}, "cannot be used"),
    ({"log_likelihoods": ["a", "b"]}, "cannot be used"),
    ({"item_id": ["0", "7"]}, "item ids"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_predictions_that_were_not_asked_for_are_refused(change, words, tmp_path):
    columns = {"item_id": ["0", "1"], "log_likelihoods": [[-1.0, -2.0], [-1.0, -2.0, -3.0]]}
    columns |= {"truncated": [False] * 2, "error": pa.array([None] * 2, pa.string())} | change
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words):
        KIND.read(tmp_path / "p.parquet", TRUTH)


def test_outcomes_by_hand():
    """Probabilities 0.75 and 0.25; by byte the second answer is the better one."""
    values = np.log([0.75, 0.25])
    outcomes = outcomes_of([values], [np.array([1, 9])], np.array([0]))
    assert outcomes.is_right.tolist() == [1.0]
    assert outcomes.is_right_by_byte.tolist() == [0.0]
    assert outcomes.brier.tolist() == pytest.approx([2 * 0.25**2])
    tie = outcomes_of([np.array([-1.0, -1.0])], [np.array([1, 1])], np.array([0]))
    assert tie.is_right.tolist() == [1.0]
