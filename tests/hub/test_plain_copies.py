"""Plain copies of what is stored as chunks: made by the first plain download, kept while used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from hub import tasks
from hub.actions import plain_copies
from hub.actions.plain_copies import drop_plain_copies, make_plain_copy
from hub.actions.scrub import scrub_storage
from hub.models import Blob, Repo
from hub.site import store
from hub.xet.content import xorb_key
from hub.xet.errors import FormatError
from tests.support.cas import CasClient
from tests.support.factories import commit, make_repo, make_user
from tests.support.xet import floats, make_shard, make_xorb, split, whole_file

pytestmark = pytest.mark.django_db

XORB = make_xorb(split(floats(400_000), 60_000), scheme=2)
FILE = whole_file(XORB)
DATA = XORB.data()
URL = "/ada/m/resolve/main/a.bin"


@pytest.fixture
def repo() -> Repo:
    """A repository with a file that came by Xet."""
    cache.clear()
    ada = make_user("ada")
    made = make_repo(ada, "m")
    cas = CasClient.for_repo(ada, made)
    assert cas.put_xorb(XORB).status_code == 200
    assert cas.put_shard(make_shard([FILE], [XORB])).status_code == 200
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{FILE.sha256}\nsize {len(DATA)}\n"
    )
    commit(made, {"a.bin": pointer})
    return made


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the worker was asked to do."""
    calls: list[Any] = []
    monkeypatch.setattr(plain_copies, "ring", lambda task, *ids: calls.append((task.name, *ids)))
    return calls


def fetch(**headers: str) -> bytes:
    return Client().get(URL, headers=headers).getvalue()


def test_the_first_plain_download_asks_for_a_copy_and_the_next_is_served_from_it(
    repo: Repo, rung: list[Any]
) -> None:
    blob = Blob.objects.get()
    assert fetch() == DATA
    assert fetch() == DATA
    assert rung == [(tasks.make_plain_copy.name, blob.pk)], "asked once, not at each download"
    assert make_plain_copy(blob_id=blob.pk)
    assert not make_plain_copy(blob_id=blob.pk), "a ring that comes twice does no harm"
    blob.refresh_from_db()
    assert blob.is_plain
    assert b"".join(store().stream(blob.store_key)) == DATA
    head = Client().head(URL)
    assert head["X-Xet-Hash"], "Xet clients go on reading chunks"
    assert fetch() == DATA
    assert fetch(range="bytes=100-199") == DATA[100:200]


def test_ranges_and_heads_ask_for_none(repo: Repo, rung: list[Any]) -> None:
    fetch(range="bytes=0-9")
    Client().head(URL)
    assert rung == []


def test_a_copy_goes_when_nobody_fetched_it_for_long(repo: Repo, settings: Any) -> None:
    blob = Blob.objects.get()
    assert make_plain_copy(blob_id=blob.pk)
    Blob.objects.update(converted_at=timezone.now() - timedelta(days=2))
    assert drop_plain_copies() == 0
    Blob.objects.update(plain_read_at=timezone.now() - timedelta(days=settings.PLAIN_COPY_DAYS + 1))
    assert fetch() == DATA, "a download that comes in time keeps it"
    assert drop_plain_copies() == 0
    Blob.objects.update(plain_read_at=timezone.now() - timedelta(days=settings.PLAIN_COPY_DAYS + 1))
    assert drop_plain_copies() == 1
    assert not store().exists(blob.store_key)
    assert fetch() == DATA


def test_damaged_chunks_give_no_copy(repo: Repo) -> None:
    key = xorb_key(XORB.hash)
    path = store().local_path(key)
    assert path is not None
    damaged = bytearray(path.read_bytes())
    damaged[5000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FormatError):
        make_plain_copy(blob_id=Blob.objects.get().pk)
    assert not Blob.objects.get().is_plain
    assert not store().exists(Blob.objects.get().store_key)


def test_the_copy_stays_where_the_chunks_were_damaged_meanwhile(repo: Repo) -> None:
    blob = Blob.objects.get()
    assert make_plain_copy(blob_id=blob.pk)
    Blob.objects.update(converted_at=timezone.now() - timedelta(days=2), plain_read_at=None)
    path = store().local_path(xorb_key(XORB.hash))
    assert path is not None
    seen = list(Blob.objects.all())
    path.unlink()
    scrub_storage(limit=None)
    assert not any(map(plain_copies._drop_plain, seen)), "it looked before the scrub"
    assert fetch() == DATA


def test_no_row_speaks_of_a_copy_that_was_deleted_meanwhile(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.storage.Store.put_file", lambda self, key, path: None)
    assert not make_plain_copy(blob_id=Blob.objects.get().pk)
    assert not Blob.objects.get().is_plain


def test_switched_off_nothing_is_asked_for(repo: Repo, rung: list[Any], settings: Any) -> None:
    settings.PLAIN_COPY_DAYS = 0
    assert fetch() == DATA
    assert rung == []


def test_no_copy_where_the_disk_is_nearly_full(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_copies, "_has_room", lambda size_bytes: False)
    assert not make_plain_copy(blob_id=Blob.objects.get().pk)
    assert not Blob.objects.get().is_plain
