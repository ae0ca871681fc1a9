"""Listings, entries, history and differences."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygit2.enums import ObjectType

from hub.lfs.pointer import LfsPointer
from hub.vcs import AddFile, AddPointer, DeleteFile, DeleteFolder
from hub.vcs.errors import EntryNotFound, EntryTooLarge, RefNotFound
from hub.vcs.rawtree import TreeComparer, iter_rows

from .conftest import MAIN, assert_sound, git

OID = "cd" * 32
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_long_patches_are_left_out_one_by_one(repository, commit):
    short, long = AddFile("a", b"one\n"), AddFile("b", b"line\n" * 300)
    sha = commit(short, long, AddFile("c", b"three\n")).sha
    files = repository.compare(None, sha, max_patch_chars=1000).files
    assert [(file.path, file.patch is None, file.too_large) for file in files] == [
        ("a", False, False), ("b", True, True), ("c", False, False),
    ]  # fmt: skip
    assert files[1].additions == 300
    assert repository.compare(None, sha).files[1].patch is not None


@pytest.fixture
def filled(repository, commit):
    return commit(
        AddFile("README.md", b"hello"),
        AddFile("a-b", b"x"),
        AddFile("a/one", b"1"),
        AddFile("a/two/three", b"33"),
        AddFile("a.txt", b"t"),
        AddPointer("big.bin", OID, 5_000_000_000),
    )


def listed(entries):
    return [(entry.path, entry.kind, entry.size_bytes) for entry in entries]


def test_root_is_listed_in_gits_order_with_true_sizes(repository, filled):
    assert listed(repository.tree(filled.sha)) == [
        ("README.md", "file", 5),
        ("a-b", "file", 1),
        ("a.txt", "file", 1),
        ("a", "directory", 0),
        ("big.bin", "file", 5_000_000_000),
    ]


def test_pointer_is_told_from_content(repository, filled):
    entry = repository.entry(filled.sha, "big.bin")
    assert entry.lfs == LfsPointer(OID, 5_000_000_000)
    assert entry.pointer_size_bytes == len(repository.read(filled.sha, "big.bin"))
    assert repository.entry(filled.sha, "README.md").lfs is None


def test_recursive_listing_has_each_folder_before_its_content(repository, filled):
    assert [entry.path for entry in repository.tree(filled.sha, recursive=True)] == [
        "README.md",
        "a-b",
        "a.txt",
        "a",
        "a/one",
        "a/two",
        "a/two/three",
        "big.bin",
    ]


def test_listing_of_a_folder_names_whole_paths(repository, filled):
    assert [entry.path for entry in repository.tree(filled.sha, "a/")] == ["a/one", "a/two"]
    assert [entry.path for entry in repository.tree(filled.sha, "a", recursive=True)] == [
        "a/one",
        "a/two",
        "a/two/three",
    ]


@pytest.mark.parametrize("folder", ["", "a"])
@pytest.mark.parametrize("recursive", [False, True])
def test_listing_goes_on_after_any_path(repository, filled, folder, recursive):
    whole = list(repository.tree(filled.sha, folder, recursive=recursive))
    for index, entry in enumerate(whole):
        rest = repository.tree(filled.sha, folder, recursive=recursive, after=entry.path)
        assert list(rest) == whole[index + 1 :]


def test_object_ids_are_gits_own(repository, filled):
    for entry in repository.tree(filled.sha, recursive=True):
        assert entry.oid == git(repository, "rev-parse", f"main:{entry.path}").strip()


@pytest.mark.parametrize("path", ["missing", "README.md", "README.md/x", "a/one", "..", "a/../a"])
def test_listing_of_what_is_no_folder_fails_at_once(repository, filled, path):
    with pytest.raises(EntryNotFound):
        repository.tree(filled.sha, path)


@pytest.mark.parametrize("path", ["missing", "", "a/missing", "README.md/x", "..", "\ud800"])
def test_missing_entry_is_named(repository, filled, path):
    with pytest.raises(EntryNotFound):
        repository.entry(filled.sha, path)


def test_entries_leave_out_what_does_not_exist(repository, filled):
    found = repository.entries(filled.sha, ["a", "nope", "big.bin", "a/one/x", "a/two/three"])
    assert [entry.path for entry in found] == ["a", "big.bin", "a/two/three"]


def test_reading_keeps_to_a_limit(repository, filled):
    assert repository.read(filled.sha, "README.md", max_bytes=5) == b"hello"
    with pytest.raises(EntryTooLarge):
        repository.read(filled.sha, "README.md", max_bytes=4)


@pytest.mark.parametrize("path", ["a", "missing"])
def test_only_files_are_read(repository, filled, path):
    with pytest.raises(EntryNotFound):
        repository.read(filled.sha, path)


def test_blob_is_read_by_its_id(repository, filled):
    assert repository.read_blob(repository.entry(filled.sha, "README.md").oid) == b"hello"
    for oid in ("0" * 40, filled.sha, "nonsense"):
        with pytest.raises(EntryNotFound):
            repository.read_blob(oid)


def test_log_is_newest_first_and_can_be_paged(repository, write):
    made = [write({"a": b"%d" % i}, message=f"c{i}") for i in range(5)]
    head = made[-1].sha
    assert list(repository.log(head)) == made[::-1]
    assert list(repository.log(head, skip=1, limit=2)) == [made[3], made[2]]
    assert repository.count_commits(head) == 5


def test_log_of_a_path_has_only_its_commits(repository, write, commit):
    first = write({"a/x": b"1", "b": b"1"})
    write({"b": b"2"})
    third = write({"a/x": b"2"})
    fourth = commit(DeleteFile("a/x"))
    write({"b": b"3"})
    head = repository.resolve("main")
    assert list(repository.log(head, path="a/x")) == [fourth, third, first]
    assert list(repository.log(head, path="a")) == [fourth, third, first]
    assert list(repository.log(head, path="never")) == []
    assert list(repository.log(head, path="a/x", skip=1, limit=1)) == [third]


def git_last_commit(repository, path):
    return git(repository, "log", "-1", "--format=%H", "main", "--", path).strip()


def test_last_commits_agree_with_git_log(repository, commit, write):
    write({f"d/{i}": b"0" for i in range(30)} | {"top": b"0", "d/e/f": b"0"}, when=NOON)
    for i in range(12):
        when = NOON + timedelta(minutes=i)
        write({f"d/{i}": b"1", f"d/new{i}": b"1"}, when=when)
    commit(DeleteFile("d/3"), DeleteFolder("d/e"), AddFile("d/e/g", b"1"))
    head = repository.resolve("main")
    paths = [entry.path for entry in repository.tree(head, recursive=True)]
    found = repository.last_commits(head, [*paths, "d/3", "nothing"])
    assert {path: info.sha for path, info in found.items()} == {
        path: git_last_commit(repository, path) for path in paths
    }


def test_last_commits_follow_a_merge_to_the_side_that_changed(repository, write, author):
    base = write({"a": b"0", "b": b"0", "c": b"0"}, when=NOON)
    repository.create_ref("refs/heads/side", base.sha)
    ours = write({"a": b"1"}, when=NOON + timedelta(hours=1))
    theirs = write({"b": b"1"}, ref="refs/heads/side", when=NOON + timedelta(hours=2))
    git(repository, "update-ref", "refs/heads/tmp", ours.sha)
    tree = git(repository, "merge-tree", "--write-tree", ours.sha, theirs.sha).strip()
    identity = ["-c", "user.name=a", "-c", "user.email=b"]
    parents = ["-p", ours.sha, "-p", theirs.sha]
    merge = git(repository, *identity, "commit-tree", tree, *parents, "-m", "merge").strip()
    repository.update_ref(MAIN, merge, ours.sha)
    found = repository.last_commits(merge, ["a", "b", "c"])
    assert {path: info.sha for path, info in found.items()} == {
        "a": ours.sha,
        "b": theirs.sha,
        "c": base.sha,
    }
    assert [info.sha for info in repository.log(merge, path="b")] == [theirs.sha, base.sha]
    assert repository.count_commits(merge) == 4


def test_wrong_clocks_do_not_hide_a_commit(repository, write):
    first = write({"a": b"0", "b": b"0"}, when=NOON + timedelta(days=400))
    second = write({"a": b"1"}, when=NOON)
    third = write({"c": b"1"}, when=NOON + timedelta(days=1))
    found = repository.last_commits(third.sha, ["a", "b", "c"])
    assert [found[path].sha for path in "abc"] == [second.sha, first.sha, third.sha]


def test_walk_stops_at_its_cap(repository, write):
    write({"old": b"0"})
    for i in range(5):
        write({"new": b"%d" % i})
    head = repository.resolve("main")
    assert set(repository.last_commits(head, ["old", "new"], max_commits=3)) == {"new"}
    assert set(repository.last_commits(head, ["old", "new"], budget_s=0)) == {"new"}


names = st.text(alphabet="ab10 4", min_size=1, max_size=8)
contents = st.dictionaries(names, st.sampled_from([b"1", b"2", b"3"]), max_size=40)


@settings(deadline=None)
@given(contents, contents)
def test_comparer_finds_exactly_the_names_that_differ(old, new):
    def tree(files):
        rows = sorted(files.items())
        return b"".join(b"100644 %s\0%s" % (n.encode(), c * 20) for n, c in rows)

    class FakeOdb:
        def read(self, oid):
            return 2, tree(old if oid.raw == b"o" * 20 else new)

    class FakeRepository:
        odb = FakeOdb()

    changed = TreeComparer(FakeRepository()).changed(b"o" * 20, b"n" * 20)
    expected = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert {name.decode() for name in changed} == expected


def test_comparer_sees_one_change_among_many_thousand(repository, write):
    files = {f"f{i:05d}": b"%d" % (i % 7) for i in range(5000)}
    write(files)
    made = write({"f02500": b"changed"})
    last = write({"f04999x": b"added"})
    found = repository.last_commits(last.sha, ["f02500", "f04999x", "f00000"])
    assert found["f02500"].sha == made.sha
    assert found["f04999x"].sha == last.sha
    assert found["f00000"].sha == made.parents[0]


def test_diff_tells_what_happened_to_each_file(repository, write, commit):
    text = b"".join(b"line %d\n" % i for i in range(40))
    old = write({"keep": b"1", "edit": b"a\nb\nc\n", "gone": b"x\n", "from": text, "bin": b"\0\1"})
    new = commit(
        AddFile("edit", b"a\nB\nc\nd\n"),
        DeleteFile("gone"),
        DeleteFile("from"),
        AddFile("to", text + b"one more\n"),
        AddFile("made", "é\n".encode()),
        AddFile("bin", b"\0\2"),
        AddFile("huge", b"x\n" * 400_000),
    )
    found = {item.path: item for item in repository.diff(old.sha, new.sha)}
    assert {path: item.status for path, item in found.items()} == {
        "bin": "modified",
        "edit": "modified",
        "gone": "deleted",
        "huge": "added",
        "made": "added",
        "to": "renamed",
    }
    assert (found["edit"].additions, found["edit"].deletions) == (2, 1)
    assert "-b\n+B\n" in found["edit"].patch
    assert found["to"].old_path == "from"
    assert (found["bin"].is_binary, found["bin"].patch) == (True, None)
    assert (found["huge"].too_large, found["huge"].additions) == (True, None)
    assert len(repository.diff(old.sha, new.sha, max_files=2)) == 2


def test_no_file_is_read_behind_the_characters_asked_for(repository, write):
    made = write({f"{n}": b"the same line\n" * 20 for n in range(6)})
    found = repository.compare(None, made.sha, max_chars=700)
    assert ([file.path for file in found.files], found.n_files) == (["0", "1"], 6)


def test_much_moved_text_is_renamed_only_where_it_is_equal(repository, write, commit, monkeypatch):
    text = b"".join(b"line %d\n" % i for i in range(40))
    old = write({"same": text, "like": text * 2})
    new = commit(
        DeleteFile("same"), DeleteFile("like"), AddFile("b", text), AddFile("c", text * 2 + b"x\n")
    )
    assert {item.status for item in repository.diff(old.sha, new.sha)} == {"renamed"}
    monkeypatch.setattr("hub.vcs.diff.MAX_RENAME_BYTES", 1000)
    found = {item.path: item.status for item in repository.diff(old.sha, new.sha)}
    assert found == {"b": "renamed", "c": "added", "like": "deleted"}


def test_diff_from_nothing_lists_all_files(repository, write):
    made = write({"a": b"1\n", "b/c": b"2\n"})
    found = repository.diff(None, made.sha)
    assert [(item.path, item.status, item.additions) for item in found] == [
        ("a", "added", 1),
        ("b/c", "added", 1),
    ]


def test_squash_leaves_one_commit_and_other_branches(repository, write, author):
    for i in range(3):
        write({"a": b"%d" % i})
    before = repository.resolve("main")
    repository.create_ref("refs/heads/other", before)
    made = repository.squash(MAIN, message="all in one", author=author)
    assert repository.count_commits(made.sha) == 1
    assert repository.resolve("main") == made.sha
    assert repository.read(made.sha, "a") == b"2"
    assert repository.count_commits(repository.resolve("other")) == 3
    assert_sound(repository)


def test_squash_of_a_missing_branch_is_refused(repository, author):
    with pytest.raises(RefNotFound):
        repository.squash(MAIN, message="x", author=author)


@pytest.mark.parametrize("seconds", [9999999999999, 2**62])
def test_a_date_that_no_calendar_has_is_shown_as_the_last(repository, filled, seconds):
    line = f"A <a@b.c> {seconds} +0000"
    text = f"tree {repository._repo[filled.sha].tree_id}\nauthor {line}\ncommitter {line}\n\nlate\n"
    late = repository._repo.odb.write(ObjectType.COMMIT, text.encode())
    when = repository.commit_info(str(late)).author.when
    assert when.astimezone(timezone(timedelta(hours=14))).year == 9999


def test_large_files_of_many_refs_are_looked_for_once(repository, filled, write, monkeypatch):
    for number in range(20):
        repository.create_ref(f"refs/heads/b{number}", filled.sha)
    write({"new": b"1"}, ref="refs/heads/b0")
    opened = []
    monkeypatch.setattr(
        "hub.vcs.references.iter_rows", lambda repo, oid: opened.append(oid) or iter_rows(repo, oid)
    )
    assert repository.refs_by_large_oid() == {OID: "refs/heads/b0"}
    assert len(opened) == len(set(opened)) == 4  # two roots, a, a/two
