"""Quotas: what counts, who is refused at which door, and that nothing is left of a refusal."""

from __future__ import annotations

import base64
import hashlib
import json
import threading

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from hub.actions.blobs import register_blob
from hub.actions.commits import commit_files
from hub.actions.quotas import measure_new_repos, measure_repo, set_quota
from hub.actions.repos import move_repo
from hub.errors import InvalidInput, QuotaExceeded
from hub.models import AuditEntry, Blob, Namespace, Repo, RepoBlob, XetFile, Xorb
from hub.quotas import Quota, quota_of
from hub.storage import Received
from hub.vcs import AddFile
from tests.support.cas import CasClient
from tests.support.cast import client_with
from tests.support.factories import (
    commit,
    commit_large,
    make_organization,
    make_repo,
    make_token,
    make_user,
    store_blob,
)
from tests.support.xet import make_shard, make_xorb, noise, split, whole_file

pytestmark = pytest.mark.django_db

KIB = 1024


@pytest.fixture
def ada():
    return make_user("ada")


@pytest.fixture
def repo(ada):
    return make_repo(ada, "m")


@pytest.fixture
def http(ada):
    return client_with(make_token(ada))


def limit(user, size: int) -> None:
    user.namespace.quota_bytes = size
    user.namespace.save()


def batch(http, *sizes: int, oids: tuple[str, ...] = ()):
    names = oids or tuple(f"{at:064x}" for at in range(len(sizes)))
    objects = [{"oid": oid, "size": size} for oid, size in zip(names, sizes, strict=True)]
    body = {"operation": "upload", "transfers": ["basic"], "objects": objects}
    answer = http.post(
        "/ada/m.git/info/lfs/objects/batch", json.dumps(body), content_type="application/json"
    )
    assert answer.status_code == 200, answer.content
    return answer.json()["objects"]


@given(st.integers(0, 1 << 50), st.none() | st.integers(0, 1 << 50), st.integers(-5, 1 << 50))
def test_room_is_what_is_left(used, allowed, more):
    quota = Quota("ada", used, allowed)
    if more <= 0 or allowed is None:
        assert quota.has_room_for(more), "what adds nothing is never refused"
    else:
        assert quota.has_room_for(more) == (used + more <= allowed)
    assert 0 <= quota.percent <= 100


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [(0, None, None), (500, None, 500), (500, 7, 7), (500, -1, None), (0, 0, 0)],
)
def test_own_quota_goes_before_the_default(ada, settings, default, own, expected):
    settings.QUOTA_BYTES = default
    ada.namespace.quota_bytes = own
    assert quota_of(ada.namespace).limit_bytes == expected


def test_charged_is_the_owner_for_each_repository_and_revision(ada, repo):
    blob = b"x" * KIB
    commit_large(repo, {"a.bin": blob})
    commit_large(repo, {"b.bin": blob, "a.bin": b"y" * KIB})
    commit_large(make_repo(ada, "other"), {"a.bin": blob})
    measure_repo(repo_id=repo.pk)
    repo.refresh_from_db()
    assert repo.git_bytes > 0
    assert quota_of(ada.namespace).used_bytes == 3 * KIB + repo.git_bytes
    assert measure_new_repos() == 1


def test_lfs_batch_refuses_the_objects_that_do_not_fit(ada, repo, http):
    held = store_blob(repo, b"z" * 100)
    limit(ada, 1000)
    there, first, second, small = batch(
        http, 100, 600, 600, 300, oids=(held.sha256, "1" * 64, "2" * 64, "3" * 64)
    )
    assert "error" not in there
    errors = [item for item in (first, second, small) if "error" in item]
    [error] = errors
    assert error["error"]["code"] == 413
    assert "may hold 1000 bytes" in error["error"]["message"]
    assert error["size"] == 600


def test_lfs_bytes_that_came_second_are_not_registered(ada, repo, settings):
    """Two uploads were let in; together they are too much."""
    limit(ada, 1000)

    def send(content: bytes):
        path = settings.STAGING_DIR / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        name = hashlib.sha256(content).hexdigest()
        register_blob(repo=repo, received=Received(path, len(content), name))

    send(b"a" * 600)
    with pytest.raises(QuotaExceeded):
        send(b"b" * 600)
    assert RepoBlob.objects.count() == 1
    assert Blob.objects.count() == 1
    send(b"a" * 600)
    send(b"c" * 400)
    assert quota_of(repo.namespace).used_bytes == 1000


def test_xet_refuses_xorbs_of_the_full_and_shards_that_do_not_fit(ada, repo):
    xorb, other = make_xorb(split(noise(70_000))), make_xorb(split(noise(60_000, 2)))
    limit(ada, 100_000)
    cas = CasClient.for_repo(ada, repo)
    assert cas.put_xorb(xorb).status_code == 200
    assert cas.put_xorb(other).status_code == 200
    assert cas.put_shard(make_shard([whole_file(xorb)], [xorb])).status_code == 200
    last = cas.shard_events(make_shard([whole_file(other)], [other]))[-1]
    assert last["type"] == "error"
    assert "do not fit" in last["message"]
    assert last["retryable"] is False
    assert cas.put_shard(make_shard([whole_file(other)], [other])).status_code == 413
    assert XetFile.objects.count() == RepoBlob.objects.count() == 1
    assert cas.put_shard(make_shard([whole_file(xorb)], [xorb])).status_code == 200, "adds nothing"

    limit(ada, 70_000)
    assert cas.put_xorb(make_xorb(split(noise(50_000, 3)))).status_code == 413
    assert Xorb.objects.count() == 2


def preupload(http, *files: tuple[str, int]):
    sample = base64.b64encode(b"\0").decode()
    body = {"files": [{"path": p, "size": size, "sample": sample} for p, size in files]}
    return http.post(
        "/api/models/ada/m/preupload/main", json.dumps(body), content_type="application/json"
    )


def test_preupload_says_so_before_a_byte_flows(ada, repo, http):
    commit_large(repo, {"a.bin": b"a" * 900})
    limit(ada, 1000)
    refused = preupload(http, ("b.bin", 200))
    assert refused.status_code == 413
    assert refused["X-Error-Code"] == "QuotaExceeded"
    assert "ask the operator" in refused["X-Error-Message"]
    assert preupload(http, ("b.bin", 100)).status_code == 200
    assert preupload(http, ("a.bin", 900)).status_code == 200, "it is there already"
    assert preupload(http, ("moved.bin", 900)).status_code == 200, "it was sent before"


def test_commit_of_regular_files_is_refused_whole(ada, repo):
    limit(ada, 1000)
    head = repo.refs.get(name="refs/heads/main").commit_sha
    operation = AddFile("a.txt", b"a" * 2000)
    with pytest.raises(QuotaExceeded):
        commit_files(repo=repo, ref="main", operations=[operation], message="m", acting_user=ada)
    assert repo.refs.get(name="refs/heads/main").commit_sha == head
    commit(repo, {"a.txt": "a" * 900})


def test_full_owner_may_still_read_delete_and_commit_nothing_new(ada, repo, http):
    from hub.vcs import DeleteFile

    commit_large(repo, {"a.bin": b"a" * 900})
    limit(ada, 0)
    assert http.head("/ada/m/resolve/main/a.bin").status_code == 200
    operation = DeleteFile("a.bin")
    commit_files(repo=repo, ref="main", operations=[operation], message="m", acting_user=ada)


def test_organisation_pays_for_its_members(ada, http):
    org = make_organization("lab", admin=ada)
    limit(ada, 0)
    repo = make_repo(org, "m", creator=ada)
    commit_large(repo, {"a.bin": b"a" * 900})
    assert quota_of(ada.namespace).used_bytes == 0
    assert quota_of(org.namespace).used_bytes == 900


def test_transfer_to_a_full_owner_is_refused(ada, repo):
    org = make_organization("lab", admin=ada)
    Namespace.objects.filter(organization=org).update(quota_bytes=100)
    commit_large(repo, {"a.bin": b"a" * 900})
    target = Namespace.objects.get(organization=org)
    with pytest.raises(QuotaExceeded):
        move_repo(repo=repo, namespace=target, name="m", acting_user=ada)
    assert Repo.objects.get(pk=repo.pk).namespace == ada.namespace
    move_repo(repo=repo, namespace=ada.namespace, name="renamed", acting_user=ada)


def test_quota_is_set_by_an_action_that_is_written_down(ada):
    boss = make_user("boss", is_maintainer=True)
    set_quota(namespace=ada.namespace, quota_bytes=7, acting_user=boss)
    entry = AuditEntry.objects.get(verb="quota.changed")
    assert (entry.actor, entry.target) == (boss, "ada")
    with pytest.raises(InvalidInput):
        set_quota(namespace=ada.namespace, quota_bytes=-2, acting_user=boss)


class TestPages:
    @pytest.fixture
    def site(self, ada, repo):
        org = make_organization("lab", admin=ada)
        commit_large(repo, {"a.bin": b"a" * 2048})
        limit(ada, 4096)
        Namespace.objects.filter(organization=org).update(quota_bytes=0)
        return {"ada": ada, "stranger": make_user("stranger")}

    @pytest.mark.parametrize(
        ("who", "path", "is_shown"),
        [
            ("ada", "/ada", True),
            ("ada", "/settings/profile", True),
            ("ada", "/lab", True),
            ("ada", "/organizations/lab/settings", True),
            ("stranger", "/ada", False),
            ("stranger", "/lab", False),
            (None, "/ada", False),
            (None, "/lab", False),
        ],
    )
    def test_meter_is_for_those_it_concerns(self, site, who, path, is_shown):
        client = Client()
        if who:
            client.force_login(site[who])
        page = client.get(path)
        assert page.status_code == 200
        assert (b"quota-title" in page.content) == is_shown

    def test_meter_says_how_full_it_is(self, site):
        client = Client()
        client.force_login(site["ada"])
        text = " ".join(client.get("/ada").content.decode().replace("\xa0", " ").split())
        assert "2.0 KB of 4.0 KB (50 %)" in text
        assert 'value="50"' in text
        assert "The quota is used up" in client.get("/lab").content.decode()

    def test_maintainer_changes_a_quota_in_the_admin(self, site):
        boss = make_user("boss", is_maintainer=True)
        client = Client()
        client.force_login(boss)
        pk = site["ada"].namespace.pk
        answer = client.post(f"/admin/hub/namespace/{pk}/change/", {"quota_bytes": "123"})
        assert answer.status_code == 302, answer.content
        assert Namespace.objects.get(pk=pk).quota_bytes == 123
        assert AuditEntry.objects.filter(verb="quota.changed").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_shards_at_once_the_second_sees_what_the_first_added(ada, repo):
    xorbs = [make_xorb(split(noise(70_000, seed))) for seed in (1, 2)]
    limit(ada, 100_000)
    cas = CasClient.for_repo(ada, repo)
    for xorb in xorbs:
        assert cas.put_xorb(xorb).status_code == 200
    gate, answers = threading.Barrier(2), []

    def send(xorb):
        try:
            body = make_shard([whole_file(xorb)], [xorb])
            gate.wait(30)
            answers.append(cas.put_shard(body).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=[xorb]) for xorb in xorbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [200, 413]
    assert RepoBlob.objects.count() == 1
