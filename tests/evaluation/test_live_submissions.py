"""A predictions file through a real worker: check, score, record, board, comparison."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.evaluation.test_live_runs import Person
from tests.support.benchmarks import CSV, EVAL_YAML
from tests.support.live_site import LiveSite, wait_for

pytestmark = pytest.mark.slow

RULES = EVAL_YAML.replace(
    "      - name: Always positive\n        accuracy: 0.5\n",
    "      - {name: Majority, computed: majority}\n",
)
GOOD = b"item_id,prediction\na,positive\nb,negative\nc,positive\nd,positive\n"


def hand_in(person: Person, benchmark: str, content: bytes, **query: Any) -> dict[str, Any]:
    answer = person.api.post(
        f"/benchmarks/{benchmark}/predictions",
        params={"system": "rules", "filename": "p.csv", **query},
        content=content,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 201, answer.text
    return person.wait(answer.json()["id"], "finished", "failed")


def test_predictions_are_checked_scored_and_compared(
    bubblewrap: str, live_workers: LiveSite, tmp_path: Path
) -> None:
    person = Person(live_workers, "priya")
    (tmp_path / "eval.yaml").write_text(
        RULES + "    submissions: {predictions: true}\n    halves: {public: 0.5}\n"
    )
    (tmp_path / "test.csv").write_text(CSV)
    benchmark = person.push("reviews", tmp_path, repo_type="dataset") + "/sentiment"
    look = f"/leaderboards/{benchmark}"
    wait_for(lambda: person.api.get(look).status_code == 200, what="the benchmark")

    checked = hand_in(person, benchmark, GOOD, dry_run=True)
    assert (checked["state"], checked["scores"]) == ("finished", [])
    refused = hand_in(person, benchmark, GOOD.replace(b"d,positive", b"d,great"))
    assert refused["error"]["code"] == "predictions_value"
    assert "line 5, column prediction: 'great'" in refused["error"]["message"]

    done = hand_in(person, benchmark, GOOD)
    assert done["error"] is None
    accuracy = done["scores"][0]
    assert (accuracy["value"], accuracy["n"], accuracy["n_missing"]) == (0.75, 4, 0)
    document = person.api.get(f"/runs/{done['id']}/record").json()["record"]
    assert document["kind"] == "predictions"
    assert "model" not in document
    assert document["execution"]["job"]["confinement"]["network"] == "none"
    sides = document["results"]["halves"][0]["slices"]["groups"]
    assert sum(side["score"]["n"] for side in sides) == 4
    assert person.api.get(f"/runs/{done['id']}/verify").json()["is_valid"] is True
    table = pq.read_table(io.BytesIO(person.api.get(f"/runs/{done['id']}/predictions").content))
    assert table.column("correct").to_pylist() == [True, True, True, False]

    def rows() -> list[dict[str, Any]] | None:
        found = person.api.get(look).json()["rows"]
        return found if len(found) == 2 else None

    kinds = {row["kind"]: row for row in wait_for(rows, what="the baseline", timeout_s=60)}
    assert kinds["baseline"]["scores"][0]["value"] == 0.5
    runs = [done["id"], kinds["baseline"]["run"]]
    pair = person.api.get("/compare", params={"run": runs}).json()["pairs"][0]
    assert pair["difference"] == -0.25
    person.api.close()
