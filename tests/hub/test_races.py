"""Two at once on one repository: nothing that was answered is lost, nothing half done is left."""

from __future__ import annotations

import json
import pkgutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from hub.actions.repos import delete_repo, move_repo
from hub.actions.unfinished import finish_writes
from hub.models import Blob, Repo, RepoBlob
from hub.site import git_of, git_path
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cas import CasClient
from tests.support.cast import Cast, client_with
from tests.support.deaths import assert_doctor_is_content
from tests.support.factories import commit, commit_large, make_repo
from tests.support.git import Git
from tests.support.xet import floats, make_shard, make_xorb, split, whole_file

pytestmark = pytest.mark.django_db(transaction=True)

MAIN = "refs/heads/main"
MEDIA = "application/vnd.git-lfs+json"
XORB = make_xorb(split(floats(3_000_000), 60_000))
FILE = whole_file(XORB)
DATA = XORB.data()


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.owner, "thing", files={"a.txt": "one\n"})


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls gave, each on a thread and a connection of its own."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        try:
            barrier.wait()
            results[index] = calls[index]()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def push_body(git: Git, old: str, new: str) -> bytes:
    line = f"{old} {new} {MAIN}\0report-status".encode()
    return b"%04x" % (len(line) + 4) + line + b"0000" + git.pack(new, f"^{old}")


def push(client: Client, repo: Repo, body: bytes) -> str:
    """What git would read of the ref: "ok", or "ng" with the reason."""
    answer = client.post(
        f"{repo.url_path}.git/git-receive-pack", body,
        content_type="application/x-git-receive-pack-request",
    )  # fmt: skip
    assert answer.status_code == 200
    return answer.getvalue().decode()


def test_push_that_races_a_commit_by_api_loses_neither(
    repo: Repo, cast: Cast, tmp_path: Path
) -> None:
    clone = Git(tmp_path / "clone", tmp_path / "home")
    clone("clone", "--quiet", str(git_path(repo)), ".")
    pusher, api = client_with(cast.token("owner")), HubApi(cast.token("owner"))
    for number in range(4):
        clone("fetch", "--quiet")
        clone("reset", "--quiet", "--hard", "origin/main")
        old, new = clone("rev-parse", "HEAD"), clone.commit({f"push{number}.txt": "x"})
        body = push_body(clone, old, new)
        lines = [header(), file_line(f"api{number}.txt", b"x")]
        report, answer = at_once(
            lambda body=body: push(pusher, repo, body),
            lambda lines=lines: api.commit(f"{repo.api_path}/commit/main", lines),
        )
        assert answer.status_code == 200, answer.content
        head = git_of(repo).ref(MAIN)
        assert git_of(repo).contains(head, answer.json()["commitOid"])
        was_pushed = f"ok {MAIN}" in report
        assert git_of(repo).entries(head, [f"api{number}.txt"])
        assert bool(git_of(repo).entries(head, [f"push{number}.txt"])) is was_pushed
        assert was_pushed or "git fetch first" in report
    assert_doctor_is_content(repo)


# --- Renamed or deleted during a download ----------------------------------------------------


@pytest.fixture
def files(repo: Repo, cast: Cast) -> dict[str, bytes]:
    """One of each way to be stored."""
    plain = floats(2_500_000, seed=5)
    commit_large(repo, {"plain.bin": plain})
    cas = CasClient.for_repo(cast.owner, repo)
    assert cas.put_xorb(XORB).status_code == 200
    assert cas.put_shard(make_shard([FILE], [XORB])).status_code == 200
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{FILE.sha256}\n"
    text = b"line\n" * 300_000
    commit(repo, {"xet.bin": f"{pointer}size {len(DATA)}\n", "text.txt": text})
    return {"plain.bin": plain, "xet.bin": DATA, "text.txt": text}


@pytest.mark.parametrize("what", ["rename", "delete"])
def test_download_ends_whole_and_the_next_is_told(
    repo: Repo, cast: Cast, files: dict[str, bytes], what: str
) -> None:
    urls = {name: f"{repo.url_path}/resolve/main/{name}" for name in files}
    streams = {name: iter(Client().get(url)) for name, url in urls.items()}
    begun = {name: next(stream) for name, stream in streams.items()}
    assert all(len(begun[name]) < len(files[name]) for name in ("plain.bin", "xet.bin"))
    if what == "rename":
        move_repo(repo=repo, namespace=repo.namespace, name="renamed", acting_user=cast.owner)
    else:
        delete_repo(repo=repo, acting_user=cast.owner)
    for name, data in files.items():
        assert begun[name] + b"".join(streams[name]) == data
        again = Client().get(urls[name])
        assert again.status_code == (307 if what == "rename" else 401)
        if what == "rename":
            assert again["Location"] == urls[name].replace("/thing/", "/renamed/")
            assert Client().get(again["Location"]).getvalue() == data


# --- Deleted during an upload ----------------------------------------------------------------


def by_xorb(repo: Repo, cast: Cast) -> list[Any]:
    cas = CasClient.for_repo(cast.owner, repo)
    return [cas.put_xorb(XORB), cas.put_shard(make_shard([FILE], [XORB]))]


def by_lfs(repo: Repo, cast: Cast) -> list[Any]:
    item = {"oid": FILE.sha256, "size": len(DATA)}
    asked = json.dumps({"operation": "upload", "objects": [item]})
    client, url = client_with(cast.token("owner")), f"{repo.url_path}.git/info/lfs/objects/batch"
    batch = client.post(url, asked, content_type=MEDIA)
    href = batch.json()["objects"][0]["actions"]["upload"]["href"]
    return [Client().put(href, DATA, content_type="application/octet-stream")]


def by_commit(repo: Repo, cast: Cast) -> list[Any]:
    lines = [header(), file_line("b.txt", b"x")]
    return [HubApi(cast.token("owner")).commit(f"{repo.api_path}/commit/main", lines)]


def by_proposal(repo: Repo, cast: Cast) -> list[Any]:
    lines = [header(), file_line("b.txt", b"x")]
    api = HubApi(cast.token("owner"))
    return [api.commit(f"{repo.api_path}/commit/main?create_pr=1", lines)]


def by_branch(repo: Repo, cast: Cast) -> list[Any]:
    return [HubApi(cast.token("owner")).post(f"{repo.api_path}/branch/dev")]


UPLOADS: list[tuple[Any, str]] = [
    (by_xorb, "hub.xet.views.store_xorb"),
    (by_xorb, "hub.actions.shards._record"),
    (by_lfs, "hub.lfs.views.receive"),
    (by_lfs, "hub.lfs.views.register_blob"),
    (by_commit, "hub.hfapi.views.commit.branch_ref"),
    (by_commit, "hub.hfapi.views.commit.commit_files"),
    (by_commit, "hub.actions.commits.check_takes_commits"),
    (by_commit, "hub.actions.commits.copy_refs"),
    (by_commit, "hub.actions.commits.refresh_repo_metadata"),
    (by_proposal, "hub.actions.commits.pull_requests"),
    (by_branch, "hub.actions.refs.validate_ref_name"),
    (by_branch, "hub.actions.refs.copy_refs"),
]


@pytest.mark.parametrize(
    ("upload", "point"), UPLOADS, ids=lambda part: getattr(part, "__name__", part)
)
def test_upload_to_a_repository_that_is_deleted_meanwhile(
    repo: Repo, cast: Cast, monkeypatch: pytest.MonkeyPatch, upload: Any, point: str
) -> None:
    module, _, name = point.rpartition(".")

    original, calls = pkgutil.resolve_name(point), []

    def late(*args: Any, **kwargs: Any) -> Any:
        if not calls:
            calls.append(1)
            thread = threading.Thread(target=remove)
            thread.start()
            thread.join()
        return original(*args, **kwargs)

    def remove() -> None:
        try:
            delete_repo(repo=Repo.objects.get(pk=repo.pk), acting_user=cast.owner)
        finally:
            connections.close_all()

    monkeypatch.setattr(pkgutil.resolve_name(module), name, late)
    answers = upload(repo, cast)
    assert calls
    assert answers[-1].status_code == 404, answers[-1].content
    assert answers[-1]["X-Error-Code"] in {"RepoNotFound", "RevisionNotFound"}
    assert not Repo.objects.filter(pk=repo.pk).exists()
    assert not RepoBlob.objects.exists()
    finish_writes()
    assert not git_path(repo).exists()
    again = upload(make_repo(cast.owner, "thing", files={"a.txt": "one\n"}), cast)
    assert all(answer.status_code in {200, 201} for answer in again)
    assert_doctor_is_content()
    assert Blob.objects.count() <= 1
