"""What cannot be trained on is refused before torch is imported, in words its owner understands."""

import dataclasses
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_core.errors import UserError
from ml_core.specs import DataSpec, ModelSpec
from ml_core.train.checking import check
from ml_core.train.specs import FinetuneSpec, Training
from tests.support.tiny_models import save_masked_lm

pytestmark = pytest.mark.pure


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_masked_lm(tmp_path_factory.mktemp("base") / "m")


def table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return DataSpec((str(path),))


TEXTS = ["a good day", "a bad day", "the cat", "the end"] * 3
LABELS = ["yes", "no", "yes", "no"] * 3
GOOD = {"text": TEXTS, "label": LABELS}

REFUSED = [
    # columns of the training data, what else the spec says, code, words of the message
    ({"text": [], "label": []}, {}, "data", ()),
    ({"text": TEXTS}, {}, "dataset_missing_column", ("label",)),
    ({"label": LABELS}, {}, "dataset_missing_column", ("text",)),
    ({"text": [None, *TEXTS[1:]], "label": LABELS}, {}, "dataset_broken_row", ("0",)),
    ({"text": list(range(12)), "label": LABELS}, {}, "dataset_broken_row", ("int64",)),
    ({"text": TEXTS, "label": [None, *LABELS[1:]]}, {}, "dataset_broken_row", ("label",)),
    ({"text": TEXTS, "label": [0.5] * 12}, {}, "dataset_broken_row", ("double",)),
    (GOOD, {"labels": ("yes", "maybe")}, "dataset_unknown_label", ("'no'",)),
    (GOOD, {"labels": ("yes", "no", "maybe")}, "dataset_class_absent", ("'maybe'",)),
    ({"text": TEXTS, "label": ["yes"] * 12}, {}, "dataset_class_absent", ("'yes'", "two")),
    ({"text": TEXTS, "label": [0, 2] * 6}, {}, "dataset_class_absent", ("'1'",)),
    ({"text": TEXTS, "label": [-1, 1] * 6}, {}, "dataset_unknown_label", ("-1",)),
    ({"text": ["a"], "label": ["yes"]}, {}, "dataset_empty", ("one row",)),
    (GOOD, {"recipe": "alchemy"}, "recipe_unknown", ("text-classification",)),
    (GOOD, {"metrics": ("beauty",)}, "metric_unknown", ("accuracy",)),
    (GOOD, {"recipe": "token-classification"}, "dataset_missing_column", ("tokens",)),
    (GOOD, {"max_parameters": 100}, "model_too_large", ("100",)),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "others", "code", "words"), REFUSED)
def test_what_cannot_be_trained_on_is_refused(base, tmp_path, columns, others, code, words):
    data = table(tmp_path / "d.parquet", **columns)
    spec = FinetuneSpec(
        **({"recipe": "text-classification", "model": ModelSpec(str(base)), "train": data} | others)
    )
    with pytest.raises(UserError) as refused:
        check(spec)
    assert refused.value.code.startswith(code)
    for word in words:
        assert word in refused.value.message


def test_a_label_that_only_the_validation_has_is_refused(base, tmp_path):
    """The new head has no output for it."""
    train = table(tmp_path / "a.parquet", **GOOD)
    validation = table(tmp_path / "b.parquet", text=["a", "b"], label=["yes", "perhaps"])
    spec = FinetuneSpec("text-classification", ModelSpec(str(base)), train, validation)
    with pytest.raises(UserError) as refused:
        check(spec)
    assert refused.value.code == "dataset_unknown_label"
    missing = dataclasses.replace(validation, files=(str(tmp_path / "c.parquet"),))
    with pytest.raises(UserError) as refused:
        check(dataclasses.replace(spec, validation=missing))
    assert refused.value.code == "data_unreadable"


def test_tags_need_not_all_occur_but_two_must(base, tmp_path):
    words, names = [["a", "cat"], ["the", "end"]] * 3, ("O", "B-x", "I-x")
    good = table(tmp_path / "a.parquet", tokens=words, tags=[["O", "B-x"], ["O", "O"]] * 3)
    spec = FinetuneSpec("token-classification", ModelSpec(str(base)), good, labels=names)
    assert check(spec).labels == names
    same = table(tmp_path / "b.parquet", tokens=words, tags=[["O", "O"]] * 6)
    with pytest.raises(UserError) as refused:
        check(dataclasses.replace(spec, train=same))
    assert refused.value.code == "dataset_class_absent"


def test_tags_that_are_no_entities_are_judged_by_word(base, tmp_path):
    data = table(tmp_path / "a.parquet", tokens=[["a", "b"]] * 4, tags=[["DET", "NOUN"]] * 4)
    checked = check(FinetuneSpec("token-classification", ModelSpec(str(base)), data))
    assert checked.judge.metrics == ("tag_accuracy",)


def test_rows_that_are_judged_and_trained_on_are_counted(base, tmp_path):
    train = table(tmp_path / "a.parquet", **GOOD)
    held = table(tmp_path / "b.parquet", text=["the cat", "another"], label=["yes", "no"])
    spec = FinetuneSpec("text-classification", ModelSpec(str(base)), train, held)
    assert check(spec).leaked == 1


def test_a_training_is_the_same_wherever_its_files_lie(base, tmp_path):
    spec = FinetuneSpec(
        "text-classification", ModelSpec(str(base)), table(tmp_path / "a.parquet", **GOOD)
    )
    moved = table(tmp_path / "b.parquet", **GOOD)
    elsewhere = dataclasses.replace(
        spec, train=moved, resume_from="x", engine=dataclasses.replace(spec.engine, threads=3)
    )
    assert check(spec).identity == check(elsewhere).identity
    others = [
        dataclasses.replace(spec, training=Training(epochs=9)),
        dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, seed=9)),
        dataclasses.replace(
            spec, train=table(tmp_path / "c.parquet", text=TEXTS[::-1], label=LABELS)
        ),
    ]
    assert len({check(each).identity for each in (spec, *others)}) == 4


def test_the_job_reports_a_bad_spec_and_leaves_with_3(tmp_path):
    (tmp_path / "spec.json").write_text('{"recipe": "text-classification"}')
    (tmp_path / "out").mkdir()
    (tmp_path / "out/result.json").write_text("of an earlier try")
    command = [sys.executable, "-m", "ml_core.finetune", "spec.json", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    report = json.loads((tmp_path / "out/error.json").read_text())
    assert (report["family"], report["code"]) == ("user", "spec_invalid")
    assert not (tmp_path / "out/result.json").exists()
