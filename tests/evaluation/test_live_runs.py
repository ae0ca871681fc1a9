"""The main job on a living site: push by the client, evaluate in the cage, read the record."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pyarrow.parquet as pq
import pytest

from ml_core.verify import check_document, read_keys
from tests.support.benchmarks import CSV, EVAL_YAML
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

pytestmark = pytest.mark.slow


class Person:
    """Somebody with a token, who uses the official client and the API."""

    def __init__(self, site: LiveSite, name: str, *, is_new: bool = True) -> None:
        from huggingface_hub import HfApi

        self.name = name
        self.token = site.user_with_token(name) if is_new else site.create_token(name)
        self.hub = HfApi(endpoint=site.base_url, token=self.token)
        self.api = httpx2.Client(
            base_url=f"{site.base_url}/api/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )

    def push(self, name: str, folder: Path, *, repo_type: str = "model") -> str:
        repo_id = f"{self.name}/{name}"
        self.hub.create_repo(repo_id, repo_type=repo_type, exist_ok=True)
        self.hub.upload_folder(repo_id=repo_id, repo_type=repo_type, folder_path=folder)
        return repo_id

    def start(self, model: str, benchmark: str, **more: Any) -> dict[str, Any]:
        answer = self.api.post("/runs", json={"model": model, "benchmark": benchmark, **more})
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.api.get(f"/runs/{run_id}").json())

    def wait(self, run_id: str, *states: str, timeout_s: float = 180) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state"] in states else None

        return dict(wait_for(look, what=f"run {run_id} to be {states}", timeout_s=timeout_s))


@pytest.fixture(scope="module")
def person(live_workers: LiveSite) -> Iterator[Person]:
    person = Person(live_workers, "wanda")
    yield person
    person.api.close()


@pytest.fixture(scope="module")
def benchmark(person: Person, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    (folder / "eval.yaml").write_text(EVAL_YAML)
    (folder / "test.csv").write_text(CSV)
    repo_id = person.push("reviews", folder, repo_type="dataset")
    name = f"{repo_id}/sentiment"
    wait_for(lambda: person.api.get(f"/benchmarks/{name}").status_code == 200, what="the benchmark")
    return name


@pytest.fixture(scope="module")
def slow_benchmark(person: Person, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Enough rows to be interrupted in the middle."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "eval.yaml").write_text(EVAL_YAML)
    words = "the cat sat on the mat with a good film and a very long fine story"
    rows = [f"{i},{words},positive" for i in range(40_000)]
    (folder / "test.csv").write_text("item_id,text,label\n" + "\n".join(rows) + "\n")
    repo_id = person.push("many-reviews", folder, repo_type="dataset")
    name = f"{repo_id}/sentiment"
    wait_for(lambda: person.api.get(f"/benchmarks/{name}").status_code == 200, what="the benchmark")
    return name


def test_pushed_model_ends_on_the_leaderboard(
    bubblewrap: str, person: Person, benchmark: str, tmp_path: Path
) -> None:
    model = person.push("tiny", save_text_classifier(tmp_path / "tiny"))
    run = person.start(model, benchmark)
    assert run["state"] in ("queued", "preparing", "running")
    done = person.wait(run["id"], "finished", "failed")
    assert done["error"] is None
    samples = pq.read_table(
        io.BytesIO(person.api.get(f"/runs/{run['id']}/predictions").content)
    ).to_pylist()
    assert [row["item_id"] for row in samples] == ["a", "b", "c", "d"]
    assert [row["target"] for row in samples] == ["positive", "negative", "positive", "negative"]
    right = sum(row["prediction"] == row["target"] for row in samples) / len(samples)
    accuracy = done["scores"][0]
    assert (accuracy["metric"], accuracy["value"], accuracy["n"]) == ("accuracy", right, 4)
    document = person.api.get(f"/runs/{run['id']}/record").json()
    assert document["record"]["model"]["commit"] == done["commit"]
    assert document["record"]["execution"]["job"]["confinement"]["network"] == "none"
    assert person.api.get(f"/runs/{run['id']}/verify").json()["is_valid"] is True
    jsonschema.validate(document["record"], person.api.get("/record-schema").json())
    samples_path = tmp_path / "samples.parquet"
    samples_path.write_bytes(person.api.get(f"/runs/{run['id']}/predictions").content)
    keys = read_keys(json.dumps(person.api.get("/instance-key").json()))
    assert check_document(document, keys, samples_path).is_whole
    text = json.dumps({"text": "a good film with a fine story"}, sort_keys=True)
    assert samples[0]["input_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    cost = document["record"]["cost"]
    assert cost["wall_s"] > 0
    assert cost["tokens_in"] > 0
    board = person.api.get(f"/leaderboards/{benchmark}").json()
    assert [row["model"] for row in board["rows"]] == [model]
    again = person.api.post(f"/runs/{run['id']}/replays").json()
    replay = person.wait(again["id"], "finished", "failed")
    assert (replay["replay_of"], replay["replay_verdict"]) == (run["id"], "agree")
    (found,) = person.api.get(f"/runs/{run['id']}/replays").json()["items"]
    assert (found["rule"], found["n_changed"], found["max_difference"]) == ("equal", 0, 0.0)
    assert person.api.get(f"/leaderboards/{benchmark}").json()["rows"][0]["run"] == run["id"]


def test_model_of_foreign_labels_fails_with_words(
    bubblewrap: str, person: Person, benchmark: str, tmp_path: Path
) -> None:
    folder = save_text_classifier(tmp_path / "foreign", labels=("bad", "good"))
    model = person.push("foreign", folder)
    failed = person.wait(person.start(model, benchmark)["id"], "failed", "finished")
    assert (failed["error"]["family"], failed["error"]["code"]) == ("user", "labels_unresolved")
    label_map = {"bad": "negative", "good": "positive"}
    mapped = person.start(model, benchmark, label_map=label_map)
    assert person.wait(mapped["id"], "failed", "finished")["state"] == "finished"


def test_pickle_is_refused_and_never_fetched(
    bubblewrap: str, person: Person, benchmark: str, live_site: LiveSite, tmp_path: Path
) -> None:
    folder = save_text_classifier(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    model = person.push("pickled", folder)
    failed = person.wait(person.start(model, benchmark)["id"], "failed", "finished")
    assert (failed["error"]["family"], failed["error"]["code"]) == ("user", "unsafe_format")
    cache = live_site.data_dir / "worker" / "cache" / f"models--{model.replace('/', '--')}"
    assert not list(cache.rglob("*pytorch_model.bin"))


def test_cancel_frees_the_worker_within_two_seconds(
    bubblewrap: str, person: Person, slow_benchmark: str, tmp_path: Path
) -> None:
    model = person.push("slow", save_text_classifier(tmp_path / "slow"))
    run = person.start(model, slow_benchmark)
    wait_for(lambda: person.run(run["id"])["progress"]["done"], what="progress", timeout_s=180)
    started = time.monotonic()
    assert person.api.post(f"/runs/{run['id']}/cancel").status_code == 200
    person.wait(run["id"], "cancelled", timeout_s=10)
    assert time.monotonic() - started < 3.0


def test_run_of_a_killed_worker_starts_again_and_finishes(
    bubblewrap: str, person: Person, slow_benchmark: str, live_site: LiveSite, tmp_path: Path
) -> None:
    model = person.push("killed", save_text_classifier(tmp_path / "killed", seed=1))
    run = person.start(model, slow_benchmark)
    wait_for(lambda: person.run(run["id"])["progress"]["done"], what="progress", timeout_s=180)
    live_site.kill("worker-evaluate")
    held = person.run(run["id"])
    assert held["state"] == "running"
    live_site.execute(
        "from evaluation.actions.leases import requeue_expired_runs\n"
        "from django.utils import timezone\n"
        "from datetime import timedelta\n"
        "requeue_expired_runs(now=timezone.now() + timedelta(hours=1))"
    )
    again = person.run(run["id"])
    assert (again["state"], again["error"]["code"]) == ("queued", "worker_lost")
    live_site.restart_worker("evaluate")
    done = person.wait(run["id"], "finished", "failed", timeout_s=240)
    assert (done["state"], done["attempt"]) == ("finished", 2)
    assert json.dumps(done["scores"])
