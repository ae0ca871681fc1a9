"""Plain files into chunks: the same bytes, announced to Xet clients, sharing what they share."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.utils import timezone

from config.doctor import Level, check_content
from hub import claims
from hub.actions import conversion
from hub.actions.blobs import register_blob, sweep_uploads
from hub.actions.conversion import convert_blob, convert_repo, sweep_conversions
from hub.actions.garbage import collect_garbage
from hub.actions.large_files import delete_large_files
from hub.actions.plain_copies import drop_plain_copies
from hub.content import open_content
from hub.errors import StorageFull
from hub.models import Blob, Repo, RepoXorb, XetFile, Xorb
from hub.site import git_of, store
from hub.storage import Received
from hub.storage.errors import StorageUnavailable
from tests.support.cas import CasClient
from tests.support.factories import commit_large, make_repo, make_user, store_blob
from tests.support.xet import floats, noise

pytestmark = pytest.mark.django_db

DATA = floats(1_500_000) + noise(1_000_000)


@pytest.fixture
def ada():
    return make_user("ada")


@pytest.fixture
def repo(ada):
    made = make_repo(ada, "m")
    commit_large(made, {"a.bin": DATA})
    return made


def content(repo, path="a.bin"):
    return open_content(repo, git_of(repo).resolve("main"), path)


def drop_after_a_day():
    Blob.objects.exclude(converted_at=None).update(converted_at=timezone.now() - timedelta(days=2))
    return drop_plain_copies()


def test_converted_file_is_announced_and_the_same(ada, repo):
    assert "X-Xet-Hash" not in Client().head("/ada/m/resolve/main/a.bin")
    assert convert_repo(repo_id=repo.pk) == 1
    head = Client().head("/ada/m/resolve/main/a.bin")
    file = XetFile.objects.get()
    assert head["X-Xet-Hash"] == file.file_hash
    [entry] = [
        entry
        for entry in Client().get("/api/models/ada/m/tree/main").json()
        if entry["path"] == "a.bin"
    ]
    assert entry["xetHash"] == file.file_hash
    import hf_xet

    source = Path(settings.STAGING_DIR) / "again"
    source.write_bytes(DATA)
    assert hf_xet.hash_files([str(source)])[0].hash == file.file_hash
    assert b"".join(content(repo).stream()) == DATA
    assert not list(Path(settings.STAGING_DIR).glob("recv-*"))


def test_plain_copy_goes_a_day_later_and_ranges_are_read_from_chunks(repo):
    convert_repo(repo_id=repo.pk)
    assert drop_plain_copies() == 0, "signed addresses of it are in use for a while"
    key = Blob.objects.get().store_key
    assert drop_after_a_day() == 1
    assert not store().exists(key)
    assert b"".join(content(repo).stream()) == DATA
    answer = Client().get("/ada/m/resolve/main/a.bin", headers={"range": "bytes=1400000-1600000"})
    assert answer.status_code == 206
    assert answer.getvalue() == DATA[1_400_000:1_600_001]
    assert [finding.level for finding in check_content()] == [Level.OK]
    assert sweep_conversions() == 0


def test_later_version_adds_only_what_is_new(repo):
    convert_repo(repo_id=repo.pk)
    before = sum(Xorb.objects.values_list("size_bytes", flat=True))
    newer = DATA[:800_000] + b"a changed layer" * 2000 + DATA[800_000:]
    commit_large(repo, {"a.bin": newer})
    assert convert_repo(repo_id=repo.pk) == 1
    added = sum(Xorb.objects.values_list("size_bytes", flat=True)) - before
    assert 0 < added < 400_000, added
    drop_after_a_day()
    assert b"".join(content(repo).stream()) == newer


def test_xet_client_learns_of_the_chunks(ada, repo):
    """A later version by Xet shares them: the client asks for the first chunk of a file."""
    convert_repo(repo_id=repo.pk)
    from hub.xet.content import read_index
    from hub.xet.hashing import parse_hash

    first = read_index(store(), parse_hash(Xorb.objects.get().hash)).hash_at(0)
    assert CasClient.for_repo(ada, repo).query_chunk(first).status_code == 200
    stranger = CasClient.for_repo(make_user("eve"), make_repo(make_user("mal"), "x"), "read")
    assert stranger.query_chunk(first).status_code == 200, "the repository is public"
    repo.is_private = True
    repo.save()
    assert stranger.query_chunk(first).status_code == 404


def test_all_repositories_that_hold_it_gain(ada, repo):
    other = make_repo(ada, "other")
    commit_large(other, {"b.bin": DATA})
    assert convert_repo(repo_id=repo.pk) == 1
    assert XetFile.objects.count() == 1
    assert RepoXorb.objects.count() == 2
    assert content(other, "b.bin").xet_hash == content(repo).xet_hash
    assert convert_repo(repo_id=other.pk) == 0


def test_sent_again_plain_after_its_copy_was_dropped(ada, repo):
    convert_repo(repo_id=repo.pk)
    drop_after_a_day()
    other, path = make_repo(ada, "other"), Path(settings.STAGING_DIR) / "recv-1"
    path.write_bytes(DATA)
    blob = Blob.objects.get()
    register_blob(repo=other, received=Received(path, len(DATA), blob.sha256))
    assert Blob.objects.get().is_plain
    assert drop_after_a_day() == 0, "one repository has no recipe yet"
    assert sweep_conversions() == 1
    assert drop_after_a_day() == 1
    assert other.blob_links.get().xet_file is not None


@pytest.mark.parametrize("size", [10, 1024**2 - 1])
def test_small_files_stay_plain(ada, size):
    repo = make_repo(ada, "small")
    commit_large(repo, {"a.bin": b"x" * size})
    assert convert_repo(repo_id=repo.pk) == 0


def test_operator_may_switch_it_off(repo, settings):
    settings.CONVERT_LFS = False
    assert convert_repo(repo_id=repo.pk) == sweep_conversions() == 0


def test_encoder_that_lies_is_not_believed(repo, monkeypatch):
    """What it wrote belongs to another file."""
    encoded = conversion._encoded

    def of_another(blob, folder):
        other = store_blob(None, noise(1_200_000, 9))
        return encoded(other, folder)

    monkeypatch.setattr(conversion, "_encoded", of_another)
    blob = Blob.objects.get()
    for _ in range(conversion.MAX_FAILURES + 1):
        assert not convert_blob(blob_id=blob.pk)
    assert not XetFile.objects.exists()
    blob.refresh_from_db()
    assert (blob.conversion_failures, blob.converted_at) == (conversion.MAX_FAILURES, None)
    assert b"".join(content(repo).stream()) == DATA


def test_damaged_plain_copy_is_not_converted(repo):
    blob = Blob.objects.get()
    path = store().local_path(blob.store_key)
    path.chmod(0o644)
    path.write_bytes(b"?" + DATA[1:])
    assert convert_repo(repo_id=repo.pk) == 0
    assert not XetFile.objects.exists()


def test_lost_bytes_of_one_file_do_not_hold_up_the_others(ada, repo):
    commit_large(make_repo(ada, "other"), {"b.bin": DATA[::-1]})
    store().delete(Blob.objects.order_by("pk").first().store_key)
    assert sweep_conversions() == 1
    assert XetFile.objects.count() == 1


def test_store_that_is_away_leaves_the_plain_copy_and_a_repeat_works(repo, monkeypatch):
    with monkeypatch.context() as patch:

        def away(self, key, path):
            raise StorageUnavailable("gone")

        patch.setattr("hub.storage.Store.put_new_file", away)
        with pytest.raises(StorageUnavailable):
            convert_repo(repo_id=repo.pk)
    assert not XetFile.objects.exists()
    assert not list(Path(settings.STAGING_DIR).glob("recv-*"))
    assert convert_repo(repo_id=repo.pk) == 1


def test_full_disk_is_no_failure_of_the_file(repo, monkeypatch):
    usage = type("Usage", (), {"free": len(DATA)})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: usage)
        for _ in range(conversion.MAX_FAILURES + 1):
            assert convert_repo(repo_id=repo.pk) == 0
    assert Blob.objects.get().conversion_failures == 0
    assert convert_repo(repo_id=repo.pk) == 1


def test_file_without_room_holds_up_neither_others_nor_the_dropping(repo, monkeypatch):
    convert_repo(repo_id=repo.pk)
    Blob.objects.update(converted_at=timezone.now() - timedelta(days=2))
    commit_large(repo, {"b.bin": DATA[::-1], "c.bin": DATA[1:]})
    tried = []

    def full_for_the_first(blob):
        tried.append(blob.pk)
        if len(tried) == 1:
            raise StorageFull

    monkeypatch.setattr(conversion, "_require_space", full_for_the_first)
    assert sweep_conversions() == 1
    assert len(tried) == 2
    assert Blob.objects.filter(is_plain=False).count() == 1


def test_a_large_file_without_room_does_not_keep_the_small_ones_waiting(repo, monkeypatch):
    commit_large(repo, {"b.bin": noise(1_500_000), "c.bin": noise(1_400_000, seed=1)})
    usage = type("Usage", (), {"free": conversion._SPARE_BYTES + 2 * len(DATA) - 2})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: usage)
        assert convert_repo(repo_id=repo.pk) == 2
    assert Blob.objects.get(converted_at=None).size_bytes == len(DATA)


@pytest.mark.parametrize("name", ["sweep-conversions", "convert:{pk}"])
def test_what_a_dead_process_had_claimed_is_free_again_soon(repo, name):
    key = "claim:" + name.format(pk=Blob.objects.get().pk)
    cache.add(key, "of the dead", claims.LEASE_S)
    assert sweep_conversions() == 0
    cache.touch(key, 1)
    deadline = time.monotonic() + 30
    while not (done := sweep_conversions()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert done == 1


def fail_always(monkeypatch):
    def broken(*args):
        raise subprocess.SubprocessError

    monkeypatch.setattr(conversion, "_encoded", broken)
    for _ in range(conversion.MAX_FAILURES):
        assert convert_repo(repo_id=Repo.objects.get().pk) == 0
    assert Blob.objects.get().conversion_failures == conversion.MAX_FAILURES


def test_a_file_given_up_is_tried_again_a_month_later(repo, monkeypatch):
    with monkeypatch.context() as patch:
        fail_always(patch)
    assert sweep_conversions() == 0
    Blob.objects.update(conversion_failed_at=timezone.now() - timedelta(days=31))
    assert sweep_conversions() == 1
    assert Blob.objects.get().conversion_failures == 0


def test_a_file_sent_again_is_tried_again(repo, monkeypatch):
    with monkeypatch.context() as patch:
        fail_always(patch)
    path = Path(settings.STAGING_DIR) / "again"
    path.write_bytes(DATA)
    blob = Blob.objects.get()
    register_blob(repo=repo, received=Received(path, len(DATA), blob.sha256))
    assert sweep_conversions() == 1


def test_file_deleted_for_good_meanwhile_does_not_come_back(ada, repo, monkeypatch):
    blob, register = Blob.objects.get(), conversion._register

    def after_deletion(*args):
        delete_large_files(repo=repo, oids=[blob.sha256], rewrite_history=False, acting_user=ada)
        register(*args)

    monkeypatch.setattr(conversion, "_register", after_deletion)
    convert_repo(repo_id=repo.pk)
    assert not repo.blob_links.exists()
    assert not repo.xorb_links.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stage", ["encoded", "xorbs stored"])
def test_killed_conversion_is_finished_by_the_next(stage, repo):
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _die(repo.pk, "store_xorb" if stage == "encoded" else "_register")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert not XetFile.objects.exists()
    assert b"".join(content(repo).stream()) == DATA
    left = list(Path(settings.STAGING_DIR).glob("recv-convert-*"))
    assert len(left) == (stage == "encoded")
    for folder in left:
        old = time.time() - 3 * 24 * 3600
        os.utime(folder, (old, old))
    assert sweep_uploads() == len(left)
    assert not list(Path(settings.STAGING_DIR).glob("recv-convert-*"))
    cache.delete(f"claim:convert:{Blob.objects.get().pk}")  # it has run out by now
    assert convert_repo(repo_id=repo.pk) == 1
    assert b"".join(content(repo).stream()) == DATA
    assert [finding.level for finding in check_content()] == [Level.OK]


def _die(repo_id: int, at: str) -> None:
    def last_words(*args, **more):
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(conversion, at, last_words)
    try:
        convert_repo(repo_id=repo_id)
    finally:
        os._exit(1)


def test_converted_and_dropped_content_survives_collection(repo):
    convert_repo(repo_id=repo.pk)
    drop_after_a_day()
    for days in (29, 58, 87):
        collect_garbage(is_applied=True, now=timezone.now() + timedelta(days=days))
    assert b"".join(content(repo).stream()) == DATA


def test_copy_left_by_a_killed_drop_is_collected(repo):
    convert_repo(repo_id=repo.pk)
    blob = Blob.objects.get()
    Blob.objects.update(is_plain=False)
    assert store().exists(blob.store_key)
    collect_garbage(is_applied=True, now=timezone.now() + timedelta(days=29))
    assert not store().exists(blob.store_key)
    assert b"".join(content(repo).stream()) == DATA
