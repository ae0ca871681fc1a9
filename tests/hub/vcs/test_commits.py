"""Commits: what they write, what they refuse, and what is left when they fail."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.lfs.pointer import format_pointer
from hub.vcs import (
    AddFile,
    AddPointer,
    CopyFile,
    DeleteFile,
    DeleteFolder,
    Repository,
    Signature,
)
from hub.vcs.errors import (
    EntryNotFound,
    InvalidContent,
    InvalidPath,
    ParentMoved,
    PathConflict,
    RepositoryBusy,
    RepositoryFull,
    RepositoryMissing,
    RevisionNotFound,
)

from .conftest import MAIN, assert_sound, git
from .hostile_names import HOSTILE_PATHS

OID = "ab" * 32


def paths_of(repository, sha):
    return git(repository, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", sha).split(
        "\n"
    )[:-1]


def test_first_commit_makes_the_branch(repository, write):
    made = write({"README.md": b"hello", "src/a.py": b"a"}, message="start\n\nbecause")
    assert repository.resolve("main") == made.sha
    assert (made.title, made.message, made.parents) == ("start", "because", ())
    assert git(repository, "show", "main:README.md") == "hello"
    assert paths_of(repository, "main") == ["README.md", "src/a.py"]
    assert_sound(repository)


def test_author_and_time_are_what_git_shows(repository, write):
    write({"a": b"1"})
    shown = git(repository, "log", "-1", "--format=%an|%ae|%aI|%cn")
    assert shown == "Ada Lovelace|ada@example.org|2026-05-04T03:02:01+00:00|Ada Lovelace\n"


def test_blob_id_is_gits_own(repository, write):
    made = write({"a": b"hello\n"})
    assert repository.entry(made.sha, "a").oid == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_later_commit_keeps_other_files(repository, write, commit):
    first = write({"a/x": b"1", "b": b"2", "c/d/e": b"3"})
    second = commit(AddFile("a/y", b"4"), AddFile("b", b"5"), DeleteFile("c/d/e"))
    assert second.parents == (first.sha,)
    assert paths_of(repository, second.sha) == ["a/x", "a/y", "b"]
    assert repository.read(second.sha, "b") == b"5"
    assert repository.read(first.sha, "b") == b"2"
    assert_sound(repository)


def test_pointer_is_written_for_git_lfs(repository, commit):
    made = commit(AddPointer("weights.bin", OID, 123456789))
    assert repository.read(made.sha, "weights.bin") == format_pointer(OID, 123456789)


def test_copy_takes_the_file_as_it_was(repository, write, commit):
    old = write({"a": b"old"})
    write({"a": b"new"})
    made = commit(CopyFile("b/c", "a", old.sha))
    assert repository.read(made.sha, "b/c") == b"old"


def test_folder_is_deleted_by_either_operation(repository, write, commit):
    write({"a/b/c": b"1", "a/d": b"2", "e/f": b"3", "g": b"4"})
    made = commit(DeleteFolder("a/"), DeleteFile("e"))
    assert paths_of(repository, made.sha) == ["g"]


def test_operations_apply_in_their_order(repository, write, commit):
    write({"a": b"file"})
    made = commit(DeleteFile("a"), AddFile("a/b", b"1"), AddFile("c", b"2"), DeleteFile("c"))
    assert paths_of(repository, made.sha) == ["a/b"]


def test_deleting_everything_leaves_an_empty_tree(repository, write, commit):
    write({"a/b": b"1"})
    made = commit(DeleteFile("a/b"))
    assert list(repository.tree(made.sha)) == []
    assert_sound(repository)


def test_commit_without_change_is_a_commit(repository, write, commit):
    first = write({"a": b"1"})
    second = commit()
    assert second.parents == (first.sha,)
    assert repository.diff(first.sha, second.sha) == []
    assert_sound(repository)


def test_executable_bit_is_kept(repository, write):
    write({"run.sh": b"1"})
    blob = git(repository, "rev-parse", "main:run.sh").strip()
    tree = subprocess.run(
        ["git", "-C", str(repository.path), "mktree"],
        input=f"100755 blob {blob}\trun.sh\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    identity = ["-c", "user.name=a", "-c", "user.email=b"]
    sha = git(repository, *identity, "commit-tree", tree, "-m", "x").strip()
    repository.update_ref(MAIN, sha, repository.resolve("main"))
    write({"run.sh": b"2"})
    assert git(repository, "ls-tree", "main").startswith("100755 blob")


@pytest.mark.parametrize("path", HOSTILE_PATHS)
@pytest.mark.parametrize("kind", ["file", "pointer", "copy"])
def test_hostile_path_changes_nothing(repository, write, commit, path, kind):
    before = write({"a": b"1"})
    operation = {
        "file": AddFile(path, b"x"),
        "pointer": AddPointer(path, OID, 1),
        "copy": CopyFile(path, "a", before.sha),
    }[kind]
    with pytest.raises(InvalidPath):
        commit(AddFile("good", b"1"), operation)
    assert repository.resolve("main") == before.sha


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (DeleteFile("missing"), EntryNotFound),
        (DeleteFile("a/b/missing"), EntryNotFound),
        (DeleteFile("f/below-a-file"), EntryNotFound),
        (DeleteFolder("f"), EntryNotFound),
        (DeleteFolder("missing/"), EntryNotFound),
        (CopyFile("x", "missing", "main"), EntryNotFound),
        (CopyFile("x", "f", "0" * 40), EntryNotFound),
        (AddFile("f/x", b""), PathConflict),
        (AddFile("a", b""), PathConflict),
        (AddPointer("a/b", OID, 1), PathConflict),
        (AddFile(".gitattributes", b"x" * 2048), InvalidContent),
    ],
)
def test_impossible_operation_changes_nothing(repository, write, commit, operation, error):
    before = write({"a/b/c": b"1", "f": b"2"})
    if isinstance(operation, CopyFile) and operation.source_sha == "main":
        operation = CopyFile(operation.path, operation.source_path, before.sha)
    with pytest.raises(error):
        commit(AddFile("good", b"1"), operation)
    assert repository.resolve("main") == before.sha
    assert_sound(repository)


def test_moved_parent_is_refused_with_both_ends_named(repository, write):
    first = write({"a": b"1"})
    second = write({"a": b"2"}, parent=first.sha)
    with pytest.raises(ParentMoved) as caught:
        write({"a": b"3"}, parent=first.sha)
    assert (caught.value.expected, caught.value.actual) == (first.sha, second.sha)
    assert repository.resolve("main") == second.sha


def test_parent_may_be_given_by_its_first_digits(repository, write):
    first = write({"a": b"1"})
    assert write({"a": b"2"}, parent=first.sha[:7]).parents == (first.sha,)


def test_expected_parent_on_a_missing_branch_is_refused(repository, write):
    with pytest.raises(ParentMoved):
        write({"a": b"1"}, parent="0" * 40)
    assert repository.refs() == []


@pytest.mark.parametrize(
    ("name", "email", "message"),
    [
        ("", "", ""),
        ("<evil>\nparent x", "a@b>\n<", "title"),
        ("\0", "\0", "nul \0 inside"),
        ("\ud800", "é@例え.jp", "surrogate \udcff"),
        ("名前", "a@b.c", "\n\n\nleading lines"),
        (" . ", ",;", "x" * 100_000),
    ],
)
def test_strange_author_and_message_make_a_sound_commit(repository, name, email, message):
    author = Signature(name, email, datetime(1960, 1, 1, tzinfo=UTC))
    made = repository.commit(MAIN, [AddFile("a", b"1")], message=message, author=author)
    assert repository.commit_info(made.sha) == made
    assert made.author.name
    assert_sound(repository)


@pytest.mark.parametrize("number", [3, 40])
def test_clone_of_what_we_wrote_has_the_same_bytes(repository, write, tmp_path, number):
    files = {f"d{i % 5}/f{i}.bin": bytes([i]) * (i * 100) for i in range(number)}
    write(files)
    write({"d0/f0.bin": b"changed"})
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", f"file://{repository.path}", str(target)], check=True)
    found = {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    assert found == files | {"d0/f0.bin": b"changed"}
    assert_sound(repository)


def test_big_commit_is_one_pack_and_sound(repository, write):
    write({f"f{i:04d}": b"content %d" % i * (i % 50) for i in range(1000)})
    packs = list((repository.path / "objects" / "pack").iterdir())
    assert sorted(path.suffix for path in packs) == [".idx", ".pack"]
    assert_sound(repository)


def test_pack_of_large_and_empty_blobs_is_sound(repository, write):
    files = {f"f{i}": os.urandom(2**i) for i in range(20)} | {"empty": b"", "text": b"a" * 10**6}
    made = write(files)
    assert all(repository.read(made.sha, path) == data for path, data in files.items())
    assert_sound(repository)


names = st.text(alphabet="abAB.-~ é模", min_size=1, max_size=6).filter(
    lambda name: name.strip(" .") and "git" not in name
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.dictionaries(paths, st.binary(max_size=50), max_size=25), min_size=1, max_size=4)
)
def test_tree_is_the_sum_of_the_operations(tmp_path_factory, changes):
    repository = Repository.init(tmp_path_factory.mktemp("property") / "r.git")
    author = Signature("a", "b", datetime(2026, 1, 1, tzinfo=UTC))
    expected: dict[str, bytes] = {}
    for change in changes:
        added = {}
        for path, data in change.items():
            others = expected.keys() | added.keys()
            above = {path[:i] for i, char in enumerate(path) if char == "/"}
            if not above & others and not any(o.startswith(path + "/") for o in others):
                added[path] = data
        operations = [AddFile(path, data) for path, data in added.items()]
        repository.commit(MAIN, operations, message="m", author=author)
        expected |= added
    sha = repository.resolve("main")
    found = {
        entry.path: repository.read(sha, entry.path)
        for entry in repository.tree(sha, recursive=True)
        if entry.kind == "file"
    }
    assert found == expected
    assert_sound(repository)


def test_two_writers_at_once_both_land(repository, author):
    repository.commit(MAIN, [AddFile("start", b"")], message="s", author=author)
    failures: list[Exception] = []

    def work(number: int) -> None:
        mine = Repository(repository.path)
        try:
            for index in range(10):
                operation = AddFile(f"{number}/{index}", b"x")
                mine.commit(MAIN, [operation], message="m", author=author)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert repository.count_commits(repository.resolve("main")) == 41
    assert len(paths_of(repository, "main")) == 41
    assert_sound(repository)


def test_only_one_of_two_writers_with_the_same_parent_wins(repository, author):
    start = repository.commit(MAIN, [AddFile("a", b"")], message="s", author=author)
    outcomes: list[str] = []

    def work(number: int) -> None:
        try:
            Repository(repository.path).commit(
                MAIN,
                [AddFile(f"{number}", b"x")],
                message="m",
                author=author,
                expected_parent=start.sha,
            )
            outcomes.append("won")
        except ParentMoved:
            outcomes.append("lost")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "lost", "lost", "won"]
    assert repository.count_commits(repository.resolve("main")) == 2


def test_writer_that_waits_too_long_says_so(repository, author):
    waiting = Repository(repository.path, lock_timeout_s=0.1)
    outcome: list[Exception] = []

    def work() -> None:
        try:
            waiting.commit(MAIN, [], message="m", author=author)
        except RepositoryBusy as error:
            outcome.append(error)

    with repository.lock():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(outcome) == 1
    assert repository.refs() == []


def test_lock_may_be_held_around_a_commit(repository, write):
    with repository.lock():
        made = write({"a": b"1"})
    assert repository.resolve("main") == made.sha


WRITER = """
    import itertools, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from hub.vcs import AddFile, Repository, Signature
    repository = Repository(Path(sys.argv[1]))
    author = Signature("a", "b", datetime(2026, 1, 1, tzinfo=UTC))
    print("ready", flush=True)
    for number in itertools.count():
        files = [AddFile(f"{number}/{i}", b"%d %d" % (number, i)) for i in range(30)]
        repository.commit("refs/heads/main", files, message="m", author=author)
"""


def test_writer_killed_in_the_middle_leaves_a_sound_repository(repository, write):
    write({"a": b"1"})
    for delay_s in (0.05, 0.11, 0.17):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(repository.path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert process.stdout is not None
        process.stdout.readline()
        threading.Event().wait(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        git(repository, "fsck", "--full", "--strict", "--no-dangling")
    made = Repository(repository.path).commit(
        MAIN,
        [AddFile("after", b"")],
        message="m",
        author=Signature("a", "b", datetime(2026, 1, 1, tzinfo=UTC)),
    )
    assert "after" in paths_of(repository, made.sha)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("number", [1, 100], ids=["loose", "pack"])
def test_full_disk_is_named_and_leaves_the_branch_alone(small_disk, author, number):
    repository = Repository.init(small_disk / "r.git")
    before = repository.commit(MAIN, [AddFile("a", b"1")], message="m", author=author)
    files = [AddFile(f"f{i}", os.urandom(4_000_000 // number)) for i in range(number)]
    with pytest.raises(RepositoryFull):
        repository.commit(MAIN, files, message="m", author=author)
    assert repository.resolve("main") == before.sha
    leftovers = [path for path in repository.path.rglob("tmp_*") if path.is_file()]
    assert leftovers == []
    repository.commit(MAIN, [AddFile("b", b"2")], message="m", author=author)
    assert_sound(repository)


def test_init_never_touches_what_is_there(tmp_path, repository):
    (repository.path / "keep").write_text("x")
    with pytest.raises(FileExistsError):
        Repository.init(repository.path)
    assert (repository.path / "keep").read_text() == "x"
    assert [path.name for path in repository.path.parent.iterdir()] == [repository.path.name]


def test_missing_repository_is_named(tmp_path):
    with pytest.raises(RepositoryMissing):
        Repository(tmp_path / "nowhere.git")


def test_default_branch_may_have_another_name(tmp_path, author):
    repository = Repository.init(tmp_path / "r.git", default_branch="trunk")
    made = repository.commit("refs/heads/trunk", [], message="m", author=author)
    assert repository.resolve("HEAD") == made.sha


def test_read_of_unknown_commit_says_revision(repository):
    with pytest.raises(RevisionNotFound):
        repository.read("0" * 40, "a")
