"""Adapters are run on a base of this hub that their submitter may read, frozen when they start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from evaluation.actions import leases
from evaluation.models import Run
from hub.models import AccessToken, Repo
from hub.site import git_of
from tests.evaluation.test_live_runs import Person
from tests.support.benchmarks import CSV, EVAL_YAML, make_benchmark, make_worker
from tests.support.cast import Cast
from tests.support.factories import gate, make_repo
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_adapter, save_text_classifier


def make_adapter(owner: Any, base: str, name: str = "adapter", **settings: Any) -> Repo:
    config = {"peft_type": "LORA", "base_model_name_or_path": base, **settings}
    files = {"adapter_config.json": json.dumps(config), "adapter_model.safetensors": "x"}
    return make_repo(owner, name, files=files)


def make_base(owner: Any, name: str = "base", **more: Any) -> Repo:
    return make_repo(owner, name, files={"model.safetensors": "x"}, **more)


def start(client: Client, model: Repo, benchmark: Any, **more: Any) -> Any:
    body = {"model": model.full_name, "benchmark": benchmark.full_id, **more}
    return client.post("/api/v1/runs", body, content_type="application/json")


@pytest.mark.django_db
def test_base_is_frozen_to_a_commit_and_read_with_the_runs_token(
    cast: Cast, client: Client
) -> None:
    base, benchmark = make_base(cast.owner), make_benchmark(cast.owner)
    adapter = make_adapter(cast.owner, base.full_name)
    client.force_login(cast.owner)
    answer = start(client, adapter, benchmark)
    assert answer.status_code == 201, answer.content
    assert answer.json()["base"] == base.full_name
    run = Run.objects.get()
    assert run.spec["base"] == {"repo": base.full_name, "commit": git_of(base).resolve("main")}
    assert run.spec["model"]["commit"] == git_of(adapter).resolve("main")
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.issue_token(run=held)
    granted = set(AccessToken.objects.get().grants.values_list("repo", flat=True))
    assert granted == {adapter.pk, base.pk, benchmark.dataset.pk}


@pytest.mark.django_db
def test_a_base_that_is_not_there_and_one_that_may_not_be_read_look_the_same(
    cast: Cast, client: Client
) -> None:
    benchmark = make_benchmark(cast.owner)
    make_base(cast.owner, "secret", is_private=True)
    gate(make_base(cast.owner, "gated"))
    client.force_login(cast.stranger)
    words = set()
    for number, base in enumerate(("olive/secret", "olive/gated", "olive/nothing")):
        adapter = make_adapter(cast.stranger, base, f"adapter-{number}")
        answer = start(client, adapter, benchmark)
        assert answer.status_code == 400
        words.add(answer.json()["error"].replace(base, "BASE"))
    assert len(words) == 1, words
    assert not Run.objects.exists()
    adapter = make_adapter(cast.owner, "olive/secret")
    client.force_login(cast.owner)
    assert start(client, adapter, benchmark).status_code == 201, "its owner may"
    run = Run.objects.get()
    client.force_login(cast.stranger)
    assert client.get(f"/api/v1/runs/{run.pk}").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("base", "more", "words"),
    [
        ("/etc/passwd", {}, "not a model on this site"),
        ("../../base", {}, "not a model on this site"),
        ("bert-base-uncased", {}, "not a model on this site"),
        (None, {}, "not a model on this site"),
        ("olive/other-adapter", {}, "itself an adapter"),
        ("olive/base", {"revision": "nope"}, "no revision"),
    ],
)
def test_a_base_that_cannot_be_used_is_told_in_words(
    cast: Cast, client: Client, base: Any, more: dict[str, Any], words: str
) -> None:
    benchmark = make_benchmark(cast.owner)
    make_base(cast.owner)
    make_adapter(cast.owner, "olive/adapter", "other-adapter")
    adapter = make_adapter(cast.owner, base, **more)
    client.force_login(cast.owner)
    answer = start(client, adapter, benchmark)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    page = client.post(f"/{adapter.full_name}/evaluate", {"benchmark": benchmark.full_id})
    assert words in page.content.decode()
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_the_submitter_may_name_the_base_and_only_for_an_adapter(
    cast: Cast, client: Client
) -> None:
    base, benchmark = make_base(cast.owner), make_benchmark(cast.owner)
    adapter = make_adapter(cast.owner, "bert-base-uncased")
    client.force_login(cast.owner)
    answer = start(client, base, benchmark, base=base.full_name)
    assert (answer.status_code, "no adapter" in answer.json()["error"]) == (400, True)
    assert start(client, adapter, benchmark, base=base.full_name).status_code == 201
    other = make_base(cast.owner, "other")
    assert start(client, adapter, benchmark, base=other.full_name).status_code == 409
    assert Run.objects.count() == 1


@pytest.fixture(scope="module")
def person(live_workers: LiveSite) -> Iterator[Person]:
    person = Person(live_workers, "ada")
    yield person
    person.api.close()


@pytest.mark.slow
def test_adapter_is_evaluated_on_its_base_with_both_commits_in_the_record(
    bubblewrap: str, person: Person, tmp_path: Path
) -> None:
    data = tmp_path / "reviews"
    data.mkdir()
    (data / "eval.yaml").write_text(EVAL_YAML)
    (data / "test.csv").write_text(CSV)
    base = save_text_classifier(tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter")
    base_id = person.push("lora-base", base)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base_id
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    adapter_id = person.push("lora", adapter)
    benchmark = person.push("lora-data", data, repo_type="dataset")
    wait_for(
        lambda: person.api.get(f"/benchmarks/{benchmark}/sentiment").status_code == 200,
        what="the benchmark",
    )
    run = person.start(adapter_id, benchmark)
    done = person.wait(run["id"], "finished", "failed")
    assert done["state"] == "finished", done["error"]
    record = person.api.get(f"/runs/{run['id']}/record").json()["record"]
    model = record["model"]
    assert model["commit"] == person.hub.model_info(adapter_id).sha
    assert model["base"]["commit"] == person.hub.model_info(base_id).sha
    assert set(model["files"]) >= {"adapter_config.json", "adapter_model.safetensors"}
    assert "model.safetensors" in model["base"]["files"]
    assert model["adapter"]["modules"] == 6
    assert person.api.get(f"/runs/{run['id']}/verify").json()["is_valid"]
