"""A full disk and a store that is away: each client is told in its form, nothing is left, and the
same call works once there is room, or the store, again."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import open_pull_request
from hub.models import Repo
from hub.site import git_of, git_path, store
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cas import CasClient
from tests.support.cast import Cast, client_with
from tests.support.deaths import assert_doctor_is_content
from tests.support.factories import commit, make_repo
from tests.support.git import Git
from tests.support.xet import make_shard, make_xorb, noise, split, whole_file

pytestmark = pytest.mark.django_db

MAIN = "refs/heads/main"
MEDIA = "application/vnd.git-lfs+json"
XORB = make_xorb(split(noise(400_000)))
FILE = whole_file(XORB)


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.owner, "thing", files={"a.txt": "one\n"})


class Disk:
    """A small file system, and how to fill it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, *, but: int = 0) -> None:
        free = os.statvfs(self.folder)
        with (self.folder / "ballast").open("wb") as file:
            left = free.f_bavail * free.f_frsize - but
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 16)))

    def clear(self) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


Call = Callable[[Repo, Cast, Path], Any]


def by_commit(repo: Repo, cast: Cast, folder: Path) -> Any:
    lines = [header(), file_line("b.bin", noise(300_000))]
    return HubApi(cast.token("owner")).commit(f"{repo.api_path}/commit/main", lines)


def by_large_commit(repo: Repo, cast: Cast, folder: Path) -> Any:
    lines = [header(), *(file_line(f"{n}.bin", noise(20_000, n)) for n in range(20))]
    return HubApi(cast.token("owner")).commit(f"{repo.api_path}/commit/main", lines)


def by_proposal(repo: Repo, cast: Cast, folder: Path) -> Any:
    lines = [header(), file_line("b.bin", noise(300_000))]
    api = HubApi(cast.token("stranger"))
    return api.commit(f"{repo.api_path}/commit/main?create_pr=1", lines)


def by_creation(repo: Repo, cast: Cast, folder: Path) -> Any:
    return HubApi(cast.token("owner")).post("/api/repos/create", {"name": "fresh"})


def by_duplication(repo: Repo, cast: Cast, folder: Path) -> Any:
    target = {"repository": f"{repo.full_name}-copy"}
    return HubApi(cast.token("owner")).post(f"{repo.api_path}/duplicate", target)


def by_branch(repo: Repo, cast: Cast, folder: Path) -> Any:
    return HubApi(cast.token("owner")).post(f"{repo.api_path}/branch/dev")


def by_merge(repo: Repo, cast: Cast, folder: Path) -> Any:
    return HubApi(cast.token("owner")).post(f"{repo.api_path}/discussions/1/merge")


def by_page(repo: Repo, cast: Cast, folder: Path) -> Any:
    form = {"owner": "olive", "name": "fresh", "repo_type": "model"}
    return cast.web_client("owner").post("/new", form)


def clone_of(repo: Repo, folder: Path) -> Git:
    """With one commit to push."""
    clone = Git(folder / "clone", folder / "home")
    if not clone.folder.exists():
        clone("clone", "--quiet", str(git_path(repo)), ".")
        clone.commit({"p.bin": noise(300_000)})
    return clone


def by_push(repo: Repo, cast: Cast, folder: Path) -> Any:
    clone = clone_of(repo, folder)
    old, new = clone("rev-parse", "origin/main", "HEAD").split()
    line = f"{old} {new} {MAIN}\0report-status".encode()
    body = b"%04x" % (len(line) + 4) + line + b"0000" + clone.pack(new, f"^{old}")
    return client_with(cast.token("owner")).post(
        f"{repo.url_path}.git/git-receive-pack", body,
        content_type="application/x-git-receive-pack-request",
    )  # fmt: skip


def by_xet(repo: Repo, cast: Cast, folder: Path) -> Any:
    return CasClient.for_repo(cast.owner, repo).put_xorb(XORB)


def by_lfs(repo: Repo, cast: Cast, folder: Path) -> Any:
    data = XORB.data()
    asked = {"operation": "upload", "objects": [{"oid": FILE.sha256, "size": len(data)}]}
    batch = client_with(cast.token("owner")).post(
        f"{repo.url_path}.git/info/lfs/objects/batch", json.dumps(asked), content_type=MEDIA
    )
    href = batch.json()["objects"][0]["actions"]["upload"]["href"]
    return Client().put(href, data, content_type="application/octet-stream")


GIT_CALLS = [
    by_commit, by_large_commit, by_proposal, by_creation, by_duplication, by_branch, by_merge,
    by_page, by_push,
]  # fmt: skip
PLACES: list[tuple[str, Call]] = [
    *(("GIT_ROOT", call) for call in GIT_CALLS),
    *(("STAGING_DIR", call) for call in (by_xet, by_lfs)),
    *(("STORAGE_URL", call) for call in (by_xet, by_lfs)),
]


def assert_told(answer: Any, call: Call, code: str, status: int) -> None:
    """In the form of the client that made the call."""
    if call is by_push:
        assert answer.status_code == 200
        assert b"ng refs/heads/main" in answer.getvalue()
        return
    assert answer.status_code == status, answer.content
    assert answer["X-Error-Code"] == code
    if call is by_page:
        assert answer["Content-Type"].startswith("text/html")
    else:
        body = answer.json()
        assert body["message" if call is by_lfs else "error"] == answer["X-Error-Message"]


def state(disk: Disk) -> Any:
    """Rows that changes would leave, and files on the small disk."""
    files = sorted(str(path) for path in disk.folder.rglob("*") if path.is_file())
    counts = list(Repo.objects.values_list("name", "head_sha"))
    return counts, [name for name in files if "ballast" not in name and ".lock" not in name]


@pytest.mark.parametrize(
    ("place", "call"), PLACES, ids=[f"{place}-{call.__name__}" for place, call in PLACES]
)
def test_full_disk(
    disk: Disk, cast: Cast, settings: Any, tmp_path: Path, place: str, call: Call
) -> None:
    is_url = place == "STORAGE_URL"
    setattr(settings, place, f"file://{disk.folder}" if is_url else disk.folder)
    repo = make_repo(cast.owner, "thing", files={"a.txt": "one\n"})
    pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.owner)
    commit(repo, {"b.txt": "new\n"}, ref=pull.head_ref)
    change_status(discussion=pull, status="open", acting_user=cast.owner)
    commit(repo, {"c.txt": "main\n"})
    if call is by_push:
        clone_of(repo, tmp_path)
    before = state(disk)
    disk.fill()
    assert_told(call(repo, cast, tmp_path), call, "StorageFull", 507)
    assert state(disk) == before
    disk.clear()
    again = call(repo, cast, tmp_path)
    assert again.status_code in {200, 201, 302}, again.content
    assert call is not by_push or b"ok refs/heads/main" in again.getvalue()
    repo.refresh_from_db()
    assert git_of(repo).ref(MAIN) == repo.head_sha
    assert_doctor_is_content(repo)


def test_full_disk_of_the_database(cast: Cast, repo: Repo) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL cannot be filled from here")
    api, path = HubApi(cast.token("owner")), f"{repo.api_path}/discussions"
    body = {"title": "T", "description": "word " * 12_000}
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count=1")
    try:
        answers = [api.post(path, body) for _ in range(20)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count=1073741823")
    assert_told(answers[-1], by_commit, "StorageFull", 507)
    assert api.post(path, body).status_code == 200


def test_database_that_others_hold_too_long(cast: Cast, repo: Repo, monkeypatch: Any) -> None:
    def locked(*args: Any, **options: Any) -> None:
        raise OperationalError("database is locked")

    api, path = HubApi(cast.token("owner")), f"{repo.api_path}/discussions"
    body = {"title": "T", "description": "words"}
    with monkeypatch.context() as patch:
        patch.setattr("contributions.models.Discussion.save", locked)
        assert_told(api.post(path, body), by_commit, "DatabaseBusy", 503)
    assert not repo.discussions.exists()
    assert api.post(path, body).status_code == 200


# --- A store that is away --------------------------------------------------------------------


class Bucket:
    """An S3 server that can go away and come back at the same address."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        endpoint = f"http://127.0.0.1:{self.port}"
        request = urllib.request.Request(f"{endpoint}/faults", method="PUT")
        urllib.request.urlopen(request).close()
        keys = "aws_access_key_id=test&aws_secret_access_key=test&aws_region=us-east-1"
        return f"s3://faults/p?{keys}&aws_endpoint={endpoint}"


@pytest.mark.services
def test_store_that_is_away(repo: Repo, cast: Cast, settings: Any, tmp_path: Path) -> None:
    bucket = Bucket()
    settings.STORAGE_URL = bucket.url
    cas = CasClient.for_repo(cast.owner, repo)
    shard = make_shard([FILE], [XORB])
    store()
    bucket.stop()
    for call in (by_xet, by_lfs):
        assert_told(call(repo, cast, tmp_path), call, "StorageUnavailable", 503)
    assert list(Path(settings.STAGING_DIR).iterdir()) == []
    bucket.start()
    assert cas.put_xorb(XORB).status_code == 200
    bucket.stop()
    answer = cas.put_shard(shard)
    assert_told(answer, by_xet, "StorageUnavailable", 503)
    *_, last = cas.shard_events(shard)
    assert (last["type"], last["retryable"]) == ("error", True)
    assert not repo.blob_links.exists()
    bucket.start()
    assert cas.put_shard(shard).status_code == 200
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{FILE.sha256}\n"
    commit(repo, {"x.bin": f"{pointer}size {FILE.terms.size_bytes}\n"})
    url = f"{repo.url_path}/resolve/main/x.bin"
    bucket.stop()
    assert_told(Client().get(url), by_xet, "StorageUnavailable", 503)
    assert Client().head(url)["X-Xet-Hash"]
    bucket.start()
    assert Client().get(url).getvalue() == XORB.data()
    bucket.stop()
