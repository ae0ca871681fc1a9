"""How questions are put: by hand, as lm-eval puts them, and the slips that are refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_core.asking import AskingSpec, Example, FewShotSpec, answers_to, put
from ml_core.data.examples import choose_examples, rows_of
from ml_core.errors import UserError
from ml_core.records import from_json, to_json
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec

pytestmark = pytest.mark.pure

LETTERS = AskingSpec("{question}\n{choices}\nAnswer:", "letters", introduction="About cats.")


def test_letters_with_one_example_by_hand():
    example = Example("7", "How many legs?", ("two", "four"), 1)
    assert put(LETTERS, "And tails?", ["one", "two", "none"], [example]) == (
        "About cats.\n\nHow many legs?\nA. two\nB. four\nAnswer: B\n\n"
        "And tails?\nA. one\nB. two\nC. none\nAnswer:"
    )
    assert answers_to(LETTERS, ["one", "two", "none"]) == ["A", "B", "C"]


def test_a_question_alone_is_put_as_it_is():
    assert put(AskingSpec(), "the cat {choices} {x}", ["sat", "lay"]) == "the cat {choices} {x}"
    assert answers_to(AskingSpec(), ["sat", "lay"]) == ["sat", "lay"]
    shown = put(AskingSpec("Q: {question} {x}"), "a {question}", ["b"])
    assert shown == "Q: a {question} {x}"


def test_what_a_benchmark_declares_goes_there_and_back():
    asking = AskingSpec("{question}", few_shot=FewShotSpec("dev", ids=("3", "1")))
    assert from_json(AskingSpec, to_json(asking)) == asking


REFUSED = [
    (lambda: AskingSpec("no place"), "show the question"),
    (lambda: AskingSpec("{question}", "letters"), "what the letters stand for"),
    (lambda: AskingSpec(separator="x" * 20_001), "separator may have"),
    (lambda: FewShotSpec(""), "name a split"),
    (lambda: FewShotSpec("dev"), "either n or ids"),
    (lambda: FewShotSpec("dev", 2, ("1",)), "either n or ids"),
    (lambda: FewShotSpec("dev", 65), "1 to 64"),
    (lambda: FewShotSpec("dev", -1), "1 to 64"),
    (lambda: FewShotSpec("dev", ids=("1", "1")), "twice"),
    (lambda: FewShotSpec("dev", ids=("1",), seed=1), "goes with n"),
    (lambda: FewShotSpec("dev", 1, seed=-1), "out of range"),
    (lambda: answers_to(LETTERS, ["x"] * 27), "more than there are letters"),
    (lambda: rows_of(FewShotSpec("dev", 4), ["a", "b"]), "fewer than the 4"),
    (lambda: rows_of(FewShotSpec("dev", ids=("z",)), ["a", "b"]), "no example 'z'"),
]


@pytest.mark.parametrize(("act", "words"), REFUSED)
def test_slips_are_refused_in_words(act, words):
    with pytest.raises(UserError, match=words):
        act()


def test_examples_are_the_first_the_named_or_drawn_by_seed():
    ids = [str(at) for at in range(50)]
    assert rows_of(FewShotSpec("dev", 3), ids) == [0, 1, 2]
    assert rows_of(FewShotSpec("dev", ids=("9", "4")), ids) == [9, 4]
    drawn = rows_of(FewShotSpec("dev", 5, seed=1), ids)
    assert drawn == rows_of(FewShotSpec("dev", 5, seed=1), ids)
    assert drawn != rows_of(FewShotSpec("dev", 5, seed=2), ids)
    assert len(set(drawn)) == 5


def test_examples_come_with_their_answers_from_the_columns_of_the_benchmark(tmp_path):
    columns = {"q": ["a?", "b?"], "choices": [["x", "y"], ["z", "w"]], "answer": ["y", "z"]}
    pq.write_table(pa.table(columns), tmp_path / "dev.parquet")
    data = DataSpec((str(tmp_path / "dev.parquet"),), columns={"question": "q"})
    spec = EvaluationSpec("multiple-choice", ModelSpec("/m"), data)
    found = choose_examples(spec, FewShotSpec("dev", ids=("1", "0")))
    assert found == (Example("1", "b?", ("z", "w"), 0), Example("0", "a?", ("x", "y"), 1))
