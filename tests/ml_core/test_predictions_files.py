"""Files of predictions that strangers hand in: what is taken, and a table of hostile ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sk

from ml_core import predictions
from ml_core.answers import SUBMITTED_FORMS, load_kind
from ml_core.assessment import assess
from ml_core.data.marks import Marks
from ml_core.data.schema import read_items
from ml_core.errors import UserError
from ml_core.evalfile.submissions import Halves, half_of
from ml_core.evaluate.tasks import TASKS, get_task
from ml_core.metrics import Setting
from ml_core.predictions.baselines import write_baseline
from ml_core.predictions.columns import COLUMNS
from ml_core.predictions.forms import FORMS, predictions_of
from ml_core.predictions.job import PredictionsSpec, run
from ml_core.predictions.reading import MAX_LINE_BYTES, read_submitted
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec

EVAL_YAML = """\
evaluation_framework: modelguild
tasks:
  - {id: mood, type: tabular-classification, split: test, labels: [no, yes]}
  - {id: price, type: tabular-regression, split: test}
"""
DATA = "item_id,label,target\na,yes,1.5\nb,no,2\nc,yes,-3e2\n"
GOOD = '{"item_id":"a","prediction":"yes"}\n{"item_id":"b","prediction":"no"}\n'
SECRET = "-3e2"


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    (tmp_path / "eval.yaml").write_text(EVAL_YAML.replace("[no, yes]", '["no", "yes"]'))
    (tmp_path / "test.csv").write_text(DATA)
    return tmp_path


def check(bench: Path, name: str, content: bytes, task: str = "mood") -> Any:
    (bench / name).write_bytes(content)
    return predictions.check(bench / "eval.yaml", bench / "test.csv", bench / name, task=task)


def line(item: str, rest: str) -> bytes:
    return (GOOD + f'{{"item_id":"{item}",{rest}}}\n').encode()


BAD, COLUMN = "predictions_value", "predictions_column"
UNREAD, UNKNOWN = "predictions_unreadable", "predictions_unknown_item"
CELLS = b"item_id,prediction,probabilities\n"
REST = b"\nb,no,[]\nc,no,[]\n"


def parquet(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


GOOD_FILES = [
    ("p.jsonl", line("c", '"prediction":"yes"'), "mood"),
    ("p.csv", b"item_id,prediction\nc,yes\nb,no\na,yes\n", "mood"),
    ("p.tsv", b"\xef\xbb\xbfitem_id\tprediction\nc\tyes\nb\tno\na\tyes\n", "mood"),
    ("p.parquet", parquet({"item_id": ["a", "b", "c"], "prediction": ["no"] * 3}), "mood"),
    ("p.csv", CELLS + b'a,yes,"[0.1,0.9]"\nb,no,"{""no"":1,""yes"":0}"\nc,yes,"[0,1]"', "mood"),
    ("p.csv", b"item_id,prediction\na,1\nb,2.5\nc,-1e3\n", "price"),
    ("p.csv", CELLS + b'a,yes,"[0.5,0.5]"\nb,no,"[0.5,0.5]"\nc,yes,"[0,1]"', "mood"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "task"), GOOD_FILES)
def test_each_format_is_taken(bench: Path, name: str, content: bytes, task: str) -> None:
    assert check(bench, name, content, task).n_items == 3


HOSTILE = [
    ("empty", "p.jsonl", b"", "predictions_missing_items", "3 of 3"),
    ("lacking items", "p.jsonl", GOOD.encode(), "predictions_missing_items", "1 of 3"),
    ("twice", "p.jsonl", line("b", '"prediction":"no"'), "predictions_double_item", "line 3"),
    ("unknown item", "p.jsonl", line("z", '"prediction":"no"'), UNKNOWN, "line 3"),
    ("unknown label", "p.jsonl", line("c", '"prediction":"maybe"'), BAD, "line 3"),
    ("label of a type", "p.jsonl", line("c", '"prediction":1'), BAD, "line 3"),
    ("label null", "p.jsonl", line("c", '"prediction":null'), BAD, "line 3"),
    ("no column", "p.jsonl", line("c", '"label":"no"'), COLUMN, "line 3"),
    ("extra column", "p.jsonl", line("c", '"prediction":"no","x":1'), COLUMN, "'x'"),
    ("id is a list", "p.jsonl", b'{"item_id":[1],"prediction":"no"}', BAD, "item_id"),
    ("id is true", "p.jsonl", b'{"item_id":true,"prediction":"no"}', BAD, "item_id"),
    ("not json", "p.jsonl", GOOD.encode() + b"{", UNREAD, "line 3"),
    ("a number", "p.jsonl", b"7\n", UNREAD, "line 1"),
    ("NaN", "p.jsonl", line("c", '"prediction":NaN'), UNREAD, "NaN"),
    ("key twice", "p.jsonl", b'{"item_id":"a","item_id":"b"}', UNREAD, "twice"),
    ("deep", "p.jsonl", b"[" * 200_000, UNREAD, "line 1"),
    ("not utf-8", "p.jsonl", b'{"item_id":"\xff"}', UNREAD, "UTF-8"),
    ("zero byte", "p.csv", b"item_id,prediction\na,\0\n", UNREAD, "zero byte"),
    ("long line", "p.jsonl", b" " * (MAX_LINE_BYTES + 9), UNREAD, "longer"),
    ("too many rows", "p.csv", b"item_id,prediction\n" + b"a,yes\n" * 9, "predictions_", ""),
    ("ragged", "p.csv", b"item_id,prediction\na\n", UNREAD, "line 2"),
    ("open quote", "p.csv", b'item_id,prediction\na,"yes\n', UNREAD, "line"),
    ("column twice", "p.csv", b"item_id,item_id\na,b\n", UNREAD, "twice"),
    ("not parquet", "p.parquet", b"PAR1 no PAR1", UNREAD, "parquet"),
    ("cut parquet", "p.parquet", parquet({"item_id": ["a"]})[:-9], UNREAD, ""),
    ("null id", "p.parquet", parquet({"item_id": [None], "prediction": ["no"]}), BAD,
     "row 1"),
    ("other ending", "p.exe", b"MZ", UNREAD, ".csv"),
    ("one probability", "p.csv", CELLS + b'a,yes,[1]' + REST,
     BAD, "probabilities"),
    ("not 1 together", "p.csv", CELLS + b'a,yes,"[0.1,0.1]"' + REST,
     BAD, "together"),
    ("another is likelier", "p.csv", CELLS + b'a,yes,"[0.9,0.1]"' + REST,
     BAD, "likeliest"),
    ("negative", "p.csv", CELLS + b'a,yes,"[-1,2]"' + REST,
     BAD, "0 to 1"),
    ("huge number", "p.csv", CELLS + b'a,yes,"[0,' + b"9" * 5000 + b']"\n',
     "predictions_", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "code", "said"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE]
)
def test_what_is_wrong_is_named_with_its_place(
    bench: Path, name: str, content: bytes, code: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        check(bench, name, content)
    assert str(caught.value.code).startswith(code)
    assert said in caught.value.message


@pytest.mark.parametrize("value", ["nan", "inf", "1e101", "x", "", "true"])
def test_numbers_must_be_finite_and_no_target_is_echoed(bench: Path, value: str) -> None:
    content = f"item_id,prediction\na,1\nb,2\nc,{value}\n".encode()
    with pytest.raises(UserError) as caught:
        check(bench, "p.csv", content, "price")
    assert "line 4, column prediction" in caught.value.message
    assert SECRET not in caught.value.message
    assert "-300" not in str(caught.value.details)


def test_a_file_that_is_too_large_is_not_read(bench: Path) -> None:
    (bench / "p.csv").write_bytes(b"x" * 2000)
    with pytest.raises(UserError, match="more than 1,000 bytes"):
        list(read_submitted(bench / "p.csv", max_rows=3, max_bytes=1000))


def test_the_validator_works_in_a_shell(bench: Path) -> None:
    (bench / "p.csv").write_bytes(b"item_id,prediction\na,yes\nb,no\nc,maybe\n")
    command = [sys.executable, "-m", "ml_core.predictions", "check", "eval.yaml", "test.csv"]
    done = subprocess.run(
        [*command, "p.csv", "--task", "mood"], cwd=bench, capture_output=True, text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 3
    assert "line 4, column prediction: 'maybe' is none of the labels" in done.stderr


def test_every_family_that_takes_files_has_a_form() -> None:
    assert set(FORMS) == set(COLUMNS) == set(SUBMITTED_FORMS.values())
    assert {t.name for t in TASKS.values() if not t.takes_predictions} == {
        "perplexity", "fill-mask", "image-segmentation",
    }  # fmt: skip


def scored(task: str, data: Path, file: Path, **more: Any) -> Any:
    """Scores of a file by the way that a worker goes, but for the cage."""
    family = get_task(task)
    spec = EvaluationSpec(task, ModelSpec(""), DataSpec((str(data),)), bootstrap_draws=200)
    items = read_items(spec.data, family.inputs, family.truth)
    kind = load_kind(family.answer)
    truth = kind.read_truth(items, spec)
    asked = kind.for_child(spec, truth)
    run(PredictionsSpec(str(file), asked), data.parent / "out")
    found = kind.read(data.parent / "out/predictions.parquet", truth)
    setting = Setting(found.n_missing, 200, 0)
    return assess(kind, found, truth, Marks(), metrics=family.metrics, setting=setting, **more)


def test_tabular_classification_scores_as_scikit_learn_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    labels = np.array(["a", "b", "c"])
    right = rng.integers(3, size=60)
    given = rng.dirichlet([1, 1, 1], size=60).astype(np.float32)
    given[::2, :] = np.round(given[::2, :], 1)  # ties
    given = (given / given.sum(axis=1, keepdims=True)).astype(np.float32)
    said = given.argmax(axis=1)
    ids = [str(n) for n in range(60)]
    pq.write_table(pa.table({"item_id": ids, "label": labels[right]}), tmp_path / "d.parquet")
    answers = {
        "item_id": ids, "prediction": labels[said],
        "probabilities": pa.array(given.tolist(), pa.list_(pa.float32())),
    }  # fmt: skip
    pq.write_table(pa.table(answers), tmp_path / "p.parquet")
    found = scored("tabular-classification", tmp_path / "d.parquet", tmp_path / "p.parquet")
    values = {m.name: m for m in found.scores.metrics}
    given64 = given.astype(np.float64)
    shares = given64 / given64.sum(axis=1, keepdims=True)
    clipped = np.clip(shares[np.arange(60), right], np.finfo(np.float32).eps, 1)
    areas = [sk.roc_auc_score(right == k, given64[:, k]) for k in range(3)]
    expected = {
        "accuracy": sk.accuracy_score(right, said),
        "macro_f1": sk.f1_score(right, said, average="macro"),
        "roc_auc": np.mean(areas),
        "log_loss": -np.log(clipped).mean(),
    }
    assert {name: m.value for name, m in values.items()} == pytest.approx(expected, abs=1e-9)
    assert values["roc_auc"].ci_low < values["roc_auc"].value < values["roc_auc"].ci_high
    assert values["log_loss"].direction == "lower"
    assert found.scores.confusion is not None


def test_tabular_regression_scores_as_scikit_learn_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    right = rng.normal(1e6, 3, size=80)
    said = right + rng.normal(0, 1, size=80)
    ids = [str(n) for n in range(80)]
    pq.write_table(pa.table({"item_id": ids, "target": right}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"item_id": ids, "prediction": said}), tmp_path / "p.parquet")
    found = scored("tabular-regression", tmp_path / "d.parquet", tmp_path / "p.parquet")
    expected = {
        "rmse": sk.root_mean_squared_error(right, said),
        "mae": sk.mean_absolute_error(right, said),
        "r2": sk.r2_score(right, said),
    }
    assert {m.name: m.value for m in found.scores.metrics} == pytest.approx(expected, rel=1e-9)
    assert all(m.se > 0 for m in found.scores.metrics)


def test_of_two_likeliest_labels_the_one_that_is_named_counts(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("item_id,label\n1,a\n2,b\n")
    rows = 'item_id,prediction,probabilities\n1,a,"[0.5,0.5]"\n2,b,"[0.5,0.5]"\n'
    (tmp_path / "p.csv").write_text(rows)
    found = scored("tabular-classification", tmp_path / "d.csv", tmp_path / "p.csv")
    assert [m.value for m in found.scores.metrics][:3] == [1, 1, 0.5]


def test_without_probabilities_what_needs_them_has_no_value(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("item_id,label\n1,a\n2,b\n3,a\n")
    (tmp_path / "p.csv").write_text("item_id,prediction\n1,a\n2,a\n3,a\n")
    found = scored("tabular-classification", tmp_path / "d.csv", tmp_path / "p.csv")
    values = {m.name: m.value for m in found.scores.metrics}
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert values["roc_auc"] is None
    assert values["log_loss"] is None
    assert found.scores.calibration is None
    assert found.samples.column("probabilities").to_pylist() == [None] * 3


def test_halves_are_fixed_by_id_and_scored_apart(tmp_path: Path) -> None:
    halves = Halves(0.5, "s")
    ids = [f"item-{n}" for n in range(200)]
    sides = [half_of(item, halves) for item in ids]
    assert sides == [half_of(item, halves) for item in ids]
    assert 70 < sides.count("public") < 130
    assert sides != [half_of(item, Halves(0.5, "t")) for item in ids]
    rows = [(i, "a" if side == "public" else "b") for i, side in zip(ids, sides, strict=True)]
    (tmp_path / "d.csv").write_text(
        "item_id,label\n" + "".join(f"{i},{'ab'[n % 2]}\n" for n, i in enumerate(ids))
    )
    right = {i: "ab"[n % 2] for n, i in enumerate(ids)}
    (tmp_path / "p.csv").write_text(
        "item_id,prediction\n"
        + "".join(f"{i},{right[i] if half == 'a' else 'a'}\n" for i, half in rows)
    )
    found = scored("tabular-classification", tmp_path / "d.csv", tmp_path / "p.csv", halves=halves)
    groups = {g.group: g.score for g in found.scores.halves[0].slices.groups}
    private = [i for i, half in rows if half == "b"]
    assert groups["public"].value == 1
    assert groups["private"].value == sum(right[i] == "a" for i in private) / len(private)


def test_baselines_answer_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("item_id,label\n1,a\n2,b\n3,b\n")
    family = get_task("tabular-classification")
    spec = EvaluationSpec(family.name, ModelSpec(""), DataSpec((str(tmp_path / "d.csv"),)))
    kind = load_kind(family.answer)
    items = read_items(spec.data, family.inputs, family.truth)
    truth = kind.read_truth(items, spec)
    file = tmp_path / "p.jsonl"
    write_baseline("majority", kind, truth, file)
    asked = kind.for_child(spec, truth)
    found = predictions_of(read_submitted(file, max_rows=3), items, asked)
    assert [truth.labels[at] for at in found.label_index] == ["b", "b", "b"]
    with pytest.raises(UserError, match="no baseline"):
        write_baseline("majority", load_kind("text"), object(), file)
