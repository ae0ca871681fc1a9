"""Repacking: everything stays readable, for those who read and write meanwhile, too."""

import os
import shutil
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest

from hub.vcs import AddFile, Repository, Signature
from hub.vcs.gitprocess import ProcessLimits
from hub.vcs.pack import with_folder
from hub.vcs.quarantine import PackLimits, Quarantine
from hub.vcs.upkeep import Clutter, RepackFailed, clutter_of, repack

from .conftest import MAIN, assert_sound

LIMITS = ProcessLimits(2 * 1024**3, 120)
LOOSE, COMMITS = 400, 15


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many loose objects, of which no ref leads to most, several packs, a history of commits."""
    repository = Repository.init(tmp_path_factory.mktemp("made") / "r.git")
    batches = [[AddFile(f"{number}.txt", b"%d\n" % number)] for number in range(COMMITS - 3)]
    batches += [
        [AddFile(f"d{number}/{at}", b"%d %d" % (number, at)) for at in range(40)]
        for number in range(3)
    ]
    who = Signature("Ada", "ada@example.org", datetime(2026, 1, 1, tzinfo=UTC))
    for batch in batches:
        repository.commit(MAIN, batch, message="On", author=who)
    raw = pygit2.Repository(str(repository.path))
    for number in range(LOOSE):
        raw.create_blob(b"nobody names this %d" % number)
    return repository.path


@pytest.fixture
def scattered(made_once, tmp_path):
    return Repository(Path(shutil.copytree(made_once, tmp_path / "r.git")))


def assert_all_there(repository: Repository, objects: set[str]) -> None:
    assert_sound(repository)
    raw = pygit2.Repository(str(repository.path))
    assert {str(oid) for oid in raw.odb} >= objects
    for oid in objects:
        assert raw[oid] is not None


def objects_of(repository: Repository) -> set[str]:
    return {str(oid) for oid in pygit2.Repository(str(repository.path)).odb}


def test_all_objects_are_in_one_pack_also_those_that_nothing_names(scattered):
    before = clutter_of(scattered.path)
    assert before.loose > LOOSE
    assert before.packs == 3
    objects = objects_of(scattered)
    repack(scattered.path, LIMITS)
    assert clutter_of(scattered.path) == Clutter(loose=0, packs=1)
    assert_all_there(scattered, objects)
    repack(scattered.path, LIMITS)
    assert clutter_of(scattered.path) == Clutter(loose=0, packs=1)
    assert_all_there(scattered, objects)


def test_an_empty_repository_is_no_trouble(repository):
    repack(repository.path, LIMITS)
    assert clutter_of(repository.path).weight == 0


def test_who_fetches_and_commits_meanwhile_notices_nothing(scattered, author, tmp_path):
    """Clones, an open reader and a writer, while git repacks again and again."""
    opened, is_over, faults = Repository(scattered.path), threading.Event(), []
    made: list[str] = []

    def clone() -> None:
        number = 0
        while not is_over.is_set() or not number:
            number += 1
            target = tmp_path / f"clone{number}"
            done = subprocess.run(
                ["git", "clone", "-q", "--bare", f"file://{scattered.path}", str(target)],
                capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)},
            )  # fmt: skip
            if done.returncode:
                faults.append(done.stderr)

    def write() -> None:
        mine = Repository(scattered.path)
        while not is_over.is_set() or len(made) < 3:
            add = AddFile(f"new/{len(made)}.txt", b"%d" % len(made))
            try:
                made.append(mine.commit(MAIN, [add], message="On", author=author).sha)
            except Exception as error:  # noqa: BLE001
                faults.append(repr(error))
                return

    threads = [threading.Thread(target=work) for work in (clone, write)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        repack(scattered.path, LIMITS)
        assert opened.read(opened.resolve("main"), "5.txt") == b"5\n"
        assert len(list(opened.log(opened.resolve("main")))) >= COMMITS
    is_over.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert made
    assert len(list(Repository(scattered.path).log(scattered.resolve("main")))) == COMMITS + len(
        made
    )
    assert_sound(scattered)


def test_a_push_under_way_is_let_in_after_a_repack(scattered, author, tmp_path):
    """What it builds on is named by no ref any more by then."""
    base = scattered.commit("refs/heads/side", [AddFile("s", b"s")], message="S", author=author)
    other = tmp_path / "other.git"
    subprocess.run(["git", "clone", "-q", "--bare", scattered.path, other], check=True)
    theirs = Repository(other)
    new = theirs.commit("refs/heads/side", [AddFile("t", b"t")], message="T", author=author)
    pack = subprocess.run(
        ["git", "-C", other, "pack-objects", "--revs", "--stdout", "--thin", "-q"],
        input=f"{new.sha}\n^{base.sha}\n".encode(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    limits = PackLimits(10**9, 10**6, LIMITS)
    with Quarantine(scattered.path, tmp_path / "incoming") as quarantine:
        quarantine.receive(_Body(pack), limits)
        scattered.delete_ref("refs/heads/side")
        repack(scattered.path, LIMITS)
        quarantine.let_in()
    scattered.create_ref("refs/heads/side", new.sha)
    assert scattered.read(new.sha, "s") == b"s"
    assert_sound(scattered)


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def test_a_repack_that_takes_too_long_leaves_everything(scattered):
    objects = objects_of(scattered)
    with pytest.raises(RepackFailed):
        repack(scattered.path, ProcessLimits(LIMITS.memory_bytes, 0.0))
    assert_all_there(scattered, objects)
    repack(scattered.path, LIMITS)
    assert_all_there(scattered, objects)


def test_a_damaged_repository_is_left_alone_with_a_reason(scattered):
    packs = {path.name for path in (scattered.path / "objects/pack").iterdir()}
    (scattered.path / "refs/heads/main").write_text("1" * 40 + "\n")
    with pytest.raises(RepackFailed) as caught:
        repack(scattered.path, LIMITS)
    assert caught.value.details["reason"]
    assert packs <= {path.name for path in (scattered.path / "objects/pack").iterdir()}


def test_only_old_leftovers_of_killed_processes_are_removed(scattered):
    folder = scattered.path / "objects" / "pack"
    old, young = folder / ".tmp-1-pack-x.pack", folder / "tmp_pack_y"
    for path in (old, young):
        path.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    repack(scattered.path, LIMITS)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_folder_that_repacking_takes_away_is_made_again(tmp_path):
    folder, tries = tmp_path / "ab", []

    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            folder.rmdir()
        (folder / "x").write_bytes(b"1")
        return "done"

    assert with_folder(folder, write) == "done"
    with pytest.raises(FileNotFoundError):
        with_folder(folder, (tmp_path / "nowhere").read_bytes)
