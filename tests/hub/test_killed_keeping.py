"""Work on stored bytes killed at each step: no byte is lost, and the next run finishes it."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from hub.actions.blobs import sweep_uploads
from hub.actions.conversion import convert_repo
from hub.actions.garbage import collect_garbage
from hub.actions.large_files import delete_large_files
from hub.actions.plain_copies import drop_plain_copies, make_plain_copy
from hub.actions.refs import create_branch, delete_branch
from hub.actions.repos import delete_repo
from hub.models import Blob, Repo, RepoBlob, User, XetFile, Xorb
from hub.site import git_of, store
from hub.xet.content import xorb_key
from tests.support.cas import CasClient
from tests.support.deaths import assert_doctor_is_content, killed_at
from tests.support.factories import commit, commit_large, make_repo, make_user
from tests.support.xet import floats, make_shard, make_xorb, split, whole_file

pytestmark = pytest.mark.django_db(transaction=True)

OLD_S = 3 * 24 * 3600
DAY = timedelta(days=1)


@pytest.fixture
def ada() -> User:
    return make_user("ada")


def points(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.strip().splitlines()))


def fetched(repo: Repo, path: str = "a.bin") -> bytes | None:
    answer = Client().get(f"{repo.url_path}/resolve/main/{path}")
    return answer.getvalue() if answer.status_code == 200 else None


def send(user: User, repo: Repo, seed: int, path: str = "a.bin") -> Any:
    """A file by Xet, committed; its xorb."""
    xorb = make_xorb(split(floats(150_000, seed), 60_000), scheme=2)
    file = whole_file(xorb)
    cas = CasClient.for_repo(user, repo)
    assert cas.put_xorb(xorb).status_code == 200
    assert cas.put_shard(make_shard([file], [xorb])).status_code == 200
    size = file.terms.size_bytes
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {size}\n"
    commit(repo, {path: pointer})
    return xorb


def assert_staging_is_swept() -> None:
    staging = Path(settings.STAGING_DIR)
    for path in staging.rglob("*"):
        os.utime(path, (time.time() - OLD_S, time.time() - OLD_S))
    for path in staging.iterdir():
        os.utime(path, (time.time() - OLD_S, time.time() - OLD_S))
    sweep_uploads()
    assert list(staging.iterdir()) == []


CONVERSIONS = """
before hub.actions.conversion.read_encoded
after hub.actions.conversion.store_xorb
after hub.actions.conversion._store
after hub.actions.shards._link_files
before hub.actions.conversion.timezone.now
"""


def test_conversion(ada: User, settings: Any) -> None:
    settings.CONVERT_MIN_BYTES = 1000
    for seed, point in points(CONVERSIONS):
        repo, data = make_repo(ada), floats(400_000, seed)
        commit_large(repo, {"a.bin": data})
        killed_at(point, lambda repo=repo: convert_repo(repo_id=repo.pk))
        assert fetched(repo) == data, point
        convert_repo(repo_id=repo.pk)
        blob = repo.blob_links.get().blob
        assert blob.converted_at is not None, point
        assert repo.blob_links.get().xet_file.sha256 == blob.sha256
        assert fetched(repo) == data, point
        assert_doctor_is_content(repo)
    used = XetFile.objects.count()
    assert used == len(points(CONVERSIONS)) == Blob.objects.count()
    assert_staging_is_swept()


def new_branch(repo: Repo) -> str:
    create_branch(repo=repo, branch="dev", starting_point=None, acting_user=repo.creator)
    return "dev"


COLLECTIONS = """
before hub.actions.garbage._drop_due
before hub.actions.garbage.Blob.delete
before hub.actions.garbage.Xorb.delete
before hub.storage.Store.delete
after hub.storage.Store.delete
after hub.storage.Store.delete #2
after hub.actions.garbage._delete_orphan_xorb
"""


def test_collection(ada: User) -> None:
    """Of two repositories that share a file one goes, and of another the only one: what is needed
    stays, the rest goes in the end, and whoever brings it back is not told that it is there."""
    needed = set()
    for seed, point in points(COLLECTIONS):
        kept, gone = make_repo(ada), make_repo(ada)
        commit_large(kept, {"old.bin": floats(1000, 500 + seed)}, ref=new_branch(kept))
        delete_branch(repo=kept, branch="dev", acting_user=ada)
        shared, single = send(ada, kept, 100 + seed), send(ada, gone, 200 + seed, "only.bin")
        send(ada, gone, 100 + seed)
        commit_large(gone, {"plain.bin": floats(1000, 300 + seed)})
        delete_repo(repo=gone, acting_user=ada)
        now = timezone.now()
        collect_garbage(is_applied=True, now=now + 28 * DAY)
        orphan = make_xorb(split(floats(1000, 400 + seed)))
        assert CasClient.for_repo(ada, kept).put_xorb(orphan).status_code == 200
        Xorb.objects.filter(chunk_count=1, size_bytes=len(orphan.body)).delete()
        late = now + 57 * DAY
        killed_at(point, lambda late=late: collect_garbage(is_applied=True, now=late))
        assert fetched(kept) == shared.data(), point
        assert_doctor_is_content(kept)
        again = make_repo(ada)
        assert send(ada, again, 200 + seed, "only.bin").hash == single.hash
        assert fetched(again, "only.bin") == single.data(), point
        delete_repo(repo=again, acting_user=ada)
        for days in (57, 86, 115):
            collect_garbage(is_applied=True, now=now + days * DAY)
        assert fetched(kept) == shared.data(), point
        needed.add(xorb_key(shared.hash))
        assert {item.key for item in store().list()} == needed, point
        assert_doctor_is_content(kept)


COPIES = """
after hub.actions.plain_copies.receive
before hub.actions.plain_copies._keep_plain
after hub.actions.plain_copies.forget_broken_recipes
"""
DROPS = """
before hub.actions.plain_copies._may_go
after hub.actions.plain_copies._may_go
before hub.storage.Store.delete
after hub.storage.Store.delete
"""


def test_plain_copies(ada: User, settings: Any) -> None:
    for seed, point in points(COPIES):
        repo = make_repo(ada)
        data = send(ada, repo, seed).data()
        blob_id = repo.blob_links.get().blob_id
        killed_at(point, lambda pk=blob_id: make_plain_copy(blob_id=pk))
        assert fetched(repo) == data, point
        make_plain_copy(blob_id=blob_id)
        assert Blob.objects.get(pk=blob_id).is_plain, point
        assert fetched(repo) == data, point
        assert_doctor_is_content(repo)
    assert_staging_is_swept()


def test_plain_copies_that_are_dropped(ada: User) -> None:
    for seed, point in points(DROPS):
        repo = make_repo(ada)
        data = send(ada, repo, seed).data()
        blob = repo.blob_links.get().blob
        make_plain_copy(blob_id=blob.pk)
        long_ago = timezone.now() - 400 * DAY
        Blob.objects.filter(pk=blob.pk).update(plain_read_at=long_ago, converted_at=long_ago)
        killed_at(point, drop_plain_copies)
        assert fetched(repo) == data, point
        Blob.objects.filter(pk=blob.pk).update(plain_read_at=long_ago)
        drop_plain_copies()
        assert not Blob.objects.get(pk=blob.pk).is_plain, point
        assert fetched(repo) == data, point
        assert_doctor_is_content(repo)
        collect_garbage(is_applied=True, now=timezone.now() + 29 * DAY)
        assert not store().exists(blob.store_key), point
        assert fetched(repo) == data, point


FOR_GOOD = """
after hub.vcs.large_files.rewriting.without_large_files
after hub.vcs.refs.compare_and_swap
after hub.vcs.refs.compare_and_swap #2
before hub.actions.large_files.record
before hub.actions.large_files.copy_refs
before hub.actions.large_files.refresh_repo_metadata
"""


def test_deletion_for_good(ada: User) -> None:
    for seed, point in points(FOR_GOOD):
        repo, secret = make_repo(ada), floats(1000, seed)
        commit_large(repo, {"a.bin": secret, "b.bin": floats(1000, 50 + seed)})
        git_of(repo).create_ref("refs/heads/dev", git_of(repo).ref("refs/heads/main"))
        commit(repo, {"later.txt": "x"})
        oid = fetched_oid(repo)

        def delete(repo: Repo = repo, oid: str = oid) -> None:
            if RepoBlob.objects.filter(repo=repo, blob__sha256=oid).exists():
                delete_large_files(
                    repo=repo, oids=[oid], rewrite_history=True, acting_user=repo.creator
                )

        killed_at(point, delete)
        delete()
        assert_doctor_is_content(repo)
        assert oid not in git_of(repo).large_oids(), point
        assert fetched(repo) is None
        assert fetched(repo, "b.bin") is not None
        assert fetched(repo, "later.txt") == b"x"
        assert repo.refs.count() == 2


def fetched_oid(repo: Repo) -> str:
    head = git_of(repo).ref("refs/heads/main")
    pointer = git_of(repo).entry(head, "a.bin").lfs
    assert pointer is not None
    return pointer.oid


def test_bytes_that_never_got_their_key_are_collected(db: None) -> None:
    killed_at(
        "before hub.storage.folder.os.fdatasync", lambda: store().put_bytes("a/b", b"x" * 100)
    )
    [left] = [path for path in store_folder().rglob("*") if path.is_file()]
    assert list(store().list()) == []
    now = timezone.now()
    collect_garbage(is_applied=True, now=now + 27 * DAY)
    assert left.exists(), "somebody may still be writing it"
    collect_garbage(is_applied=True, now=now + 29 * DAY)
    assert not left.exists()
    store().put_bytes("a/b", b"whole")
    assert store().read("a/b") == b"whole"


def store_folder() -> Path:
    return Path(settings.STORAGE_URL.removeprefix("file://"))
