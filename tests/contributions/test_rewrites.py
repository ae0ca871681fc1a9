"""Pull requests of a repository whose history is made anew without a large file."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import merge_pull_request, open_pull_request
from contributions.models import Discussion, DiscussionEvent
from contributions.pulls import changed_range, pull_commits
from hub.actions import large_files
from hub.actions.large_files import delete_large_files
from hub.actions.refs import rebuild_copy
from hub.models import Repo
from hub.site import git_of
from hub.vcs import refs
from tests.contributions.test_faults import Killed, dying
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large, make_repo

BAD = b"must not be kept" * 100
BAD_OID = hashlib.sha256(BAD).hexdigest()
OPEN, MERGED, CLOSED, EMPTY = 1, 2, 3, 4


@pytest.fixture
def repo(cast: Cast) -> Repo:
    """The unwanted file is in the second commit; behind it four pull requests, one of each fate."""
    repo = make_repo(cast.organization, "thing", creator=cast.owner, files={"a.txt": "one\n"})
    commit_large(repo, {"bad.bin": BAD})
    for num in (OPEN, MERGED, CLOSED, EMPTY):
        pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
        assert pull.num == num
        if num == EMPTY:
            continue
        commit(repo, {f"{num}.txt": "new\n"}, ref=pull.head_ref, user=cast.stranger)
        change_status(discussion=pull, status="open", acting_user=cast.stranger)
        if num == MERGED:
            commit(repo, {"on.txt": "main went on\n"})
            merge_pull_request(pull=fresh(pull), acting_user=cast.owner)
        if num == CLOSED:
            change_status(discussion=pull, status="closed", acting_user=cast.owner)
    return again(repo)


def again(repo: Repo) -> Repo:
    return Repo.objects.select_related("namespace").get(pk=repo.pk)


def fresh(pull: Discussion) -> Discussion:
    return Discussion.objects.select_related("repo__namespace").get(pk=pull.pk)


def delete(repo: Repo, cast: Cast) -> None:
    delete_large_files(
        repo=again(repo), oids=[BAD_OID], rewrite_history=True, acting_user=cast.owner
    )


def told(repo: Repo) -> list[Any]:
    """What has been said, but for the ids of commits."""
    rows = DiscussionEvent.objects.filter(discussion__repo=repo).order_by("pk")
    return [(row.discussion_id, row.kind, row.data.get("subject")) for row in rows]


def assert_followed(repo: Repo, events_before: list[Any]) -> None:
    """Every pull request is what it was, at the new commits; nothing was told again."""
    git = git_of(repo)
    pulls = {pull.num: fresh(pull) for pull in Discussion.objects.filter(repo=repo)}
    assert {num: pull.status for num, pull in pulls.items()} == {
        OPEN: "open", MERGED: "merged", CLOSED: "closed", EMPTY: "draft",
    }  # fmt: skip
    assert told(repo) == events_before
    assert BAD_OID not in git.large_oids()
    reachable = {sha for ref in git.refs() for sha in (one.sha for one in git.log(ref.commit_sha))}
    for num, pull in pulls.items():
        assert pull.head_sha == git.ref(pull.head_ref)
        assert pull.base_sha in reachable
        assert {event.data["oid"] for event in pull.events.filter(kind="commit")} <= reachable
        old, new = changed_range(pull)
        changed = [] if num == EMPTY else [f"{num}.txt"]
        assert [file.path for file in git.diff(old, new)] == changed
        assert len(pull_commits(pull, limit=9)) == len(changed)
    assert pulls[MERGED].merge_commit_sha in reachable
    assert all(row.commit_sha == git.ref(row.name) for row in repo.refs.all())


def test_pull_requests_follow_a_rewrite_and_nothing_is_told_again(repo: Repo, cast: Cast) -> None:
    before = told(repo)
    delete(repo, cast)
    assert_followed(repo, before)
    assert not repo.blob_links.exists()


def test_an_open_pull_request_is_merged_after_a_rewrite_as_before(repo: Repo, cast: Cast) -> None:
    delete(repo, cast)
    merged = merge_pull_request(pull=fresh(repo.discussions.get(num=OPEN)), acting_user=cast.owner)
    assert merged.status == "merged"
    assert {"1.txt", "2.txt", "on.txt", "a.txt"} <= {
        entry.path for entry in git_of(repo).tree(merged.merge_commit_sha)
    }
    assert repo.discussions.get(num=EMPTY).status == "draft"


def killed_at(point: str, patch: pytest.MonkeyPatch) -> None:
    """Has the deletion end at that point."""
    if point == POINTS[0]:
        patch.setattr(refs, "compare_and_swap", dying(at_call=1, of=refs.compare_and_swap))
    elif point == POINTS[1]:
        patch.setattr(refs, "compare_and_swap", dying(at_call=3, of=refs.compare_and_swap))
    elif point == POINTS[2]:
        patch.setattr(large_files, "copy_refs", dying(at_call=1, of=large_files.copy_refs))
    elif point == POINTS[3]:
        patch.setattr(large_files, "record", dying(at_call=1, of=large_files.record))
    else:
        name = "refresh_repo_metadata"
        patch.setattr(large_files, name, dying(at_call=1, of=large_files.refresh_repo_metadata))


POINTS = [
    "before any ref moved",
    "half of the refs moved",
    "before the rows follow",
    "within the transaction",
    "after the transaction",
]
HALF_DONE = [
    *((point, "asking again") for point in POINTS),
    *((POINTS[1], how) for how in ("reading", "rebuilding", "committing")),
]


@pytest.mark.parametrize(("point", "mended_by"), HALF_DONE)
def test_a_killed_deletion_is_finished_without_a_trace(
    repo: Repo, cast: Cast, monkeypatch: pytest.MonkeyPatch, point: str, mended_by: str
) -> None:
    before = told(repo)
    with monkeypatch.context() as patch:
        killed_at(point, patch)
        with pytest.raises(Killed):
            delete(repo, cast)
    had_right = repo.blob_links.exists()
    assert had_right == (point != POINTS[4])
    if mended_by == "reading":
        HubApi(None).get(f"{repo.api_path}/discussions/{OPEN}")
    elif mended_by == "rebuilding":
        rebuild_copy(repo=again(repo))
    elif mended_by == "committing":
        commit(again(repo), {"later.txt": "x"})
    if had_right:
        delete(repo, cast)
    assert_followed(repo, before)
    assert not repo.blob_links.exists()


def test_the_note_of_a_rewrite_goes_once_the_rows_have_followed(
    repo: Repo, cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        delete(repo, cast)
    assert git_of(repo).rewritten() == {}


def test_a_commit_that_no_row_knew_is_still_told(
    repo: Repo, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hub.actions import commits

    with monkeypatch.context() as patch:
        patch.setattr(commits, "copy_refs", dying(at_call=1, of=commits.copy_refs))
        with pytest.raises(Killed):
            commit(again(repo), {"c.txt": "c"}, ref="refs/pr/1", message="Lost", user=cast.owner)
    before = len(told(repo))
    delete(repo, cast)
    assert [subject for _, _, subject in told(repo)[before:]] == ["Lost"]
