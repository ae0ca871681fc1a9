"""From a frozen spec to a job: what the cage may see, and what it may not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evaluation.errors import JobFailed
from evaluation.worker import inputs, splits
from evaluation.worker.fetch import Source
from evaluation.worker.inputs import Job, prepare_job
from evaluation.worker.samples import write_samples
from ml_core.answers.label import KIND
from ml_core.data.labels import Truth
from ml_core.data.predictions import Predictions
from ml_core.data.rows import sha256_of
from ml_core.evalfile import parse
from ml_core.verify.recomputing import items_digest
from tests.support.benchmarks import CSV, EVAL_YAML
from tests.support.folder_hub import FolderHub

SOURCE = Source("me/data", "dataset", "c" * 40, "http://hub", "token", Path("cache"))
IMAGES = """\
evaluation_framework: modelguild
tasks:
  - {id: digits, type: image-classification, split: test}
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderHub:
    root = tmp_path / "hub"
    root.mkdir()
    hub = FolderHub(root)
    for module in (inputs, splits):
        monkeypatch.setattr(module, "list_files", hub.list_files)
        monkeypatch.setattr(module, "fetch_files", hub.fetch_files)
    return hub


def spec_of(eval_yaml: str = EVAL_YAML, **more: Any) -> dict[str, Any]:
    (task,) = parse(eval_yaml.encode()).tasks
    return {
        "model": {"repo": "me/model", "commit": "a" * 40},
        "dataset": {"repo": "me/data", "commit": "c" * 40},
        "task": task.to_json(),
        "label_map": None,
        "engine": {"dtype": "float32", "device": "auto", "seed": 0},
        **more,
    }


def prepare(tmp_path: Path, spec: dict[str, Any]) -> Job:
    folders = {name: tmp_path / name for name in ("model", "inputs", "hidden")}
    for folder in folders.values():
        folder.mkdir()
    return prepare_job(spec, dataset=SOURCE, memory=tmp_path / "memory", **folders)


def test_cage_sees_texts_and_ids_but_no_label(hub: FolderHub, tmp_path: Path) -> None:
    (hub.root / "test.csv").write_text(CSV)
    job = prepare(tmp_path, spec_of())
    (file,) = (tmp_path / "inputs").iterdir()
    table = pq.read_table(file)
    assert sorted(table.column_names) == ["item_id", "text"]
    assert job.withheld.spec.data.files == (str(file),)
    assert "positive" not in str(table.to_pydict()["item_id"])
    assert job.withheld.truth.item_ids == ("a", "b", "c", "d")
    assert list(job.withheld.truth.label_index) == [1, 0, 1, 0]
    assert list(job.files) == ["test.csv"]
    assert not [p for p in (tmp_path / "inputs").rglob("*") if b"negative" in p.read_bytes()]


def test_only_files_of_the_split_are_fetched(hub: FolderHub, tmp_path: Path) -> None:
    (hub.root / "test.csv").write_text(CSV)
    (hub.root / "train.csv").write_text("broken")
    (hub.root / "model.pkl").write_bytes(b"cos\nsystem\n")
    prepare(tmp_path, spec_of())
    fetched = {path.name for path in (tmp_path / "hidden").rglob("*") if path.is_file()}
    assert fetched == {"test.csv"}


def test_answer_about_a_commit_is_kept(hub: FolderHub, tmp_path: Path) -> None:
    (hub.root / "test.csv").write_text(CSV)
    first = splits.find_split(SOURCE, config=None, split="test", memory=tmp_path / "memory")
    (hub.root / "test-2.csv").write_text(CSV)
    assert splits.find_split(SOURCE, config=None, split="test", memory=tmp_path / "memory") == first


def test_image_folder_becomes_one_table(hub: FolderHub, tmp_path: Path) -> None:
    for label, shade in (("bright", 250), ("dark", 5)):
        folder = hub.root / "test" / label
        folder.mkdir(parents=True)
        for n in range(2):
            Image.new("L", (8, 8), shade).save(folder / f"{n}.png")
    job = prepare(tmp_path, spec_of(IMAGES))
    assert job.withheld.truth.labels == ("bright", "dark")
    assert sorted(job.withheld.truth.label_index) == [0, 0, 1, 1]
    table = pq.read_table(job.withheld.spec.data.files[0])
    pixels = [_mean(row) for row in table.column("image").to_pylist()]
    expected = [250 if at == 0 else 5 for at in job.withheld.truth.label_index]
    assert pixels == expected


def _mean(value: Any) -> int:
    data = value["bytes"] if isinstance(value, dict) else value
    with Image.open(io.BytesIO(data)) as image:
        return round(float(np.asarray(image).mean()))


BROKEN = [
    ("item_id,text\na,x\n", EVAL_YAML, "dataset_missing_column"),
    ("item_id,words,label\na,x,positive\n", EVAL_YAML, "dataset_missing_column"),
    ("item_id,text,label\n", EVAL_YAML, "dataset_empty"),
    ("item_id,text,label\na,x,neutral\n", EVAL_YAML, "dataset_unknown_label"),
    ("item_id,text,label\na,x,positive\na,y,negative\n", EVAL_YAML, "dataset_duplicate_id"),
    ("item_id,text,label\na,x\n", EVAL_YAML, "data_unreadable"),
    ('item_id,text,label\na,"x\n', EVAL_YAML, "data_unreadable"),
    (CSV, EVAL_YAML.replace("split: test", "split: dev"), "split_unknown"),
    (CSV, EVAL_YAML.replace("split: test", "split: test\n    config: de"), "config_unknown"),
]


@pytest.mark.parametrize(("csv", "eval_yaml", "code"), BROKEN)
def test_broken_data_is_a_users_error_before_anything_runs(
    hub: FolderHub, tmp_path: Path, csv: str, eval_yaml: str, code: str
) -> None:
    (hub.root / "test.csv").write_text(csv)
    with pytest.raises(JobFailed) as failed:
        prepare(tmp_path, spec_of(eval_yaml))
    assert (failed.value.family, failed.value.code) == ("user", code)
    assert str(tmp_path) not in failed.value.message


def test_samples_stand_beside_what_is_right(tmp_path: Path) -> None:
    truth = Truth(("a", "b", "c"), np.array([1, 0, 0]), ("no", "yes"))
    nan = float("nan")
    predictions = Predictions(
        truth.item_ids,
        truth.labels,
        np.array([1, 1, -1]),
        np.array([[0.25, 0.75], [0.5, 0.5], [nan, nan]], dtype=np.float32),
        np.array([False, True, False]),
        (None, None, "not_finite"),
    )
    path = tmp_path / "samples.parquet"
    file = write_samples(KIND.samples(predictions, truth), path)
    rows = pq.read_table(path).to_pylist()
    assert [row["correct"] for row in rows] == [True, False, None]
    assert [row["target"] for row in rows] == ["yes", "no", "no"]
    assert rows[0]["probabilities"] == [0.25, 0.75]
    assert rows[2]["probabilities"] is None
    assert (file.rows, file.sha256, file.size_bytes) == (3, sha256_of(path), path.stat().st_size)
    assert pa.parquet.read_schema(path).metadata[b"labels"] == b'["no", "yes"]'
    other = Truth(("a", "c", "b"), truth.label_index, truth.labels)
    assert items_digest(truth.item_ids) != items_digest(other.item_ids)


def test_row_that_names_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    from datasets import Dataset, Features
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(decode=False)})
    rows = {"image": [{"bytes": None, "path": "/etc/passwd"}]}
    table = Dataset.from_dict(rows, features=features)
    with pytest.raises(JobFailed) as failed:
        inputs.with_files_inside(table, tmp_path)
    assert failed.value.code == "dataset_files_outside"
