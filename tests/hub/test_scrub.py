"""Scrub over a real store: flipped bits are found, hidden from readers, and healed by an upload."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client

from config.doctor import Level, check_content
from hub.actions.blobs import register_blob
from hub.actions.commits import commit_files, linked_sizes
from hub.actions.garbage import collect_garbage
from hub.actions.scrub import scrub_storage
from hub.models import Blob, Xorb
from hub.site import store
from hub.storage import Received
from hub.storage.errors import StorageUnavailable
from hub.vcs import AddPointer
from hub.xet.content import xorb_key
from tests.support.cas import CasClient
from tests.support.factories import commit_large, make_repo, make_user
from tests.support.xet import make_file, make_shard, make_xorb, noise, split, whole_file

pytestmark = pytest.mark.django_db

URL = "/ada/m/resolve/main/{}"


@pytest.fixture
def ada():
    return make_user("ada")


@pytest.fixture
def repo(ada):
    return make_repo(ada, "m")


@pytest.fixture
def xorb(ada, repo):
    """A file x.bin over Xet."""
    made = make_xorb(split(noise(200_000)))
    cas = CasClient.for_repo(ada, repo)
    assert cas.put_xorb(made).status_code == 200
    assert cas.put_shard(make_shard([whole_file(made)], [made])).status_code == 200
    operation = AddPointer("x.bin", whole_file(made).sha256, 200_000)
    commit_files(repo=repo, ref="main", operations=[operation], message="Add", acting_user=ada)
    return made


@pytest.fixture
def plain(repo):
    """A file p.bin over LFS."""
    commit_large(repo, {"p.bin": b"plain" * 1000})
    return Blob.objects.get(is_plain=True)


def flip(key: str, at: int) -> None:
    path = store().local_path(key)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def get(name: str):
    return Client().get(URL.format(name))


def body_of(answer) -> bytes:
    """All of an answer; the file behind it is closed, but not the connection to the database."""
    data = answer.getvalue()
    if file := getattr(answer, "file_to_stream", None):
        file.close()
    return data


def test_sound_store_is_found_sound_and_looked_at_in_turn(xorb, plain):
    assert scrub_storage(limit=1).checked_count == 1
    assert scrub_storage(limit=1).checked_count == 1
    assert Xorb.objects.get().scrubbed_at is not None
    assert Blob.objects.get(is_plain=True).scrubbed_at is not None
    done = scrub_storage(limit=None)
    assert (done.checked_count, done.damages) == (2, [])
    assert [finding.level for finding in check_content()] == [Level.OK]


@pytest.mark.parametrize("at", [0, 5, 100_000, -1, -10, -400])
def test_flipped_bit_of_a_xorb_is_found_hidden_and_healed(ada, repo, xorb, at):
    """In a header, in a payload, in the trailer, in the index."""
    data_url = _data_url(ada, repo, xorb)
    flip(xorb_key(xorb.hash), at)
    [damage] = scrub_storage(limit=None).damages
    assert damage.key == xorb_key(xorb.hash)
    assert not store().exists(damage.key)
    assert store().exists(f"quarantine/{damage.key}")
    [finding] = check_content()
    assert finding.level == Level.FAIL
    assert "set aside" in finding.text

    answer = get("x.bin")
    assert (answer.status_code, answer["X-Error-Code"]) == (410, "ContentDamaged")
    cas = CasClient.for_repo(ada, repo)
    assert cas.reconstruction(whole_file(xorb).file_hash).status_code == 410
    assert Client().get(data_url, headers={"range": "bytes=0-99"}).status_code == 410
    assert cas.query_chunk(xorb.index.hash_at(0)).status_code == 404
    refused = cas.shard_events(make_shard([whole_file(xorb)]))[-1]
    assert refused["type"] == "error"
    assert "Xet cache" in refused["message"]
    assert linked_sizes(repo, [whole_file(xorb).sha256]) == {}

    assert cas.put_xorb(xorb).json() == {"was_inserted": True}
    assert body_of(get("x.bin")) == xorb.data()
    assert cas.reconstruction(whole_file(xorb).file_hash).status_code == 200
    assert cas.query_chunk(xorb.index.hash_at(0)).status_code == 200
    assert [finding.level for finding in check_content()] == [Level.OK]
    assert scrub_storage(limit=None).damages == []


def _data_url(ada, repo, xorb) -> str:
    answer = CasClient.for_repo(ada, repo).reconstruction(whole_file(xorb).file_hash)
    [(_, [fetch])] = answer.json()["xorbs"].items()
    return str(fetch["url"])


def test_xorb_healed_by_another_compression_is_read_by_its_new_index(ada, repo, xorb):
    """The same chunks, stored at other offsets: nothing of the old list may be used."""
    assert body_of(get("x.bin")) == xorb.data()
    flip(xorb_key(xorb.hash), 100)
    scrub_storage(limit=None)
    other = make_xorb(xorb.chunks, scheme=1)
    assert other.hash == xorb.hash
    assert len(other.body) != len(xorb.body)
    CasClient.for_repo(ada, repo).put_xorb(other)
    assert body_of(get("x.bin")) == xorb.data()
    assert Xorb.objects.get().size_bytes == len(other.body)


def test_file_sent_again_in_other_xorbs_is_read_from_those(ada, repo, xorb):
    """The same chunks cut into two xorbs: the recipe names what has come now."""
    flip(xorb_key(xorb.hash), 100)
    scrub_storage(limit=None)
    half = len(xorb.chunks) // 2
    parts = [make_xorb(xorb.chunks[:half]), make_xorb(xorb.chunks[half:])]
    file = make_file(*((part, 0, len(part.chunks)) for part in parts))
    assert file.file_hash == whole_file(xorb).file_hash
    cas = CasClient.for_repo(ada, repo)
    for part in parts:
        cas.put_xorb(part)
    assert cas.put_shard(make_shard([file], parts)).status_code == 200
    assert body_of(get("x.bin")) == xorb.data()
    assert cas.reconstruction(file.file_hash).status_code == 200


def test_damaged_chunks_sent_again_by_lfs_are_announced_no_more(ada, repo, xorb):
    flip(xorb_key(xorb.hash), 100)
    scrub_storage(limit=None)
    sha256 = whole_file(xorb).sha256
    path = Path(settings.STAGING_DIR) / "recv-again"
    path.write_bytes(xorb.data())
    register_blob(repo=repo, received=Received(path, 200_000, sha256))
    answer = get("x.bin")
    assert body_of(answer) == xorb.data()
    assert "X-Xet-Hash" not in answer
    assert Blob.objects.get(sha256=sha256).converted_at is None


def test_what_is_set_aside_is_kept_for_the_grace(xorb):
    key = xorb_key(xorb.hash)
    flip(key, 100)
    os.utime(store().local_path(key), (1, 1))
    scrub_storage(limit=None)
    collect_garbage(is_applied=True)
    assert store().exists(f"quarantine/{key}")


def test_damaged_plain_copy_is_hidden_and_healed_by_lfs(repo, plain):
    flip(plain.store_key, 17)
    assert len(scrub_storage(limit=None).damages) == 1
    assert get("p.bin").status_code == 410
    assert linked_sizes(repo, [plain.sha256]) == {}, "a client is asked to send it again"
    path = Path(settings.STAGING_DIR) / "recv-again"
    path.write_bytes(b"plain" * 1000)
    register_blob(repo=repo, received=Received(path, 5000, plain.sha256))
    assert body_of(get("p.bin")) == b"plain" * 1000
    assert [finding.level for finding in check_content()] == [Level.OK]


def test_lost_plain_copy_counts_as_damage(plain):
    store().delete(plain.store_key)
    assert [finding.level for finding in check_content()] == [Level.FAIL]
    assert len(scrub_storage(limit=None).damages) == 1
    assert get("p.bin").status_code == 410


def test_content_with_another_whole_copy_is_served_on(ada, repo):
    """Sent by LFS and by Xet: either copy can be lost."""
    made = make_xorb(split(noise(150_000)))
    commit_large(repo, {"p.bin": made.data()})
    cas = CasClient.for_repo(ada, repo)
    cas.put_xorb(made)
    cas.put_shard(make_shard([whole_file(made)], [made]))
    assert Client().head(URL.format("p.bin"))["X-Xet-Hash"]
    flip(xorb_key(made.hash), 9)
    assert len(scrub_storage(limit=None).damages) == 1
    answer = get("p.bin")
    assert body_of(answer) == made.data()
    assert "X-Xet-Hash" not in answer, "nobody is sent to the damaged xorb"

    cas.put_xorb(made)
    flip(Blob.objects.get().store_key, 9)
    assert len(scrub_storage(limit=None).damages) == 1
    assert Blob.objects.get().quarantined_at is None
    assert body_of(get("p.bin")) == made.data()


def test_store_that_does_not_answer_is_no_damage(xorb, monkeypatch):
    def away(self, key, *rest):
        raise StorageUnavailable("gone")

    monkeypatch.setattr("hub.storage.Store.stream", away)
    with pytest.raises(StorageUnavailable):
        scrub_storage(limit=None)
    assert Xorb.objects.get().quarantined_at is None


def test_other_files_are_read_as_before(ada, repo, xorb, plain):
    flip(xorb_key(xorb.hash), 50)
    scrub_storage(limit=None)
    assert hashlib.sha256(body_of(get("p.bin"))).hexdigest() == plain.sha256


def test_command_tells_of_damage_by_its_status(plain, capsys):
    call_command("storage", "scrub", "--all")
    assert "1 objects" in capsys.readouterr().out
    flip(plain.store_key, 1)
    with pytest.raises(SystemExit) as ended:
        call_command("storage", "scrub", "--sample", "5")
    assert ended.value.code == 1
    assert plain.store_key in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_killed_between_bytes_and_row_is_finished_by_the_next_scrub(xorb):
    flip(xorb_key(xorb.hash), 50)
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _die_after_the_move()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert Xorb.objects.get().quarantined_at is None
    assert len(scrub_storage(limit=None).damages) == 1
    assert get("x.bin").status_code == 410


def _die_after_the_move() -> None:
    from hub.storage import Store

    move = Store.move

    def last_words(self, key, target):
        move(self, key, target)
        os.kill(os.getpid(), signal.SIGKILL)

    Store.move = last_words
    try:
        scrub_storage(limit=None)
    finally:
        os._exit(1)
