"""Conversions on the site: who may, what is told at once, and one through a real worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from django.test import Client
from safetensors.torch import load_file

from evaluation.actions import leases
from evaluation.actions.leases import MadeFiles, Outcome
from evaluation.actions.publishing import publish_output
from evaluation.actions.records import sign_record
from evaluation.models import Run, RunKind
from hub.models import Repo
from hub.site import git_of, store
from tests.evaluation.test_live_runs import Person
from tests.support.benchmarks import make_benchmark, make_worker
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_repo
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

OLD = {"pytorch_model.bin": "x", "config.json": "{}", "README.md": "# Old\n"}
WHOLE = {"model.safetensors": "x", "config.json": "{}"}


def ask(client: Client, model: Repo, conversion: str, **more: Any) -> Any:
    body = {"model": model.full_name, "conversion": conversion, **more}
    return client.post("/api/v1/conversions", body, content_type="application/json")


def finish(run: Run, files: dict[str, bytes]) -> Run:
    """Ends the next run with these files, as a worker would leave them."""
    held = leases.claim_run(worker=make_worker())
    assert held == run
    made = []
    for path, content in files.items():
        store().put_bytes(f"runs/{run.pk}/x/output/{path}", content)
        sha256 = hashlib.sha256(content).hexdigest()
        made.append({"path": path, "sha256": sha256, "size_bytes": len(content)})
    signed = sign_record(record={"schema": "test"})
    leases.start_job(run=held)
    leases.finish_run(
        run=held,
        outcome=Outcome([], {"schema": "test"}, signed.digest, signed.signature,
                        made=MadeFiles(f"runs/{run.pk}/x/output", made)),
    )  # fmt: skip
    return Run.objects.with_names().get(pk=run.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_readers_may_propose_and_writers_may_commit(cast: Cast, role: str) -> None:
    model = make_repo(cast.organization, "old", files=OLD, creator=cast.owner)
    client = cast.api_client(role)
    proposed = ask(client, model, "safetensors").status_code
    committed = ask(client, model, "safetensors", output={"kind": "commit"}).status_code
    may_write = role in ("owner", "member", "admin")
    assert proposed == (401 if role == "anonymous" else 201)
    assert committed == (401 if role == "anonymous" else 201 if may_write else 403)
    assert Run.objects.filter(kind=RunKind.CONVERT).count() == (proposed, committed).count(201)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("files", "body", "status", "words"),
    [
        (WHOLE, {"conversion": "safetensors"}, 400, "no PyTorch pickle"),
        (OLD, {"conversion": "onnx"}, 400, "Convert the model to safetensors first"),
        (WHOLE, {"conversion": "merge", "output": {"kind": "repo", "repo": "olive/m"}}, 400,
         "nothing to merge"),
        (WHOLE, {"conversion": "dance"}, 400, "dance"),
        (OLD, {"conversion": "safetensors", "file": "../x"}, 400, "top level"),
        (OLD, {"conversion": "safetensors", "file": "other.bin"}, 400, "other.bin"),
        (OLD, {"conversion": "safetensors", "dtype": "int4"}, 400, "int4"),
        (OLD, {"conversion": "safetensors", "benchmark": "olive/reviews"}, 400, "int8"),
        (WHOLE, {"conversion": "int8", "benchmark": "olive/nothing"}, 404, "benchmark"),
        (OLD, {"conversion": "safetensors", "output": {"kind": "repo", "repo": "olive/model"}},
         409, "already"),
        (OLD, {"conversion": "safetensors", "output": {"kind": "commit", "repo": "olive/other"}},
         404, ""),
        (OLD | WHOLE, {"conversion": "safetensors"}, 400, "would be replaced"),
        (OLD, {"conversion": "safetensors", "revision": "nope"}, 404, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_told_before_anything_waits(
    cast: Cast, client: Client, files: Any, body: dict[str, Any], status: int, words: str
) -> None:
    make_benchmark(cast.owner, "reviews")
    model = make_repo(cast.owner, "model", files=files)
    client.force_login(cast.owner)
    answer = client.post(
        "/api/v1/conversions",
        {"model": model.full_name, **body},
        content_type="application/json",
    )
    assert answer.status_code == status, answer.content
    assert words in answer.content.decode()
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_page_says_what_each_conversion_does_and_why_it_is_not_to_be_had(
    cast: Cast, client: Client
) -> None:
    model = make_repo(cast.owner, "old", files=OLD)
    client.force_login(cast.owner)
    page = client.get(f"/{model.full_name}/convert").content.decode()
    assert page.count(" disabled") == 3
    assert "There are no safetensors weights." in page
    assert 'value="commit"' in page
    told = client.get(f"/api/v1/conversions?model={model.full_name}").json()
    assert [i["conversion"] for i in told["items"] if i["is_available"]] == ["safetensors"]
    assert told["files"] == ["pytorch_model.bin"]
    client.force_login(cast.stranger)
    assert 'value="commit"' not in client.get(f"/{model.full_name}/convert").content.decode()
    form = {"conversion": "safetensors", "output": "pull_request"}
    answer = client.post(f"/{model.full_name}/convert", form)
    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.pk}"
    assert run.spec["output"]["kind"] == "pull_request"
    assert "Weights as safetensors" in client.get(f"/runs/{run.pk}").content.decode()
    assert client.get("/runs").status_code == 200


@pytest.mark.django_db
def test_a_card_that_was_changed_meanwhile_is_left_as_it_is(cast: Cast, client: Client) -> None:
    client.force_login(cast.owner)
    files = {"model.safetensors": b"w" * 2000, "README.md": b"# Old\n\n## Weights\n"}
    for changed in (False, True):
        model = make_repo(cast.owner, f"old-{changed}", files=OLD)
        assert ask(client, model, "safetensors", output={"kind": "commit"}).status_code == 201
        run = Run.objects.order_by("-queued_at")[0]
        if changed:
            commit(model, {"README.md": "# New\n"}, user=cast.owner)
        publish_output(run=finish(run, files))
        git = git_of(model)
        card = git.read(git.resolve("main"), "README.md").decode()
        assert card.startswith("# New" if changed else "# Old\n\n## Weights")
        assert ("Converted on this site" in card) is not changed
        assert git.entry(git.resolve("main"), "model.safetensors").size_bytes == 2000
        run.refresh_from_db()
        assert run.output_commit == git.resolve("main")


@pytest.fixture(scope="module")
def person(live_workers: LiveSite) -> Iterator[Person]:
    person = Person(live_workers, "cora")
    yield person
    person.api.close()


@pytest.mark.slow
def test_pickle_is_converted_by_a_worker_and_committed_with_a_signed_record(
    bubblewrap: str, person: Person, tmp_path: Path
) -> None:
    folder = save_text_classifier(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    model = person.push("pickled", folder)
    body = {"model": model, "conversion": "safetensors", "output": {"kind": "commit"}}
    answer = person.api.post("/conversions", json=body)
    assert answer.status_code == 201, answer.text
    run = answer.json()["id"]
    done = person.wait(run, "finished", "failed")
    assert done["state"] == "finished", done["error"]
    wait_for(
        lambda: person.api.get(f"/runs/{run}/publish").json()["state"] == "published",
        what="the commit",
    )
    made = person.hub.hf_hub_download(model, "model.safetensors", local_dir=tmp_path / "new")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(made).items())
    record = person.api.get(f"/runs/{run}/record").json()["record"]
    assert record["parity"]["max_difference"] == 0
    assert "pytorch_model.bin" in record["model"]["files"]
    assert record["size"]["before_bytes"] > 0
    assert person.api.get(f"/runs/{run}/verify").json()["is_valid"]
