"""Large files taken out of all history; copies of repositories."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.vcs import AddFile, AddPointer, DeleteFile, Repository, Signature

MAIN, SIDE = "refs/heads/main", "refs/heads/side"
ANNA = Signature("Anna", "anna@example.org", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
BAD, GOOD = "b" * 64, "a" * 64


@pytest.fixture
def git(tmp_path: Path) -> Repository:
    """main: plain, then both large files, then the unwanted one gone; a branch, two tags."""
    git = Repository.init(tmp_path / "r.git")
    git.commit(MAIN, [AddFile("plain.txt", b"1")], message="First", author=ANNA)
    large = [AddPointer("deep/er/bad.bin", BAD, 5), AddPointer("deep/good.bin", GOOD, 7)]
    second = git.commit(MAIN, large, message="Large\n\nWith words", author=ANNA)
    git.create_ref(SIDE, second.sha)
    git.create_ref("refs/tags/light", second.sha)
    git.create_tag("heavy", second.sha, message="A tag", tagger=ANNA)
    git.create_ref("refs/pr/1", second.sha)
    git.commit(MAIN, [DeleteFile("deep/er/bad.bin")], message="Gone", author=ANNA)
    return git


def paths(git: Repository, revision: str) -> set[str]:
    sha = git.resolve(revision)
    return {entry.path for entry in git.tree(sha, recursive=True) if entry.kind == "file"}


def test_an_unwanted_file_is_in_no_commit_of_any_ref(git: Repository) -> None:
    first = list(git.log(git.resolve("main")))[-1]
    moved = git.drop_large_files([BAD])
    assert moved == [MAIN, SIDE, "refs/pr/1", "refs/tags/heavy", "refs/tags/light"]
    assert git.large_oids() == {GOOD}
    for revision in ("side", "light", "heavy", "refs/pr/1", "main"):
        assert paths(git, revision) == {"plain.txt", "deep/good.bin"}
    history = list(git.log(git.resolve("main")))
    assert [commit.title for commit in history] == ["Gone", "Large", "First"]
    assert history[-1].sha == first.sha
    assert (history[1].message, history[1].author) == ("With words", ANNA)
    assert git.resolve("side") == git.resolve("heavy") == history[1].sha


def test_a_second_time_and_an_unknown_file_move_nothing(git: Repository) -> None:
    before = git.refs()
    assert git.drop_large_files(["c" * 64]) == []
    assert git.refs() == before
    git.drop_large_files([BAD])
    after = git.refs()
    assert git.drop_large_files([BAD]) == []
    assert git.refs() == after


def test_a_repository_that_held_nothing_else_is_left_with_empty_trees(tmp_path: Path) -> None:
    git = Repository.init(tmp_path / "r.git")
    git.commit(MAIN, [AddPointer("a/bad.bin", BAD, 5)], message="All", author=ANNA)
    git.drop_large_files([BAD])
    assert list(git.tree(git.resolve("main"))) == []
    git.commit(MAIN, [AddFile("a/new.txt", b"1")], message="On", author=ANNA)
    assert paths(git, "main") == {"a/new.txt"}


def test_git_itself_finds_nothing_wrong_afterwards(git: Repository) -> None:
    import subprocess

    git.drop_large_files([BAD])
    done = subprocess.run(
        ["git", "-C", str(git.path), "fsck", "--strict", "--full"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def test_a_copy_has_branches_and_tags_and_not_pull_requests(
    git: Repository, tmp_path: Path
) -> None:
    copy = git.copy_to(tmp_path / "copy.git")
    assert copy.branches() == git.branches()
    assert copy.tags() == git.tags()
    assert copy.pull_refs() == []
    assert copy.large_paths() == {BAD: "deep/er/bad.bin", GOOD: "deep/good.bin"}
    assert copy.read(copy.resolve("main"), "plain.txt") == b"1"
    copy.commit(MAIN, [AddFile("new.txt", b"2")], message="Own", author=ANNA)
    assert "new.txt" not in paths(git, "main")
