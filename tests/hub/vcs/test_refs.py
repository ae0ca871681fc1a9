"""Branches, tags and pull request refs, and how a revision is understood."""

import pytest

from hub.vcs import Ref
from hub.vcs.errors import (
    InvalidRefName,
    ParentMoved,
    RefExists,
    RefNotFound,
    RepositoryBusy,
    RevisionNotFound,
)

from .conftest import MAIN, assert_sound, git
from .hostile_names import BAD_REF_NAMES


@pytest.fixture
def two(write):
    return write({"a": b"1"}), write({"a": b"2"})


def test_refs_are_listed_by_kind(repository, two, author):
    first, second = two
    repository.create_ref("refs/heads/dev/x", first.sha)
    repository.create_ref("refs/tags/v1", first.sha)
    repository.create_tag("v2", second.sha, message="release\n\nnotes", tagger=author)
    repository.create_ref("refs/pr/3", first.sha)
    assert repository.branches() == [
        Ref("dev/x", "refs/heads/dev/x", first.sha),
        Ref("main", MAIN, second.sha),
    ]
    assert repository.tags() == [
        Ref("v1", "refs/tags/v1", first.sha),
        Ref("v2", "refs/tags/v2", second.sha),
    ]
    assert repository.pull_refs() == [Ref("3", "refs/pr/3", first.sha)]
    assert len(repository.refs()) == 5
    assert git(repository, "cat-file", "-t", "v2") == "tag\n"
    assert_sound(repository)


def test_revision_is_understood_in_every_form(repository, two, author):
    first, second = two
    repository.create_tag("v2", first.sha, message="m", tagger=author)
    repository.create_ref("refs/pr/3", first.sha)
    forms = {
        "main": second.sha,
        "HEAD": second.sha,
        "refs/heads/main": second.sha,
        "v2": first.sha,
        "refs/tags/v2": first.sha,
        "refs/pr/3": first.sha,
        first.sha: first.sha,
        first.sha.upper(): first.sha,
        first.sha[:10]: first.sha,
    }
    assert {form: repository.resolve(form) for form in forms} == forms


def test_branch_goes_before_a_tag_of_the_same_name(repository, two):
    first, second = two
    repository.create_ref("refs/tags/same", first.sha)
    repository.create_ref("refs/heads/same", second.sha)
    assert repository.resolve("same") == second.sha


@pytest.mark.parametrize(
    "revision",
    ["", "nope", "refs/heads/nope", "main~1", "main^", "main@{0}", "@", "..", "0" * 40, "a\0b",
     "refs/../config", "\ud800", "-x", "abcdefg", "main:a", ":/m"],
)  # fmt: skip
def test_unknown_revision_is_named(repository, two, revision):
    with pytest.raises(RevisionNotFound):
        repository.resolve(revision)


def test_id_of_a_blob_or_tree_is_no_revision(repository, two):
    for form in ("main:a", "main^{tree}"):
        sha = git(repository, "rev-parse", form).strip()
        with pytest.raises(RevisionNotFound):
            repository.resolve(sha)


@pytest.mark.parametrize("name", BAD_REF_NAMES)
def test_bad_name_makes_no_ref(repository, two, name):
    with pytest.raises(InvalidRefName):
        repository.create_ref(f"refs/heads/{name}", two[0].sha)
    assert [ref.name for ref in repository.branches()] == ["main"]


@pytest.mark.parametrize(
    ("existing", "wanted"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/b", "a/b")]
)
def test_ref_in_the_way_is_named(repository, two, existing, wanted):
    repository.create_ref(f"refs/heads/{existing}", two[0].sha)
    with pytest.raises(RefExists):
        repository.create_ref(f"refs/heads/{wanted}", two[1].sha)
    assert repository.resolve(existing) == two[0].sha


def test_name_is_free_again_after_deletion(repository, two):
    repository.create_ref("refs/heads/a/b", two[0].sha)
    git(repository, "pack-refs", "--all")
    repository.delete_ref("refs/heads/a/b")
    repository.create_ref("refs/heads/a", two[0].sha)
    assert repository.resolve("a") == two[0].sha
    assert_sound(repository)


def test_ref_is_not_made_on_an_unknown_commit(repository, two):
    with pytest.raises(RevisionNotFound):
        repository.create_ref("refs/heads/x", "0" * 40)


def test_deleted_tag_leaves_the_branch_alone(repository, two, author):
    repository.create_tag("main", two[0].sha, message="m", tagger=author)
    repository.delete_ref("refs/tags/main")
    assert repository.resolve("main") == two[1].sha
    with pytest.raises(RefNotFound):
        repository.delete_ref("refs/tags/main")


def test_ref_moves_only_from_where_it_was_believed_to_be(repository, two):
    first, second = two
    with pytest.raises(ParentMoved):
        repository.update_ref(MAIN, first.sha, first.sha)
    with pytest.raises(ParentMoved):
        repository.update_ref(MAIN, first.sha, None)
    assert repository.resolve("main") == second.sha
    repository.update_ref(MAIN, first.sha, second.sha)
    assert repository.resolve("main") == first.sha


def test_ref_packed_by_git_is_seen_and_moved(repository, two, write):
    git(repository, "gc", "-q")
    assert repository.resolve("main") == two[1].sha
    third = write({"a": b"3"})
    assert git(repository, "rev-parse", "main").strip() == third.sha
    assert_sound(repository)


def test_locks_that_a_killed_writer_left_stop_nobody(repository, two, write):
    repository.create_ref("refs/heads/dev/x", two[0].sha)
    git(repository, "pack-refs", "--all")
    locks = [repository.path / f"{name}.lock" for name in (MAIN, "refs/heads/dev/x", "packed-refs")]
    for lock in locks:
        lock.parent.mkdir(exist_ok=True)
        lock.touch()
    third = write({"a": b"3"})
    repository.delete_ref("refs/heads/dev/x")
    assert [(ref.name, ref.commit_sha) for ref in repository.branches()] == [("main", third.sha)]
    assert not any(lock.exists() for lock in locks)
    assert_sound(repository)


def test_a_ref_that_cannot_be_locked_is_busy(repository, two, write, monkeypatch):
    (repository.path / f"{MAIN}.lock").touch()
    monkeypatch.setattr("hub.vcs.refs._remove_dead_locks", lambda repo, moves: None)
    with pytest.raises(RepositoryBusy):
        write({"a": b"3"})
    assert repository.resolve("main") == two[1].sha
