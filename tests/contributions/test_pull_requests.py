"""Pull requests in git and in the database: opening, commits, merging, conflicts."""

from __future__ import annotations

import pytest

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import merge_pull_request, open_pull_request
from contributions.merging import obstacles_of
from contributions.models import Discussion, EventKind
from contributions.pulls import merge_state, pull_commits, pull_diff, pull_files
from hub.actions.refs import copy_refs, squash_history
from hub.errors import Conflict
from hub.models import Repo
from hub.site import git_of
from hub.vcs.errors import ParentMoved
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large, make_repo

BASE = {"a.txt": "one\ntwo\nthree\n", "b.txt": "b\n"}


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "thing", creator=cast.owner, files=BASE)


def opened(repo: Repo, cast: Cast, files: dict[str, str | bytes] | None = None) -> Discussion:
    """A pull request of the stranger's, open for review, with one commit."""
    pull = open_pull_request(
        repo=repo, title="Proposal", description="why", acting_user=cast.stranger
    )
    if files:
        commit(repo, files, ref=pull.head_ref, message="Propose", user=cast.stranger)
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    pull.refresh_from_db()
    return pull


def kinds(pull: Discussion) -> list[str]:
    return list(pull.events.order_by("pk").values_list("kind", flat=True))


def test_new_pull_request_is_a_draft_at_the_head_of_its_branch(repo, cast):
    pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
    assert (pull.num, pull.status, pull.base_ref) == (1, "draft", "refs/heads/main")
    assert git_of(repo).ref("refs/pr/1") == git_of(repo).ref("refs/heads/main") == pull.head_sha
    assert repo.refs.get(name="refs/pr/1").commit_sha == pull.head_sha
    assert kinds(pull) == ["comment"]


def test_each_commit_is_told_once(repo, cast):
    pull = opened(repo, cast, {"new.txt": "x"})
    second = commit(repo, {"more.txt": "y"}, ref=pull.head_ref, message="More", user=cast.owner)
    pull.refresh_from_db()
    told = pull.events.filter(kind=EventKind.COMMIT).order_by("pk")
    assert [event.data["subject"] for event in told] == ["Propose", "More"]
    assert told[1].data["oid"] == second == pull.head_sha
    assert [event.author for event in told] == [cast.stranger, cast.owner]


def test_merge_fast_forwards_where_it_can(repo, cast):
    pull = opened(repo, cast, {"new.txt": "x"})
    merged = merge_pull_request(pull=pull, acting_user=cast.owner, comment="Thanks")
    git = git_of(repo)
    assert merged.status == "merged"
    assert merged.merge_commit_sha == pull.head_sha == git.ref("refs/heads/main")
    assert git.ref("refs/pr/1") == pull.head_sha
    repo.refresh_from_db()
    assert repo.head_sha == pull.head_sha
    assert kinds(pull) == ["comment", "commit", "status-change", "comment", "status-change"]


def test_merge_joins_lines_that_went_apart(repo, cast):
    pull = opened(repo, cast, {"a.txt": "ONE\ntwo\nthree\n"})
    ours = commit(repo, {"b.txt": "B\n"})
    merged = merge_pull_request(pull=pull, acting_user=cast.owner)
    git = git_of(repo)
    info = git.commit_info(merged.merge_commit_sha)
    assert info.parents == (ours, pull.head_sha)
    assert git.ref("refs/heads/main") == info.sha
    assert git.read(info.sha, "a.txt") == b"ONE\ntwo\nthree\n"
    assert git.read(info.sha, "b.txt") == b"B\n"


def test_conflict_names_its_paths_and_moves_nothing(repo, cast):
    pull = opened(repo, cast, {"a.txt": "ONE\ntwo\nthree\n", "other.txt": "x"})
    head = commit(repo, {"a.txt": "EINS\ntwo\nthree\n"})
    with pytest.raises(Conflict) as refused:
        merge_pull_request(pull=pull, acting_user=cast.owner, comment="lost")
    assert refused.value.details == {"reasons": ["conflicts"], "conflicts": ["a.txt"]}
    assert git_of(repo).ref("refs/heads/main") == head
    pull.refresh_from_db()
    assert (pull.status, pull.comment_count) == ("open", 1)
    assert list(merge_state(pull).conflicts) == ["a.txt"]


def test_large_files_conflict_as_wholes_and_merge_by_pointer(repo, cast):
    commit_large(repo, {"w.bin": b"base"})
    pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
    commit_large(repo, {"w.bin": b"ours"}, ref=pull.head_ref, user=cast.stranger)
    commit(repo, {"c.txt": "c"})
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    assert not obstacles_of(merge_state(pull))
    commit_large(repo, {"w.bin": b"them"})
    assert list(merge_state(pull).conflicts) == ["w.bin"]


@pytest.mark.parametrize("status", ["draft", "closed", "merged"])
def test_only_an_open_pull_request_is_merged(repo, cast, status):
    pull = opened(repo, cast, {"new.txt": "x"})
    Discussion.objects.filter(pk=pull.pk).update(status=status)
    before = git_of(repo).ref("refs/heads/main")
    with pytest.raises(Conflict) as refused:
        merge_pull_request(pull=pull, acting_user=cast.owner)
    assert refused.value.details["reasons"] == [status]
    assert git_of(repo).ref("refs/heads/main") == before


def test_pull_request_without_commits_is_not_merged(repo, cast):
    pull = opened(repo, cast)
    with pytest.raises(Conflict) as refused:
        merge_pull_request(pull=pull, acting_user=cast.owner)
    assert refused.value.details["reasons"] == ["empty"]


def test_merge_of_what_was_looked_at_only(repo, cast):
    pull = opened(repo, cast, {"new.txt": "x"})
    seen = pull.head_sha
    commit(repo, {"sneaky.txt": "y"}, ref=pull.head_ref, user=cast.stranger)
    with pytest.raises(ParentMoved):
        merge_pull_request(pull=pull, acting_user=cast.owner, expected_head=seen)
    pull.refresh_from_db()
    assert pull.status == "open"


@pytest.mark.parametrize("status", ["closed", "merged"])
def test_finished_pull_request_takes_no_commits(repo, cast, status):
    pull = opened(repo, cast, {"new.txt": "x"})
    Discussion.objects.filter(pk=pull.pk).update(status=status)
    with pytest.raises(Conflict, match=f"#1 is {status}"):
        commit(repo, {"late.txt": "y"}, ref=pull.head_ref, user=cast.stranger)
    assert git_of(repo).ref(pull.head_ref) == pull.head_sha


def test_difference_is_against_the_fork_point(repo, cast):
    pull = opened(repo, cast, {"a.txt": "ONE\ntwo\nthree\n"})
    commit(repo, {"b.txt": "changed on main\n"})
    for state in ("open", "merged"):
        text = pull_diff(pull)
        assert "-one\n+ONE\n" in text, state
        assert "b.txt" not in text, state
        pull = merge_pull_request(pull=pull, acting_user=cast.owner) if state == "open" else pull


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/pr/1"])
def test_squash_of_either_side_spoils_no_merge(repo, cast, ref):
    pull = opened(repo, cast, {"a.txt": "ONE\ntwo\nthree\n"})
    commit(repo, {"b.txt": "B\n"})
    squash_history(repo=repo, revision=ref, message="one", acting_user=cast.owner)
    pull.refresh_from_db()
    assert not merge_state(pull).conflicts
    shown = pull_diff(pull)
    assert "-one\n+ONE\n" in shown
    merged = merge_pull_request(pull=pull, acting_user=cast.owner)
    git = git_of(repo)
    assert git.ref("refs/heads/main") == merged.merge_commit_sha
    assert git.read(merged.merge_commit_sha, "a.txt") == b"ONE\ntwo\nthree\n"
    assert git.read(merged.merge_commit_sha, "b.txt") == b"B\n"
    assert pull_diff(merged) == shown


def test_what_was_merged_into_a_pull_request_is_not_its_own(repo, cast):
    pull = opened(repo, cast, {"a.txt": "ONE\ntwo\nthree\n"})
    theirs = commit(repo, {"b.txt": "B\n"})
    git, head = git_of(repo), pull.head_sha
    joined = git.write_merge(head, theirs, message="Update", author=git.commit_info(theirs).author)
    git.update_ref(pull.head_ref, joined.sha, expected_old=head)
    copy_refs(repo=repo, acting_user=cast.stranger, names={pull.head_ref})
    pull.refresh_from_db()
    for _ in ("open", "merged"):
        assert [info.sha for info in pull_commits(pull, limit=9)] == [joined.sha, head]
        assert [file.path for file in pull_files(pull).files] == ["a.txt"]
        if pull.status == "open":
            pull = merge_pull_request(pull=pull, acting_user=cast.owner)
    assert pull.merge_commit_sha == joined.sha
    subjects = pull.events.filter(kind="commit").order_by("pk").values_list("data__subject")
    assert [subject for (subject,) in subjects] == ["Propose", "Update"]


def test_large_difference_says_what_it_leaves_out(repo, cast, monkeypatch):
    pull = opened(repo, cast, {f"f{n}.txt": "x\n" * 50 for n in range(5)} | {"z": b"\0bin"})
    assert "Binary files /dev/null and b/z differ\n" in pull_diff(pull)
    monkeypatch.setattr("contributions.pulls.MAX_DIFF_CHARS", 600)
    shown = pull_diff(pull)
    assert shown.count("diff --git") < 6
    assert shown.endswith(f"# {6 - shown.count('diff --git')} more files differ; "
                          "there is no room here.\n")  # fmt: skip
