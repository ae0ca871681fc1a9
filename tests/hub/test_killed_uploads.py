"""A server killed at each step of an upload: nothing half done is shown, and the same calls made
again succeed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from hub.actions.blobs import sweep_uploads
from hub.actions.scrub import scrub_storage
from hub.models import Blob, Repo, RepoBlob, RepoXorb, XetFile, Xorb
from hub.site import git_of, store
from hub.xet.content import xorb_key
from hub.xet.hashing import format_hash
from tests.hub.hfapi.conftest import HubApi, header, large_line
from tests.support.cas import CasClient
from tests.support.cast import Cast, client_with
from tests.support.deaths import assert_doctor_is_content, killed_at
from tests.support.factories import make_repo
from tests.support.xet import floats, make_shard, make_xorb, split, whole_file

pytestmark = pytest.mark.django_db(transaction=True)

MEDIA = "application/vnd.git-lfs+json"
OLD_S = 3 * 24 * 3600


def took(answer: Any) -> Any:
    assert answer.status_code == 200, answer.content
    return answer


@dataclass
class Uploader:
    """Somebody with a repository and a file of their own, and what their clients call."""

    cast: Cast
    repo: Repo
    seed: int

    @cached_property
    def xorb(self) -> Any:
        return make_xorb(split(floats(150_000, self.seed), 60_000), scheme=2)

    @cached_property
    def data(self) -> bytes:
        return self.xorb.data()

    @cached_property
    def oid(self) -> str:
        return whole_file(self.xorb).sha256

    def by_xet(self) -> None:
        cas = CasClient.for_repo(self.cast.owner, self.repo)
        took(cas.put_xorb(self.xorb))
        took(cas.put_shard(make_shard([whole_file(self.xorb)], [self.xorb])))
        self._commit()

    def by_lfs(self) -> None:
        self._send_by_lfs("basic")
        self._commit()

    def in_parts(self) -> None:
        self._send_by_lfs("multipart", "basic")
        self._commit()

    def _commit(self) -> None:
        """As the client does it: what is there already is not committed again."""
        api = HubApi(self.cast.token("owner"))
        file = {"path": "a.bin", "size": len(self.data), "sample": ""}
        asked = took(api.post(f"{self.repo.api_path}/preupload/main", {"files": [file]}))
        if asked.json()["files"][0].get("oid") != self.oid:
            lines = [header(), large_line("a.bin", self.oid, len(self.data))]
            took(api.commit(f"{self.repo.api_path}/commit/main", lines))

    def _send_by_lfs(self, *transfers: str) -> None:
        """Batch, bytes, verify."""
        client = client_with(self.cast.token("owner"))
        item = {"oid": self.oid, "size": len(self.data)}
        asked = {"operation": "upload", "objects": [item], "transfers": transfers}
        url = f"{self.repo.url_path}.git/info/lfs/objects/batch"
        batch = took(client.post(url, json.dumps(asked), content_type=MEDIA))
        actions = batch.json()["objects"][0].get("actions")
        if actions:
            self._put(actions["upload"])
            took(client.post(actions["verify"]["href"], json.dumps(item), content_type=MEDIA))

    def _put(self, upload: dict[str, Any]) -> None:
        """The whole, or parts and what joins them."""
        head = upload.get("header", {})
        hrefs = [head[name] for name in sorted(head) if name.isdecimal()]
        size = int(head.get("chunk_size", len(self.data)))
        for number, href in enumerate(hrefs or [upload["href"]]):
            part = self.data[number * size : (number + 1) * size]
            took(Client().put(href, part, content_type="application/octet-stream"))
        if hrefs:
            parts = [{"partNumber": at, "etag": "x"} for at in range(1, len(hrefs) + 1)]
            body = json.dumps({"oid": self.oid, "parts": parts})
            took(Client().post(upload["href"], body, content_type=MEDIA))

    def shown(self) -> bytes | None:
        """What a reader gets: the whole file, or that there is none."""
        answer = Client().get(f"{self.repo.url_path}/resolve/main/a.bin")
        assert answer.status_code in {200, 404}
        return answer.getvalue() if answer.status_code == 200 else None

    def is_uploaded_once(self) -> bool:
        """One commit, one right, one content; rows and git say the same of the head."""
        self.repo.refresh_from_db()
        git = git_of(self.repo)
        head = git.ref("refs/heads/main")
        copies = {self.repo.head_sha, self.repo.refs.get(name="refs/heads/main").commit_sha}
        links = RepoBlob.objects.filter(repo=self.repo)
        is_one = git.count_commits(head) == 2 and [one.blob.sha256 for one in links] == [self.oid]
        return is_one and copies == {head}


@pytest.fixture
def tables(cast: Cast) -> Callable[[str], list[tuple[str, Uploader]]]:
    """For each line of a table of points, an uploader of its own."""

    def rows(text: str) -> list[tuple[str, Uploader]]:
        points = text.strip().splitlines()
        return [
            (point, Uploader(cast, make_repo(cast.owner), seed))
            for seed, point in enumerate(points)
        ]

    return rows


def assert_nothing_is_left(*keys: str) -> None:
    """The store has just these; what waits in the staging folder is swept when it is old."""
    assert sorted(item.key for item in store().list()) == sorted(keys)
    assert scrub_storage(limit=None).damages == []
    staging = Path(settings.STAGING_DIR)
    for path in staging.rglob("*"):
        os.utime(path, (time.time() - OLD_S, time.time() - OLD_S))
    sweep_uploads()
    assert list(staging.iterdir()) == []


XET = """
before hub.xet.xorb.XorbVerifier.finish
before hub.storage.Store.put_new_file
after hub.storage.Store.put_new_file
after hub.actions.xorbs._register
after hub.actions.shards.lock_contents
before hub.actions.shards._index_chunks
after hub.actions.shards._record
after hub.vcs.pack._write_loose #2
after hub.vcs.refs.compare_and_swap
before hub.actions.refs._write_rows
after hub.actions.refs._audit
before hub.actions.metadata.index_repo
after hub.actions.commits.refresh_repo_metadata
"""


def test_upload_by_xet(tables: Any) -> None:
    keys = []
    for point, uploader in tables(XET):
        killed_at(point, uploader.by_xet)
        assert uploader.shown() in {None, uploader.data}, point
        links = RepoXorb.objects.filter(repo=uploader.repo)
        rights = RepoBlob.objects.filter(repo=uploader.repo)
        assert links.exists() == rights.exists(), point
        uploader.by_xet()
        assert_doctor_is_content(uploader.repo)
        assert uploader.shown() == uploader.data, point
        assert uploader.is_uploaded_once(), point
        assert Xorb.objects.get(hash=format_hash(uploader.xorb.hash)).pk == links.get().xorb_id
        assert XetFile.objects.get(sha256=uploader.oid).repo_links.get() == rights.get()
        keys.append(xorb_key(uploader.xorb.hash))
    assert_nothing_is_left(*keys)


LFS = """
after hub.lfs.views.receive
before hub.storage.Store.put_file
after hub.storage.Store.put_file
after hub.actions.blobs.require_room_locked
after hub.lfs.views.register_blob
"""

PARTS = """
before hub.storage.Store.put_file #2
before hub.lfs.completion.register_blob
before hub.lfs.completion.drop_parts
after hub.lfs.completion.drop_parts
"""


@pytest.mark.parametrize(("table", "how"), [(LFS, "by_lfs"), (PARTS, "in_parts")])
def test_upload_by_lfs(tables: Any, settings: Any, table: str, how: str) -> None:
    settings.LFS_PART_BYTES = settings.LFS_SINGLE_PUT_BYTES = 60_000
    left = set()
    for point, uploader in tables(table):
        upload = getattr(uploader, how)
        killed_at(point, upload)
        assert uploader.shown() is None, point
        left |= {item.key for item in store().list("uploads")}
        upload()
        assert_doctor_is_content(uploader.repo)
        assert uploader.shown() == uploader.data, point
        assert uploader.is_uploaded_once(), point
    assert_nothing_is_left(*(blob.store_key for blob in Blob.objects.all()), *left)
