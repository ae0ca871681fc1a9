"""Merges without a work tree, with git's own `merge-tree` as the judge."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.lfs.pointer import format_pointer
from hub.vcs import AddFile, AddPointer, DeleteFile, Repository
from hub.vcs.errors import MergeConflict
from tests.hub.vcs.conftest import MAIN, assert_sound, git

SIDE = "refs/heads/side"
LINES = b"one\ntwo\nthree\nfour\nfive\n"


@pytest.fixture
def fork(repository, commit):
    """Both branches, each with operations of its own on top of common ones; their heads."""

    def make(common, ours, theirs):
        base = commit(*common)
        if SIDE in {ref.full_name for ref in repository.refs()}:
            repository.delete_ref(SIDE)
        repository.create_ref(SIDE, base.sha)
        return commit(*ours).sha, commit(*theirs, ref=SIDE).sha

    return make


def judged(repository: Repository, ours: str, theirs: str) -> tuple[str | None, list[str]]:
    """The tree that git makes of both, or None and the paths in conflict."""
    done = subprocess.run(
        ["git", "-C", str(repository.path), "merge-tree",
         "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs],
        capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    tree, *paths = done.stdout.rstrip("\0\n").split("\0")
    return (tree.strip(), []) if done.returncode == 0 else (None, sorted(set(paths)))


def merged(repository: Repository, author, ours: str, theirs: str) -> tuple[str | None, list[str]]:
    """The same by our merge."""
    try:
        info = repository.write_merge(ours, theirs, message="Merge", author=author)
    except MergeConflict as conflict:
        return None, conflict.paths
    assert info.parents == (ours, theirs)
    return git(repository, "rev-parse", f"{info.sha}^{{tree}}").strip(), []


def pointer(text: str) -> tuple[str, int]:
    return text * 64, 10


CASES = {
    "other files": (
        [AddFile("a", b"a"), AddFile("b", b"b")],
        [AddFile("a", b"A")],
        [AddFile("b", b"B"), AddFile("new/deep", b"x")],
    ),
    "other lines": (
        [AddFile("a", LINES)],
        [AddFile("a", LINES.replace(b"one", b"1"))],
        [AddFile("a", LINES.replace(b"five", b"5"))],
    ),
    "same lines": (
        [AddFile("a", LINES)],
        [AddFile("a", LINES.replace(b"one", b"1"))],
        [AddFile("a", LINES.replace(b"one", b"eins"))],
    ),
    "same change": ([AddFile("a", LINES)], [AddFile("a", b"x")], [AddFile("a", b"x")]),
    "both add": ([AddFile("z", b"")], [AddFile("a", b"1")], [AddFile("a", b"2")]),
    "gone and changed": (
        [AddFile("a", LINES), AddFile("b", b"b")],
        [DeleteFile("a")],
        [AddFile("a", LINES + b"six\n")],
    ),
    "gone on both": (
        [AddFile("a", LINES), AddFile("b", b"b")],
        [DeleteFile("a")],
        [DeleteFile("a"), AddFile("c", b"c")],
    ),
    "pointers": (
        [AddPointer("w.bin", *pointer("a"))],
        [AddPointer("w.bin", *pointer("b"))],
        [AddPointer("w.bin", *pointer("c"))],
    ),
    "pointer on one side": (
        [AddPointer("w.bin", *pointer("a")), AddFile("a", b"a")],
        [AddPointer("w.bin", *pointer("b"))],
        [AddFile("a", b"A")],
    ),
    "pointer against text": (
        [AddPointer("w.bin", *pointer("a"))],
        [AddFile("w.bin", b"text\n")],
        [AddPointer("w.bin", *pointer("c"))],
    ),
    "binary": (
        [AddFile("b", b"\0one\n")],
        [AddFile("b", b"\0two\n")],
        [AddFile("b", b"\0three\n")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_merge_is_what_git_makes_of_it(repository, fork, author, name):
    ours, theirs = fork(*CASES[name])
    expected = judged(repository, ours, theirs)
    assert repository.conflicts(ours, theirs) == expected[1]
    assert merged(repository, author, ours, theirs) == expected
    assert_sound(repository)


def test_file_against_folder_is_a_conflict(repository, fork, author):
    """Git renames one of them aside; which path is named differs, that there is one does not."""
    ours, theirs = fork([AddFile("z", b"")], [AddFile("a", b"1")], [AddFile("a/b", b"2")])
    assert judged(repository, ours, theirs)[0] is None
    assert repository.conflicts(ours, theirs)
    with pytest.raises(MergeConflict):
        repository.write_merge(ours, theirs, message="m", author=author)


def test_a_renamed_pointer_is_not_followed(repository, fork):
    """Pointers of different files look alike: a rename that is none would spoil a checkpoint."""
    ours, theirs = fork(
        [AddPointer("old.bin", *pointer("a")), AddFile("x", b"")],
        [DeleteFile("old.bin"), AddPointer("new.bin", *pointer("a"))],
        [AddPointer("old.bin", *pointer("b"))],
    )
    assert repository.conflicts(ours, theirs) == ["old.bin"]


def test_histories_without_a_common_commit_meet_file_by_file(repository, author, write):
    first = write({"a": b"same", "b": b"b"})
    repository.create_ref(SIDE, first.sha)
    repository.squash(SIDE, message="one", author=author)
    theirs = write({"c": b"c"}, ref=SIDE)
    assert repository.merge_base(first.sha, theirs.sha) is None
    assert merged(repository, author, first.sha, theirs.sha)[1] == []
    changed = write({"a": b"changed"})
    assert repository.conflicts(changed.sha, theirs.sha) == ["a"]


def test_merge_writes_no_ref(repository, fork, author):
    ours, theirs = fork(*CASES["other files"])
    before = repository.refs()
    repository.write_merge(ours, theirs, message="m", author=author)
    assert repository.refs() == before
    assert repository.ref(MAIN) == ours


def test_new_commits_are_those_the_hidden_lack(repository, fork, write):
    ours, theirs = fork(*CASES["other files"])
    more = write({"d": b"d"}, ref=SIDE)
    found = [c.sha for c in repository.new_commits(more.sha, hidden=[ours, "ab" * 20])]
    assert found == [more.sha, theirs]
    assert repository.contains(more.sha, theirs)
    assert repository.contains(more.sha, more.sha)
    assert not repository.contains(theirs, more.sha)
    assert not repository.contains(ours, theirs)


LETTERS = st.lists(st.sampled_from("abcd"), max_size=6)
FOLDERS = st.dictionaries(st.sampled_from(["x", "y", "d/x"]), LETTERS, max_size=3).map(
    # Lines that name their file: nothing looks like a renamed file to git.
    lambda found: {
        path: "".join(f"{letter} {path}\n" for letter in letters).encode()
        for path, letters in found.items()
    }
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(base=FOLDERS, ours=FOLDERS, theirs=FOLDERS)
def test_any_merge_is_what_git_makes_of_it(repository, author, base, ours, theirs):
    def head(files, parent):
        old = (
            {e.path for e in repository.tree(parent, recursive=True) if e.kind == "file"}
            if (parent)
            else set()
        )
        gone = [DeleteFile(path) for path in sorted(old - files.keys())]
        new = [AddFile(path, text) for path, text in files.items()]
        return repository.write_commit(parent, [*gone, *new], message="m", author=author).sha

    start = head(base, None)
    one, other = head(ours, start), head(theirs, start)
    expected = judged(repository, one, other)
    assert merged(repository, author, one, other) == expected


def test_pointer_text_is_what_conflicts(repository, fork):
    """The case that matters: two versions of one checkpoint."""
    ours, theirs = fork(*CASES["pointers"])
    assert repository.read(theirs, "w.bin") == format_pointer(*pointer("c"))
    assert repository.conflicts(ours, theirs) == ["w.bin"]
