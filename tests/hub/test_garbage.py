"""Collection over a real store: what it keeps, what it frees, and who may still come back."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from config.doctor import Level, check_content
from hub.actions import garbage
from hub.actions.commits import commit_files, linked_sizes, propose_files
from hub.actions.garbage import collect_garbage
from hub.actions.refs import create_branch, create_tag, delete_branch, squash_history
from hub.actions.repos import delete_repo
from hub.actions.scrub import scrub_storage
from hub.content import open_content
from hub.fate import Fate
from hub.models import Blob, RepoBlob, RepoXorb, XetFile, Xorb
from hub.site import git_of, store
from hub.vcs import AddPointer
from hub.xet.content import xorb_key
from tests.support.cas import CasClient
from tests.support.factories import commit, commit_large, make_repo, make_user, store_blob
from tests.support.xet import make_shard, make_xorb, noise, split, whole_file

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def ada():
    return make_user("ada")


@pytest.fixture
def repo(ada):
    return make_repo(ada, "m")


def run(days: float, *, is_applied: bool = True):
    """A collection so many days from now."""
    return collect_garbage(is_applied=is_applied, now=timezone.now() + days * DAY)


def run_to_the_end():
    """Runs as often and as late as it takes to free what nobody needs."""
    for days in (29, 58, 87):
        run(days)


def send(user, repo, xorb):
    """Upload through the CAS, as a client does; the SHA-256 of the file."""
    cas = CasClient.for_repo(user, repo)
    assert cas.put_xorb(xorb).status_code == 200
    assert cas.put_shard(make_shard([whole_file(xorb)], [xorb])).status_code == 200
    return whole_file(xorb).sha256


def commit_xet(repo, xorb, path="x.bin", ref="refs/heads/main"):

    file = whole_file(xorb)
    size = file.terms.size_bytes
    return commit_files(
        repo=repo,
        ref=ref,
        operations=[AddPointer(path=path, oid=file.sha256, size_bytes=size)],
        message="Add",
        acting_user=repo.creator,
    ).commit_sha


def stored():
    return sorted(item.key for item in store().list())


def test_all_is_kept_of_a_repository_that_cannot_be_read(ada, repo):
    commit_large(repo, {"x.bin": noise(5_000)})
    create_branch(repo=repo, branch="side", starting_point=None, acting_user=ada)
    for name in ("main", "side"):
        sha = git_of(repo).resolve(name)
        lost = git_of(repo).path / "objects" / sha[:2] / sha[2:]
        lost.rename(lost.with_name("lost"))
        run_to_the_end()
        assert RepoBlob.objects.filter(condemned_at=None).count() == 1
        assert len(stored()) == 1
        lost.with_name("lost").rename(lost)


def test_what_the_history_names_stays(ada, repo):
    """On a branch, in an old commit of it, under a tag and in a pull request."""
    old = commit_large(repo, {"a.bin": b"first"})
    commit(repo, {"a.bin": "gone from the head"})
    create_branch(repo=repo, branch="tagged", starting_point=None, acting_user=ada)
    commit_large(repo, {"t.bin": b"tagged"}, ref="refs/heads/tagged")
    create_tag(repo=repo, tag="v1", revision="tagged", message="one", acting_user=ada)
    delete_branch(repo=repo, branch="tagged", acting_user=ada)
    blob = store_blob(repo, b"proposed")
    operation = AddPointer("deep/er/p.bin", blob.sha256, blob.size_bytes)
    proposed = propose_files(
        repo=repo, base="main", operations=[operation], message="Propose", acting_user=ada
    )
    assert proposed.ref == "refs/pr/1"
    xorb = make_xorb(split(noise(100_000)))
    send(ada, repo, xorb)
    commit_xet(repo, xorb)
    before = stored()

    run_to_the_end()
    assert stored() == before
    assert open_content(repo, old, "a.bin").read() == b"first"
    assert not Blob.objects.exclude(condemned_at=None).exists()
    assert not RepoBlob.objects.exclude(condemned_at=None).exists()


def test_what_no_ref_leads_to_goes_after_the_grace(ada, repo):
    xorb = make_xorb(split(noise(100_000)))
    send(ada, repo, xorb)
    commit_xet(repo, xorb)
    commit_large(repo, {"a.bin": b"first"})
    squash_history(repo=repo, revision="main", message="one", acting_user=ada)
    commit(repo, {"README.md": "# still there"})
    from hub.vcs.operations import DeleteFile

    commit_files(
        repo=repo,
        ref="main",
        operations=[DeleteFile("a.bin"), DeleteFile("x.bin")],
        message="Remove",
        acting_user=ada,
    )
    squash_history(repo=repo, revision="main", message="two", acting_user=ada)

    assert not run(27).rights.counts, "younger than the grace"
    assert run(29).rights.counts == {Fate.MARK: 2}
    assert run(30).rights.counts == {Fate.WAIT: 2}
    assert len(stored()) == 2
    run(58)
    assert stored() == []
    rows = (RepoBlob, Blob, XetFile, Xorb, RepoXorb)
    assert [model.objects.count() for model in rows] == [0] * 5


def test_dry_run_changes_nothing_and_says_how_much(ada, repo, capsys):
    commit_large(make_repo(ada, "gone"), {"a.bin": b"a" * 2048})
    delete_repo(repo=ada.namespace.repos.get(name="gone"), acting_user=ada)
    done = run(29, is_applied=False)
    assert done.contents.counts[Fate.MARK] == 1
    assert done.contents.sizes_bytes[Fate.MARK] == 2048
    assert not Blob.objects.exclude(condemned_at=None).exists()
    call_command("storage", "collect")
    assert "Nothing was changed" in capsys.readouterr().out


def test_deleted_repository_gives_up_its_rights_at_once_and_bytes_wait(ada, repo):
    xorb = make_xorb(split(noise(100_000)))
    send(ada, repo, xorb)
    commit_xet(repo, xorb)
    delete_repo(repo=repo, acting_user=ada)
    assert not RepoBlob.objects.exists()
    run(29)
    assert len(stored()) == 1, "clients remember the xorb for three weeks"
    run(58)
    assert stored() == []


def test_content_of_another_repository_stays(ada, repo):
    other = make_repo(ada, "other")
    commit_large(repo, {"a.bin": b"shared"})
    commit_large(other, {"a.bin": b"shared"})
    delete_repo(repo=other, acting_user=ada)
    run_to_the_end()
    assert open_content(repo, git_of(repo).resolve("main"), "a.bin").read() == b"shared"


def test_xorb_outlives_one_of_two_files(ada, repo):
    from tests.support.xet import make_file

    xorb = make_xorb(split(noise(200_000)))
    part = make_file((xorb, 1, 2))
    cas = CasClient.for_repo(ada, repo)
    cas.put_xorb(xorb)
    assert cas.put_shard(make_shard([whole_file(xorb), part], [xorb])).status_code == 200
    repo.blob_links.filter(blob__sha256=whole_file(xorb).sha256).delete()

    operation = AddPointer(path="p.bin", oid=part.sha256, size_bytes=part.terms.size_bytes)
    commit_files(repo=repo, ref="main", operations=[operation], message="Add", acting_user=ada)
    run_to_the_end()
    assert XetFile.objects.count() == 1
    assert open_content(repo, git_of(repo).resolve("main"), "p.bin").read() == xorb.data(1, 2)


class TestRevival:
    """What is used again within the grace is kept, from the moment it is used."""

    @pytest.fixture
    def marked(self, ada, repo):
        xorb = make_xorb(split(noise(100_000)))
        self.sha256 = send(ada, repo, xorb)
        store_blob(repo, b"plain")
        run(29)
        assert Xorb.objects.exclude(condemned_at=None).count() == 1
        assert RepoBlob.objects.exclude(condemned_at=None).count() == 2
        return xorb

    def test_by_a_commit(self, repo, marked):
        commit_xet(repo, marked)
        run(58)
        content = open_content(repo, git_of(repo).resolve("main"), "x.bin")
        assert content.read() == marked.data()
        assert not Blob.objects.filter(sha256=self.sha256).exclude(condemned_at=None).exists()

    def test_by_a_client_that_asks_whether_to_send(self, repo, marked):
        blob = Blob.objects.get(is_plain=True)
        assert linked_sizes(repo, [blob.sha256]) == {blob.sha256: 5}
        run(57.9)
        assert store().exists(blob.store_key)

    def test_by_the_same_xorb_sent_again(self, ada, repo, marked):
        answer = CasClient.for_repo(ada, repo).put_xorb(marked)
        assert answer.json() == {"was_inserted": False}
        assert Xorb.objects.get().condemned_at is None

    def test_by_a_shard_alone(self, ada, repo, marked):
        """A client whose cache knows the xorb sends no byte of it."""
        other = make_repo(ada, "other")
        cas = CasClient.for_repo(ada, other)
        assert cas.put_shard(make_shard([whole_file(marked)])).status_code == 200
        commit_xet(other, marked)
        run(58)
        head = git_of(other).resolve("main")
        assert open_content(other, head, "x.bin").read() == marked.data()

    def test_by_lfs_from_another_repository(self, ada, marked):
        other = make_repo(ada, "other")
        from pathlib import Path

        from django.conf import settings

        from hub.actions.blobs import register_blob
        from hub.storage import Received

        blob = Blob.objects.get(is_plain=True)
        path = Path(settings.STAGING_DIR) / "recv-x"
        path.write_bytes(b"plain")
        register_blob(repo=other, received=Received(path, 5, blob.sha256))
        run(58)
        assert store().exists(blob.store_key)

    def test_marked_row_whose_bytes_are_gone_is_not_believed(self, ada, repo, marked):
        """As a collection leaves it that was killed between bytes and row."""
        store().delete(xorb_key(marked.hash))
        cas = CasClient.for_repo(ada, repo)
        refused = cas.put_shard(make_shard([whole_file(marked)], [marked]))
        assert refused.status_code == 400
        assert cas.put_xorb(marked).status_code == 200
        assert store().exists(xorb_key(marked.hash))
        assert cas.put_shard(make_shard([whole_file(marked)], [marked])).status_code == 200
        commit_xet(repo, marked)
        run(58)
        head = git_of(repo).resolve("main")
        assert open_content(repo, head, "x.bin").read() == marked.data()


def test_object_without_a_row_goes_after_the_grace(repo):
    xorb = make_xorb(split(noise(70_000)))
    store().put_bytes(xorb_key(xorb.hash), b"left by a killed upload")
    store().put_bytes(Blob(sha256="a" * 64).store_key, b"so was this")
    assert run(27).orphans.counts == {}
    assert run(29).orphans.counts == {Fate.DELETE: 2}
    assert stored() == []
    assert not Xorb.objects.exists()
    assert not Blob.objects.exists()


def test_store_that_is_away_ends_the_run_and_the_next_one_finishes(ada, repo, monkeypatch):
    from hub.storage import Store
    from hub.storage.errors import StorageUnavailable

    send(ada, repo, make_xorb(split(noise(100_000))))
    store_blob(repo, b"plain")
    run(29)
    with monkeypatch.context() as patch:

        def away(self, key):
            raise StorageUnavailable("gone")

        patch.setattr(Store, "delete", away)
        with pytest.raises(StorageUnavailable):
            run(58)
    assert len(stored()) == Blob.objects.count() == 2
    run(59)
    run(88)
    assert stored() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["before the bytes go", "after the bytes went"])
def test_killed_collection_leaves_nothing_broken(when, ada, repo, monkeypatch):
    xorb = make_xorb(split(noise(100_000)))
    send(ada, repo, xorb)
    store_blob(repo, b"plain")
    run(29)
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        _die_in_the_middle(is_late=when.startswith("after"))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert Blob.objects.count() == 2, "rows of what was being deleted are still there"

    assert [finding.level for finding in check_content()] == [Level.OK]
    assert scrub_storage(limit=None).damages == []
    run(59)
    run(88)
    assert stored() == []
    assert not Blob.objects.exists()
    assert not Xorb.objects.exists()
    cas = CasClient.for_repo(ada, repo)
    assert cas.put_xorb(xorb).json() == {"was_inserted": True}
    assert cas.put_shard(make_shard([whole_file(xorb)], [xorb])).status_code == 200


def _die_in_the_middle(*, is_late: bool) -> None:
    from hub.storage import Store

    delete = Store.delete

    def last_words(self, key):
        if is_late:
            delete(self, key)
        os.kill(os.getpid(), signal.SIGKILL)

    Store.delete = last_words
    try:
        run(58)
    finally:
        os._exit(1)


@pytest.mark.django_db(transaction=True)
def test_shard_that_comes_while_its_xorb_is_deleted_waits_and_is_refused(ada, repo, monkeypatch):
    """Two connections: the row is locked from the look at the mark to the end of the deletion."""
    xorb = make_xorb(split(noise(100_000)))
    cas = CasClient.for_repo(ada, repo)
    cas.put_xorb(xorb)
    run(29)
    deleting, go_on, answers = threading.Event(), threading.Event(), []
    delete = garbage.store().__class__.delete

    def slow(self, key):
        deleting.set()
        assert go_on.wait(30)
        delete(self, key)

    monkeypatch.setattr("hub.storage.Store.delete", slow)
    collector = _thread(lambda: run(58))
    assert deleting.wait(30)
    sender = _thread(
        lambda: answers.append(cas.put_shard(make_shard([whole_file(xorb)], [xorb])).status_code)
    )
    sender.join(1)
    assert answers == [], "it waits for the lock"
    go_on.set()
    collector.join(60)
    sender.join(60)
    assert answers == [400]
    assert not Xorb.objects.exists()
    assert not XetFile.objects.exists()
    assert cas.put_xorb(xorb).json() == {"was_inserted": True}
    assert cas.put_shard(make_shard([whole_file(xorb)], [xorb])).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_right_revived_while_a_run_looks_is_not_dropped(ada, repo, monkeypatch):
    """The run has decided to drop it; a client on another connection asks for it meanwhile."""
    blob = store_blob(repo, b"plain")
    run(29)
    drop = garbage._drop_rights

    def late(*args):
        _thread(lambda: linked_sizes(repo, [blob.sha256])).join(60)
        drop(*args)

    monkeypatch.setattr(garbage, "_drop_rights", late)
    run(58)
    assert RepoBlob.objects.get().condemned_at is None
    assert store().exists(blob.store_key)


def test_rights_to_a_file_and_to_its_chunks_go_together(ada, repo, monkeypatch):
    xorb = make_xorb(split(noise(50_000), 20_000))
    cas = CasClient.for_repo(ada, repo)
    cas.put_xorb(xorb)
    cas.put_shard(make_shard([whole_file(xorb)], [xorb]))
    run(29)

    def killed(repo):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(garbage, "relink_xorbs", killed)
        with pytest.raises(KeyboardInterrupt):
            run(58)
    assert repo.blob_links.exists()
    run(58)
    assert not repo.blob_links.exists()
    assert not repo.xorb_links.exists()


def _thread(call):
    def body():
        try:
            call()
        finally:
            connection.close()

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread
