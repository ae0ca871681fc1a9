"""Data files, their schema, labels, and the split of inputs from labels."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_core.data.labels import label_names, read_truth, resolve_label_map
from ml_core.data.predictions import (
    MISSING,
    SCHEMA,
    Predictions,
    read_predictions,
    write_predictions,
)
from ml_core.data.roles import LABEL, Role
from ml_core.data.schema import read_items
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate.tasks import get_task
from ml_core.scoring import score
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec

TASK = get_task("text-classification")
TEXT = TASK.inputs
IMAGE = get_task("image-classification").inputs


def write(path, columns, metadata=None):
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)
    return DataSpec((str(path),))


def items_of(path, table, roles=TEXT, **spec):
    data = write(path, table)
    return read_items(DataSpec(data.files, **spec), roles, (LABEL,))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", 'text,label\n"a, b",1\n007,0\n'),
        ("d.tsv", "text\tlabel\na, b\t1\n007\t0\n"),
        ("d.jsonl", '{"text": "a, b", "label": 1}\n\n{"text": "007", "label": 0}\n'),
        ("d.json", '[{"text": "a, b", "label": 1}, {"text": "007", "label": 0}]'),
        ("bom.csv", '\ufefftext,label\n"a, b",1\n007,0\n'),
    ],
)
def test_text_formats_give_the_same_rows(name, content, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    items = read_items(DataSpec((str(tmp_path / name),)), TEXT, (LABEL,))
    assert items.inputs.column("text").to_pylist() == ["a, b", "007"]
    assert items.truth.column("label").to_pylist() == [1, 0]
    assert items.item_ids == ("0", "1")


def test_several_files_are_one_split_in_order(tmp_path):
    write(tmp_path / "a.parquet", {"text": ["a"], "label": [0]})
    (tmp_path / "b.csv").write_text("label,text\n1,b\n")
    files = (str(tmp_path / "a.parquet"), str(tmp_path / "b.csv"))
    assert read_items(DataSpec(files), TEXT, (LABEL,)).inputs.column("text").to_pylist() == [
        "a",
        "b",
    ]


def test_columns_can_be_named_and_rows_limited(tmp_path):
    columns = {"review": ["a", "b", "c"], "stars": [0, 1, 1], "key": ["x", "y", "z"]}
    named = {"text": "review", "label": "stars", "item_id": "key"}
    items = items_of(tmp_path / "d.parquet", columns, columns=named, limit=2)
    assert items.item_ids == ("x", "y")
    assert items.truth.column("label").to_pylist() == [0, 1]


def test_categories_are_read_as_their_values(tmp_path):
    text = pa.array(["a", "b", "a"]).dictionary_encode()
    assert items_of(tmp_path / "d.parquet", {"text": text}).inputs.column("text").to_pylist()


@pytest.mark.parametrize(
    ("columns", "spec", "code", "words"),
    [
        ({"body": ["a"]}, {}, "dataset_missing_column", "'text'.*Columns of d.parquet: body"),
        ({"text": ["a"]}, {"columns": {"label": "y"}}, "dataset_missing_column", "'y'.*label"),
        ({"text": ["a"]}, {"columns": {"image": "y"}}, "spec_invalid", "no column role 'image'"),
        ({"text": pa.array([], pa.string())}, {}, "dataset_empty", "no rows"),
        ({"text": ["a", None, "b", None]}, {}, "dataset_broken_row", "2 of 4 rows.*1, 3"),
        ({"text": [1, 2]}, {}, "dataset_broken_row", "int64, not text"),
        ({"text": ["a", "b"], "item_id": ["x", "x"]}, {}, "dataset_duplicate_id", "'x'"),
        ({"text": ["a", "b"], "item_id": ["x", None]}, {}, "dataset_broken_row", "no item_id"),
        ({"text": ["a"], "item_id": [1.5]}, {}, "dataset_broken_row", "double"),
        (
            {"text": ["a"], "text_pair": pa.array([None], pa.string())},
            {},
            "dataset_broken_row",
            "pair",
        ),
    ],
)
def test_a_split_that_does_not_hold_says_what_is_wrong(columns, spec, code, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        items_of(tmp_path / "d.parquet", columns, **spec)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.parquet", b"PAR1 no", "d.parquet cannot be read"),
        ("d.csv", b"text,label\na,1,2\n", "line 2 has 3 cells, not 2"),
        ("d.csv", b'text,label\n"a,1\n', "line"),
        ("d.csv", b"text\n\xff\n", "cannot be read"),
        ("d.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
        ("d.jsonl", b"[1]\n", "row 1 is not an object"),
        ("d.jsonl", b"[" * 100_000, "cannot be read"),
        ("d.jsonl", b'{"text": "a"}\n{"text": 5}\n', "cannot be read"),
        ("d.xlsx", b"", "its ending is none of"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read_items(DataSpec((str(tmp_path / name),)), TEXT, (LABEL,))
    assert caught.value.code == "data_unreadable"
    assert caught.value.details["file"] == name


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.csv"):
        read_items(DataSpec((str(tmp_path / "absent.csv"),)), TEXT, (LABEL,))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([{"bytes": b"x", "path": None}, {"bytes": None, "path": "a.png"}], "1 of 2 rows.*: 1"),
        ([b"x", b""], "1 of 2 rows"),
        (["a.png", "b.png"], "holds string; images must be"),
    ],
)
def test_images_must_be_there(values, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        items_of(tmp_path / "d.parquet", {"image": values}, IMAGE)
    assert caught.value.code == "dataset_broken_row"


def test_label_names_come_from_the_spec_then_the_file_then_the_values(tmp_path):
    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}}}
    metadata = {b"huggingface": json.dumps(features).encode()}
    data = write(tmp_path / "d.parquet", {"text": ["a", "b"], "label": [0, 1]}, metadata)
    named = read_items(data, TEXT, (LABEL,))
    assert label_names(named, ("n", "y")) == ("n", "y")
    assert label_names(named, None) == ("no", "yes")
    plain = items_of(tmp_path / "e.parquet", {"text": ["a", "b"], "label": [0, 2]})
    assert label_names(plain, None) == ("0", "1", "2")
    text = items_of(tmp_path / "f.parquet", {"text": ["a", "b"], "label": ["y", "n"]})
    assert label_names(text, None) == ("n", "y")


@pytest.mark.parametrize(
    ("labels", "code", "words"),
    [
        ([0, 5, 5], "dataset_unknown_label", r"The label 5 .*2 rows.*'no', 'yes'"),
        ([0, -1, 0], "dataset_unknown_label", "label -1"),
        (["no", "maybe", "yes"], "dataset_unknown_label", "'maybe'"),
        ([0, None, 1], "dataset_broken_row", "1 rows have no label; the first: 1"),
        ([0.0, 1.0, 1.0], "dataset_broken_row", "double"),
        ([True, False, True], "dataset_broken_row", "bool"),
    ],
)
def test_labels_that_do_not_hold_are_refused(labels, code, words, tmp_path):
    items = items_of(tmp_path / "d.parquet", {"text": ["a", "b", "c"], "label": labels})
    with pytest.raises(UserError, match=words) as caught:
        read_truth(items, ("no", "yes"))
    assert caught.value.code == code


def test_a_column_of_big_numbers_is_no_label_column(tmp_path):
    items = items_of(tmp_path / "d.parquet", {"text": ["a"], "label": [2_000_000_000]})
    with pytest.raises(UserError, match="does not hold labels"):
        label_names(items, None)


def test_label_maps_match_by_name():
    exact = resolve_label_map(("yes", "no"), ("no", "yes"))
    assert exact.targets == (1, 0)
    folded = resolve_label_map(("POSITIVE", " Negative"), ("negative", "positive"))
    assert folded.to_names() == {"POSITIVE": "positive", " Negative": "negative"}
    probabilities = np.array([[0.9, 0.1]], dtype=np.float32)
    assert folded.project(probabilities).tolist() == [[np.float32(0.1), np.float32(0.9)]]


def test_an_explicit_map_may_join_labels_and_leave_some_out():
    explicit = {"cat": "animal", "dog": "animal", "car": "thing", "sky": None}
    joined = resolve_label_map(("cat", "dog", "car", "sky"), ("animal", "thing", "idea"), explicit)
    projected = joined.project(np.array([[0.25, 0.25, 0.125, 0.375]], dtype=np.float32))
    assert projected.tolist() == [[0.5, 0.125, 0.0]]


@pytest.mark.parametrize(
    ("model", "explicit", "words"),
    [
        (("LABEL_0", "LABEL_1"), None, "only the model has 'LABEL_0', 'LABEL_1' and only the data"),
        (("no", "yes", "maybe"), None, "only the model has 'maybe'"),
        (("no",), None, "only the data has 'yes'"),
        (("no", "No"), None, "case only"),
        (("no", "no"), None, "two labels of one name"),
        (("a", "b"), {"a": "no"}, "the map leaves out 'b'"),
        (("a", "b"), {"a": "no", "b": "yes", "c": "no"}, "the model has no label 'c'"),
        (("a", "b"), {"a": "no", "b": "ja"}, "the data has no label 'ja'"),
        (("a", "b"), {"a": None, "b": None}, "leads to no label"),
    ],
)
def test_an_unresolved_label_names_both_sides(model, explicit, words):
    with pytest.raises(UserError, match=words) as caught:
        resolve_label_map(model, ("no", "yes"), explicit)
    assert caught.value.code == "labels_unresolved"
    assert "Model: " in caught.value.message
    assert "Data: 'no', 'yes'" in caught.value.message


def predictions(n=4, missing=()):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1], n).astype(np.float32)
    index = probabilities.argmax(axis=1).astype(np.int64)
    for at in missing:
        index[at], probabilities[at] = MISSING, np.nan
    errors = tuple("not_finite" if at in missing else None for at in range(n))
    ids = tuple(f"item {at}" for at in range(n))
    return Predictions(ids, ("no", "yes"), index, probabilities, np.zeros(n, bool), errors)


def test_predictions_survive_the_file(tmp_path):
    made = predictions(missing=(1,))
    file = write_predictions(made, tmp_path / "p.parquet")
    assert (file.rows, file.file) == (4, "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", made.item_ids, made.labels)
    assert read.label_index.tolist() == made.label_index.tolist()
    assert np.array_equal(read.probabilities, made.probabilities, equal_nan=True)
    assert read.errors == made.errors
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["item_id", "prediction", "probabilities", "truncated", "error"]
    assert table.column("prediction").to_pylist()[1] is None
    assert table.column("probabilities").to_pylist()[1] is None


def test_predictions_that_are_all_missing_survive_the_file(tmp_path):
    made = predictions(missing=range(4))
    write_predictions(made, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", made.item_ids, made.labels)
    assert read.n_missing == 4
    assert np.isnan(read.probabilities).all()


def test_predictions_are_put_back_in_the_order_asked_for(tmp_path):
    made = predictions()
    write_predictions(made, tmp_path / "p.parquet")
    turned = read_predictions(tmp_path / "p.parquet", made.item_ids[::-1], made.labels)
    assert turned.label_index.tolist() == made.label_index.tolist()[::-1]


def rows(**change):
    base = {
        "item_id": ["a", "b"],
        "prediction": ["no", "yes"],
        "probabilities": [[0.75, 0.25], [0.25, 0.75]],
        "truncated": [False, False],
        "error": [None, None],
    }
    return pa.table({k: pa.array(v, SCHEMA.field(k).type) for k, v in (base | change).items()})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows(item_id=["a", "a"]), "item ids"),
        (rows(item_id=["a", "c"]), "item ids"),
        (rows(item_id=["a", None]), "item ids"),
        (rows().slice(0, 1), "1 rows for 2 items"),
        (rows(prediction=["no", "root"]), "'root', which is no label"),
        (rows(probabilities=[[0.75, 0.25], [0.25]]), "another number"),
        (rows(probabilities=[[0.75, 0.25], None]), "another number"),
        (rows(probabilities=[[0.75, 0.25], [0.25, float("nan")]]), "no number"),
        (rows(probabilities=[[0.75, 0.25], [0.75, 0.25]]), "not a label of the largest"),
        (rows().drop_columns(["error"]), "other columns"),
        (rows().append_column("x", pa.array([1, 2])), "other columns"),
        (rows().set_column(1, "prediction", pa.array([0, 1])), "no label"),
        (rows().set_column(2, "probabilities", pa.array(["x", "y"])), "cast"),
    ],
)
def test_predictions_that_were_not_asked_for_are_refused(table, words, tmp_path):
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words) as caught:
        read_predictions(tmp_path / "p.parquet", ("a", "b"), ("no", "yes"))
    assert caught.value.code == "result_invalid"


def test_predictions_that_are_no_plain_file_are_refused(tmp_path):
    pq.write_table(rows(), tmp_path / "real.parquet")
    (tmp_path / "link").symlink_to(tmp_path / "real.parquet")
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"PAR1" * 100)
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(10 << 30)
    import os

    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "folder", "garbage", "huge", "pipe", "absent"):
        with pytest.raises(PlatformError):
            read_predictions(tmp_path / name, ("a", "b"), ("no", "yes"))


def test_labels_stay_behind(tmp_path):
    columns = {"t": ["x", "y", "z"], "y": [1, 0, 1], "id": [7, 8, 9], "extra": [1, 1, 1]}
    write(tmp_path / "d.parquet", columns)
    data = DataSpec((str(tmp_path / "d.parquet"),), {"text": "t", "label": "y", "item_id": "id"})
    spec = EvaluationSpec("text-classification", ModelSpec("/m"), data, labels=("no", "yes"))
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    seen = pq.read_table(tmp_path / "in/inputs.parquet")
    assert seen.to_pydict() == {"text": ["x", "y", "z"], "item_id": ["7", "8", "9"]}
    assert withheld.spec.data.files == (str(tmp_path / "in/inputs.parquet"),)
    again = read_items(withheld.spec.data, TEXT, (LABEL,))
    assert again.truth_column("label") is None
    assert again.item_ids == withheld.truth.item_ids == ("7", "8", "9")
    assert withheld.truth.label_index.tolist() == [1, 0, 1]
    assert withheld.spec.labels == ("no", "yes")


def test_scores_leave_missing_predictions_out_and_count_them(tmp_path):
    made = predictions(6, missing=(2, 5))
    index = np.where(made.label_index == MISSING, 0, made.label_index)
    truth_index = index.copy()
    truth_index[0] = 1 - truth_index[0]
    from ml_core.data.labels import Truth

    truth = Truth(made.item_ids, truth_index, made.labels)
    scores = score(made, truth, metrics=("accuracy", "macro_f1"))
    assert scores.metrics[0].value == 3 / 4
    assert (scores.metrics[0].n, scores.metrics[0].n_missing) == (4, 2)
    assert sum(count for _, _, count in scores.confusion.cells) == 4
    write_predictions(made, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet", made.item_ids, made.labels)
    assert score(read, truth, metrics=("accuracy", "macro_f1")) == scores


def test_scores_of_other_items_are_refused():
    from ml_core.data.labels import Truth

    made = predictions(2)
    truth = Truth(("x", "y"), np.array([0, 1]), made.labels)
    with pytest.raises(ValueError, match="same items"):
        score(made, truth, metrics=("accuracy",))


def test_a_role_is_what_a_task_says_it_is():
    assert Role("text", "text") in TEXT
    with pytest.raises(UserError, match="text-classification"):
        get_task("poetry")
