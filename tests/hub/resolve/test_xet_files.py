"""Files that are stored as Xet chunks, read by plain HTTP."""

import hashlib

import pytest

from hub.actions.shards import register_shard
from hub.actions.xorbs import store_xorb
from hub.content import open_content
from hub.models import Blob
from hub.site import git_of, store
from hub.vcs import AddPointer
from hub.xet.hashing import format_hash
from tests.support.factories import make_repo
from tests.support.xet import make_shard, make_xorb, noise, split, whole_file

DATA = noise(700_000, seed=3)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Body:
    def __init__(self, data):
        self.data = data
        self.announced_bytes = len(data)

    def read(self, size=-1):
        size = len(self.data) if size < 0 else size
        part, self.data = self.data[:size], self.data[size:]
        return part


@pytest.fixture
def repo(cast):
    repo = cast.public_repo()
    send(cast, repo)
    return repo


def send(cast, repo):
    xorb = make_xorb(split(DATA))
    store_xorb(xorb_hash=format_hash(xorb.hash), body=Body(xorb.body))
    for _ in register_shard(repo=repo, data=make_shard([whole_file(xorb)], [xorb])):
        pass


@pytest.fixture
def sha(cast, repo):
    from hub.actions.commits import commit_files

    operations = [AddPointer("m.bin", SHA256, len(DATA))]
    return commit_files(
        repo=repo,
        ref="refs/heads/main",
        operations=operations,
        message="m",
        acting_user=cast.owner,
    ).commit_sha


def test_head_offers_xet_to_clients_that_know_it(cast, repo, sha, settings):
    settings.PUBLIC_URL = "https://hub.example"
    response = cast.api_client("stranger").head(f"{repo.url_path}/resolve/main/m.bin")
    assert response.status_code == 200
    assert response["ETag"] == response["X-Linked-Etag"] == f'"{SHA256}"'
    assert response["Content-Length"] == response["X-Linked-Size"] == str(len(DATA))
    assert response["X-Xet-Hash"] == format_hash(whole_file(make_xorb(split(DATA))).file_hash)
    assert response["Link"] == (
        f'<https://hub.example/api/models/guild/open-model/xet-read-token/{sha}>; rel="xet-auth"'
    )


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [(None, 0, len(DATA)), ("bytes=0-0", 0, 1), ("bytes=65530-131080", 65530, 131081),
     ("bytes=-5", len(DATA) - 5, len(DATA)), ("bytes=699999-", 699_999, len(DATA))],
)  # fmt: skip
def test_plain_get_puts_the_file_together(cast, repo, sha, header, start, end):
    headers = {"range": header} if header else {}
    client = cast.api_client("stranger")
    response = client.get(f"{repo.url_path}/resolve/main/m.bin", headers=headers)
    assert response.status_code == (206 if header else 200)
    assert response.getvalue() == DATA[start:end]
    assert response["Content-Length"] == str(end - start)
    assert response["X-Repo-Commit"] == sha


def test_content_that_lies_plain_too_is_read_plain(cast, repo, sha):
    blob = Blob.objects.get(sha256=SHA256)
    store().put_bytes(blob.store_key, DATA)
    Blob.objects.filter(pk=blob.pk).update(is_plain=True)
    content = open_content(repo, sha, "m.bin")
    assert content.xet_hash is not None
    assert content.store_key == blob.store_key
    assert content.read() == DATA


def test_lost_plain_copy_is_made_up_for_by_the_chunks(cast, repo, sha):
    Blob.objects.filter(sha256=SHA256).update(is_plain=True)
    assert open_content(repo, sha, "m.bin").read() == DATA


def test_repository_without_the_right_gets_nothing(cast, repo, sha):
    other = make_repo(cast.stranger, "thief")
    author = git_of(repo).commit_info(sha).author
    pointer = AddPointer("m.bin", SHA256, len(DATA))
    git_of(other).commit("refs/heads/main", [pointer], message="m", author=author)
    response = cast.api_client("stranger").get(f"{other.url_path}/resolve/main/m.bin")
    assert (response.status_code, response["X-Error-Code"]) == (404, "EntryNotFound")


def test_download_by_lfs_works_for_xet_content(cast, repo, sha):
    import json

    client = cast.api_client("anonymous")
    body = {"operation": "download", "objects": [{"oid": SHA256, "size": len(DATA)}]}
    answer = client.post(
        f"{repo.url_path}.git/info/lfs/objects/batch",
        json.dumps(body),
        content_type="application/vnd.git-lfs+json",
    )
    href = answer.json()["objects"][0]["actions"]["download"]["href"]
    response = client.get(href.removeprefix("http://testserver"))
    assert response.getvalue() == DATA
