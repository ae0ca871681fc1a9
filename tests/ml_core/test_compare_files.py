"""`python -m ml_core.compare` on files as they are downloaded from two runs."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from ml_core.compare import CompareSpec, run
from ml_core.errors import UserError

pytestmark = pytest.mark.pure


@pytest.fixture
def spec(tmp_path):
    paths = []
    for name, n_right in (("a", 60), ("b", 80)):
        right = [at < n_right for at in range(100)]
        table = pa.table({"item_id": [str(at) for at in range(100)], "correct": right})
        paths.append(str(tmp_path / f"{name}.parquet"))
        pq.write_table(table, paths[-1])
    return CompareSpec(*paths, "text-classification", "accuracy")


def test_a_process_leaves_the_comparison(spec, tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_json()))
    command = [sys.executable, "-m", "ml_core.compare", "spec.json", "out"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    found = json.loads((tmp_path / "out/comparison.json").read_text())["comparison"]
    assert found["p"] == pytest.approx(stats.binomtest(0, 20, 0.5).pvalue)
    assert (found["difference"], found["verdict"]) == (pytest.approx(0.2), "better")


BROKEN = [
    ({"base": "/nowhere.parquet"}, "cannot be read"),
    ({"task": "juggling"}, "no task"),
    ({"metric": "bleu"}, "no metric"),
    ({"metric": "macro_f1"}, "item by item"),
    ({"margin": -1.0}, "margin"),
    ({"confidence": 1.0}, "confidence"),
    ({"spelling": 1}, "spelling"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN)
def test_what_does_not_hold_is_told(change, words, spec, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec.to_json() | change))
    with pytest.raises(UserError, match=words):
        run(CompareSpec.read(path))


def test_a_file_that_is_no_parquet_and_a_spec_that_is_no_json(spec, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="cannot be read"):
        run(spec)
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(UserError, match=r"spec\.json"):
        CompareSpec.read(tmp_path / "spec.json")
