"""Fine-tunings without a worker: asking, limits, curves, checkpoints, going on, publishing."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from evaluation.actions import leases
from evaluation.actions.finetunes import resume_run
from evaluation.actions.leases import MadeFiles, Outcome
from evaluation.actions.publishing import publish_output, sweep_outputs
from evaluation.actions.records import sign_record, verify_run
from evaluation.actions.runs import cancel_run
from evaluation.actions.training import (
    add_checkpoint,
    add_points,
    drop_points_after,
    sweep_checkpoints,
)
from evaluation.errors import LeaseLost, NothingToPublish, NothingToResume
from evaluation.models import CurvePoint, Output, Run, Score
from evaluation.worker.keeping import NotWhole, fetch_kept, keep_files
from hub.models import Repo
from hub.site import git_of, store
from tests.support.benchmarks import make_worker
from tests.support.cast import Cast
from tests.support.factories import make_repo

pytestmark = pytest.mark.django_db

ROWS = "".join(f"a {word} film,{label}\n" for word, label in [("good", "up"), ("bad", "down")] * 8)
DATA = {"train.csv": f"text,label\n{ROWS}", "validation.csv": f"text,label\n{ROWS}"}
CARD = b"---\nbase_model: someone/base\n---\n# Tuned\n"


def make_base(owner: Any, name: str = "base", **more: Any) -> Repo:
    repo = make_repo(owner, name, files={"config.json": "{}"}, **more)
    Repo.objects.filter(pk=repo.pk).update(safetensors={"total": 1_000_000})
    return repo


def make_data(owner: Any, name: str = "texts", **more: Any) -> Repo:
    return make_repo(owner, name, repo_type="dataset", files=DATA, **more)


def body(base: Repo, data: Repo, target: str, **more: Any) -> dict[str, Any]:
    return {
        "model": base.full_name,
        "dataset": data.full_name,
        "validation_split": "validation",
        "output": {"repo": target},
        **more,
    }


def ask(client: Any, asked: dict[str, Any], path: str = "/api/v1/finetunes") -> Any:
    return client.post(path, asked, content_type="application/json")


def started(cast: Cast, client: Client, name: str = "tuned", **more: Any) -> Run:
    base = Repo.objects.filter(name="base").first() or make_base(cast.owner)
    data = Repo.objects.filter(name="texts").first() or make_data(cast.owner)
    client.force_login(cast.owner)
    answer = ask(client, body(base, data, f"{cast.owner.username}/{name}", **more))
    assert answer.status_code == 201, answer.content
    return Run.objects.get(pk=answer.json()["id"])


def held(run: Run) -> Run:
    found = leases.claim_run(worker=make_worker())
    assert found == run
    return found


def finish(run: Run, files: dict[str, bytes]) -> Run:
    """Ends a held run with these files, as a worker would leave them."""
    made = []
    for path, content in files.items():
        store().put_bytes(f"runs/{run.pk}/x/output/{path}", content)
        sha256 = hashlib.sha256(content).hexdigest()
        made.append({"path": path, "sha256": sha256, "size_bytes": len(content)})
    scores = {"metrics": [{"name": "accuracy", "value": 0.5}]}
    record = {
        "schema": "test",
        "training": {"steps": 3, "rows": 16, "tokens": 74, "learning_rate": 0.001},
        "results": {"before": scores, "after": scores, "comparison": {}},
    }
    signed = sign_record(record=record)
    outcome = Outcome(
        scores=[Score(metric="accuracy", position=0, value=0.9, n=16)],
        record=record,
        record_digest=signed.digest,
        signature=signed.signature,
        made=MadeFiles(f"runs/{run.pk}/x/output", made),
    )
    leases.start_job(run=run)
    leases.finish_run(run=run, outcome=outcome)
    return Run.objects.with_names().get(pk=run.pk)


MODEL = {"model.safetensors": b"weights" * 500, "config.json": b"{}", "README.md": CARD}


def test_asking_freezes_commits_recipe_and_price(cast: Cast, client: Client) -> None:
    run = started(cast, client, epochs=2, seed=7)
    base, data = run.model_repo, run.dataset
    assert data is not None
    assert run.spec["model"]["commit"] == git_of(base).resolve("main")
    assert run.spec["dataset"]["commit"] == git_of(data).resolve("main")
    assert run.spec["columns"] == {"text": "text", "label": "label"}
    assert run.spec["recipe"] == "text-classification"
    assert (run.spec["training"]["epochs"], run.spec["engine"]["seed"]) == (2, 7)
    # 16 rows of 2 + 10.5 bytes / 4 tokens, twice; read 4 times at a third: all far below a second.
    assert run.estimate_s == pytest.approx(20, abs=0.1)
    assert run.spec["output"]["is_private"] is True


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"columns": {"text": "nope"}}, 201),  # the worker tells it, with the columns there are
        ({"recipe": "dance"}, 400),
        ({"recipe": "image-classification"}, 400),
        ({"epochs": 0}, 400),
        ({"epochs": 101}, 400),
        ({"learning_rate": 2}, 400),
        ({"learning_rate": "fast"}, 400),
        ({"seed": -1}, 400),
        ({"method": "magic"}, 400),
        ({"train_split": "nope"}, 400),
        ({"validation_split": "train"}, 400),
        ({"config": "nope"}, 404),
        ({"data_revision": "nope"}, 404),
        ({"minutes": 100_000}, 400),
        ({"minutes": 61}, 400),  # longer than a run may take
        ({"output": {"repo": "no-slash"}}, 400),
        ({"output": {"repo": "olive/bad name"}}, 400),
        ({"output": {"repo": "guild/../x"}}, 400),
        ({"output": {"repo": "olive/base"}}, 409),
        ({"output": {"repo": "sten/mine"}}, 403),
        ({"output": {"kind": "pull_request", "repo": "olive/nothing"}}, 404),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_waits(
    cast: Cast, client: Client, changes: dict[str, Any], status: int
) -> None:
    base, data = make_base(cast.owner), make_data(cast.owner)
    client.force_login(cast.owner)
    answer = ask(client, body(base, data, "olive/tuned") | changes)
    assert answer.status_code == status, answer.content
    assert Run.objects.exists() is (status == 201)


def test_two_runs_do_not_make_one_repository(cast: Cast, client: Client) -> None:
    run = started(cast, client)
    again = ask(client, body(run.model_repo, run.dataset, "olive/TUNED"))
    assert again.status_code == 409
    cancel_run(run=run, acting_user=cast.owner)
    assert ask(client, body(run.model_repo, run.dataset, "olive/tuned")).status_code == 201


def test_price_is_measured_where_runs_have_finished(cast: Cast, client: Client) -> None:
    run = started(cast, client)
    asked = body(run.model_repo, run.dataset, "olive/next")
    first = ask(client, asked, "/api/v1/finetunes/price").json()
    assert (first["basis"], first["n_runs"], first["parameters"]) == ("guess", 0, 1_000_000)
    done = finish(held(run), MODEL)
    training = {"tokens": 1000, "parameters": 1_000_000, "seconds": {"training": 100.0}}
    Run.objects.filter(pk=done.pk).update(record={"training": training})
    second = ask(client, asked, "/api/v1/finetunes/price").json()
    assert (second["basis"], second["n_runs"]) == ("this_base", 1)
    # 10 tokens a second; 16 rows of 2 + mean("a good film", "a bad film") / 4 = 4.625 tokens are
    # 74, 7.4 s an epoch and a third of that to read 16: 20 + 3 * (7.4 + 2.467) + 2 * 2.467.
    assert second["seconds"] == pytest.approx(54.53, abs=0.01)
    by_time = ask(client, {**asked, "minutes": 1}, "/api/v1/finetunes/price").json()
    assert by_time["seconds"] == 60
    # 60 - 20 - 3 * 2.467 = 32.6 s at 10 tokens a second and 32 * 4.625 = 148 tokens a step: 2.2.
    assert by_time["max_steps"] == 2


def test_rights_over_the_whole_cast(cast: Cast) -> None:
    base = make_base(cast.organization, creator=cast.owner, is_private=True)
    data = make_data(cast.owner)
    for role in ("owner", "member", "reader", "stranger", "anonymous"):
        client = cast.web_client(role)
        user = getattr(cast, role, None)
        own = f"{user.username}/tuned" if user else "nobody/tuned"
        may_read = role in ("owner", "member", "reader")
        expected = 201 if may_read else 404 if user else 401
        answer = ask(client, body(base, data, own))
        assert answer.status_code == expected, (role, answer.content)
        answer = ask(client, body(base, data, "guild/tuned"))
        assert answer.status_code in (
            (201, 409) if role in ("owner", "member") else (403, 404, 401)
        )
    client = cast.web_client("owner")
    for number in range(4):
        answer = ask(client, body(base, data, f"olive/many{number}"))
    assert answer.status_code == 429
    assert "4 fine-tunings" in answer.content.decode()


def test_read_token_starts_nothing(cast: Cast) -> None:
    base, data = make_base(cast.owner), make_data(cast.owner)
    client = cast.api_client("owner", scope="read")
    answer = ask(client, body(base, data, "olive/tuned"))
    assert answer.status_code == 403
    assert not Run.objects.exists()


def test_page_shows_form_and_price_and_starts(cast: Cast, client: Client) -> None:
    base, data = make_base(cast.owner), make_data(cast.owner)
    client.force_login(cast.owner)
    assert data.full_name in client.get(f"{base.url_path}/finetune").content.decode()
    page = client.get(f"{data.url_path}/finetune").content.decode()
    assert f"{base.url_path}/finetune?dataset={data.full_name}".replace("/", "/") in page.replace(
        "%2F", "/"
    )
    address = f"{base.url_path}/finetune?dataset={data.full_name}"
    form = client.get(address).content.decode()
    assert "about 1 minute" in form
    sent = {
        "train_split": "train", "validation_split": "validation", "column_text": "text",
        "column_label": "label", "method": "full", "length": "epochs", "epochs": "1",
        "output": "repo", "owner": cast.owner.username, "name": "tuned",
    }  # fmt: skip
    missing = client.post(address, {**sent, "name": ""})
    assert "Fill in this field." in missing.content.decode()
    price = client.post(address.replace("/finetune?", "/finetune/price?"), sent)
    assert "about 1 minute" in price.content.decode()
    answer = client.post(address, sent)
    run = Run.objects.get()
    assert answer["Location"] == run.url_path
    assert "nothing is kept" in client.get(run.url_path).content.decode()


def test_curves_follow_the_lease_and_forget_what_is_trained_again(
    cast: Cast, client: Client
) -> None:
    run = held(started(cast, client))
    points = [
        CurvePoint(series="train", name="loss", step=step, value=1 / step) for step in (1, 2, 3)
    ]
    add_points(run=run, points=[*points, CurvePoint(series="validation", name="f1", step=2)])
    again = CurvePoint(series="train", name="loss", step=2, value=0.25)
    add_points(run=run, points=[again])
    drop_points_after(run=run, step=2)
    series = client.get(f"/api/v1/runs/{run.pk}/curves").json()["series"]
    assert series == [
        {"series": "train", "name": "loss", "points": [[1, 1.0], [2, 0.25]]},
        {"series": "validation", "name": "f1", "points": [[2, None]]},
    ]
    Run.objects.filter(pk=run.pk).update(lease_token="another")
    with pytest.raises(LeaseLost):
        add_points(run=run, points=[again])
    with pytest.raises(LeaseLost):
        drop_points_after(run=run, step=0)


def put_checkpoint(run: Run, step: int, best: int | None = None) -> str:
    folder = f"runs/{run.pk}/c/{step}"
    store().put_bytes(f"{folder}/state.bin", b"%d" % step)
    sha256 = hashlib.sha256(b"%d" % step).hexdigest()
    files = [{"path": "state.bin", "sha256": sha256, "size_bytes": 1}]
    add_checkpoint(
        run=run, step=step, name=f"step-{step:08d}", folder=folder, files=files, best_step=best
    )
    return f"{folder}/state.bin"


def test_newest_checkpoints_and_the_best_stay(cast: Cast, client: Client) -> None:
    run = held(started(cast, client))
    keys = {step: put_checkpoint(run, step, best=2) for step in (1, 2, 3, 4)}
    assert [c.step for c in run.checkpoints.all()] == [4, 3, 2]
    assert [step for step, key in keys.items() if store().exists(key)] == [2, 3, 4]
    leases.fail_run(run=run, family="cancelled", code="cancelled", message="")
    assert sweep_checkpoints() == 0
    Run.objects.update(finished_at=F("finished_at") - timedelta(days=8))
    assert sweep_checkpoints() == 3
    assert not any(store().exists(key) for key in keys.values())


def test_stopped_run_goes_on_only_from_a_checkpoint(cast: Cast, client: Client) -> None:
    run = held(started(cast, client))
    with pytest.raises(NothingToResume):
        resume_run(run=run, acting_user=cast.owner)
    put_checkpoint(run, 5)
    leases.fail_run(run=run, family="cancelled", code="cancelled", message="")
    page = client.get(run.url_path).content.decode()
    assert "Go on from step 5" in page
    stranger = cast.web_client("stranger")
    assert stranger.post(f"/runs/{run.pk}/resume").status_code == 403
    assert client.post(f"/runs/{run.pk}/resume").status_code == 302
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("queued", 0)
    finish(held(run), MODEL)
    assert sweep_checkpoints() == 1
    with pytest.raises(NothingToResume):
        resume_run(run=run, acting_user=cast.owner)


def test_result_becomes_a_repository_in_the_owners_name(cast: Cast, client: Client) -> None:
    run = finish(held(started(cast, client)), MODEL)
    assert verify_run(run=run).is_valid
    output = publish_output(run=run)
    run.refresh_from_db()
    repo = run.output_repo
    assert (output.state, repo.full_name, repo.is_private) == ("published", "olive/tuned", True)
    assert repo.creator == cast.owner
    git = git_of(repo)
    assert git.resolve("main") == run.output_commit
    entry = git.entry(run.output_commit, "model.safetensors")
    assert entry.lfs.oid == hashlib.sha256(MODEL["model.safetensors"]).hexdigest()
    card = git.read(run.output_commit, "README.md").decode()
    assert card.startswith(CARD.decode().rstrip())
    assert run.url_path in card
    assert not list(store().list(f"runs/{run.pk}/x/output"))
    with pytest.raises(NothingToPublish):
        publish_output(run=run)
    page = client.get(run.url_path).content.decode()
    assert "olive/tuned" in page
    assert "of its own" in page
    other = cast.web_client("stranger").get(run.url_path).content.decode()
    assert "You may not see it" in other


def test_result_becomes_a_pull_request(cast: Cast, client: Client) -> None:
    base = make_base(cast.organization, "base", creator=cast.owner)
    target = {"kind": "pull_request", "repo": base.full_name}
    run = finish(held(started(cast, client, output=target)), MODEL)
    before = git_of(base).resolve("main")
    assert publish_output(run=run).pull_number == 1
    assert git_of(base).resolve("main") == before
    run.refresh_from_db()
    assert git_of(base).ref("refs/pr/1") == run.output_commit


def test_refused_result_is_kept_and_published_elsewhere(cast: Cast, client: Client) -> None:
    run = finish(held(started(cast, client)), MODEL)
    make_repo(cast.owner, "tuned", files={"a": "1"})
    output = publish_output(run=run)
    assert (output.state, run.output_repo) == ("refused", None)
    assert "already" in output.problem
    assert len(list(store().list(f"runs/{run.pk}/x/output"))) == 3
    assert "Nothing is lost" in client.get(run.url_path).content.decode()
    assert sweep_outputs() == 0
    path = f"/runs/{run.pk}/publish"
    assert cast.web_client("stranger").post(path, {"repo": "sten/x"}).status_code == 403
    client.post(path, {"repo": "sten/x"})
    assert Output.objects.get().state == "refused"
    client.post(path, {"repo": "olive/other"})
    run = Run.objects.with_names().get(pk=run.pk)
    assert publish_output(run=run).state == "published"
    assert Repo.objects.filter(name="other").exists()


def test_right_that_was_lost_is_felt_when_publishing(cast: Cast, client: Client) -> None:
    base, data = make_base(cast.owner), make_data(cast.owner)
    member = cast.web_client("member")
    run_id = ask(member, body(base, data, "guild/tuned")).json()["id"]
    run = finish(held(Run.objects.get(pk=run_id)), MODEL)
    cast.organization.memberships.filter(user=cast.member).delete()
    assert publish_output(run=run).state == "refused"
    assert not Repo.objects.filter(name="tuned").exists()


def test_publisher_that_died_is_followed_by_another_without_a_second_commit(
    cast: Cast, client: Client
) -> None:
    run = finish(held(started(cast, client)), MODEL)
    publish_output(run=run)
    run.refresh_from_db()
    commit = run.output_commit
    Output.objects.update(state="publishing", state_since=timezone.now())
    run = Run.objects.with_names().get(pk=run.pk)
    with pytest.raises(NothingToPublish):
        publish_output(run=run)
    Output.objects.update(state_since=timezone.now() - timedelta(hours=1))
    assert publish_output(run=run).state == "published"
    assert git_of(run.output_repo).resolve("main") == commit


def stored(content: bytes, path: str = "a.json") -> dict[str, Any]:
    return {
        "path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }


@pytest.mark.parametrize(
    "lie",
    ["link", "folder link", "pipe", "digest", "size", "climbs", "absolute", "missing", "many"],
)
def test_files_of_a_job_that_lies_are_not_kept(tmp_path: Path, lie: str) -> None:
    import os

    out, scratch, secret = tmp_path / "out", tmp_path / "hidden", tmp_path / "secret.json"
    (out / "model").mkdir(parents=True)
    scratch.mkdir()
    secret.write_bytes(b"secret")
    file, path = stored(b"secret"), out / "model/a.json"
    path.write_bytes(b"secret")
    files = [file]
    if lie == "link":
        path.unlink()
        path.symlink_to(secret)
    elif lie == "folder link":
        path.unlink()
        (out / "model").rmdir()
        (tmp_path / "a.json").write_bytes(b"secret")
        (out / "model").symlink_to(tmp_path)
    elif lie == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif lie == "digest":
        file["sha256"] = "0" * 64
    elif lie == "size":
        file["size_bytes"] = 3
    elif lie in ("climbs", "absolute"):
        file["path"] = "../../secret.json" if lie == "climbs" else str(secret)
    elif lie == "missing":
        path.unlink()
    else:
        files = [stored(b"secret", f"{n}.json") for n in range(201)]
    with pytest.raises(NotWhole):
        keep_files(
            files, source=out, below="model", scratch=scratch, folder="runs/t", max_bytes=1 << 20
        )
    assert not list(store().list("runs/t"))
    assert not list(scratch.iterdir())


def test_kept_files_come_back_whole_or_not_at_all(tmp_path: Path) -> None:
    out, scratch = tmp_path / "out", tmp_path / "hidden"
    (out / "c/deep").mkdir(parents=True)
    scratch.mkdir()
    (out / "c/deep/a.json").write_bytes(b"state")
    files = [stored(b"state", "deep/a.json")]
    kept = keep_files(
        files, source=out, below="c", scratch=scratch, folder="runs/t", max_bytes=1 << 20
    )
    fetch_kept(kept, folder="runs/t", target=tmp_path / "back")
    assert (tmp_path / "back/deep/a.json").read_bytes() == b"state"
    store().put_bytes("runs/t/deep/a.json", b"stale")
    with pytest.raises(NotWhole):
        fetch_kept(kept, folder="runs/t", target=tmp_path / "again")
