"""A process that dies between git and the database, and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contributions.actions import pull_requests
from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import merge_pull_request, open_pull_request
from contributions.models import Discussion, DiscussionEvent
from hub.actions import commits
from hub.actions.commits import propose_files
from hub.actions.refs import rebuild_copy
from hub.models import Repo
from hub.site import git_of
from hub.vcs.operations import AddFile
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, make_repo


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "thing", creator=cast.owner, files={"a.txt": "one\n"})


@pytest.fixture
def pull(repo: Repo, cast: Cast) -> Discussion:
    pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
    commit(repo, {"b.txt": "new\n"}, ref=pull.head_ref, user=cast.stranger)
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    return Discussion.objects.select_related("repo__namespace").get(pk=pull.pk)


def dying(*, at_call: int, of: Callable[..., Any]) -> Callable[..., Any]:
    """`of`, which ends the process at that call (from 1)."""
    calls = []

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == at_call:
            raise Killed
        return of(*args, **kwargs)

    return call


def kinds(pull: Discussion) -> list[str]:
    return list(pull.events.order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def half_merged(
    pull: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch, is_fast: bool
) -> Discussion:
    """The branch has the merge; no row says so."""
    if not is_fast:
        commit(pull.repo, {"c.txt": "main\n"})
    with monkeypatch.context() as patch:
        copy = pull_requests.copy_refs
        patch.setattr(pull_requests, "copy_refs", dying(at_call=2, of=copy))
        with pytest.raises(Killed):
            merge_pull_request(pull=pull, acting_user=cast.owner, comment="lost with the process")
    pull.refresh_from_db()
    assert pull.status == "open"
    git = git_of(pull.repo)
    assert git.contains(git.ref("refs/heads/main"), pull.head_sha)
    assert pull.repo.refs.get(name="refs/heads/main").commit_sha != git.ref("refs/heads/main")
    return pull


def assert_merged_once(pull: Discussion, merge_sha: str) -> None:
    fresh = Discussion.objects.get(pk=pull.pk)
    assert (fresh.status, fresh.merge_commit_sha) == ("merged", merge_sha)
    assert kinds(fresh) == ["comment", "commit", "status-change", "status-change"]
    repo = Repo.objects.get(pk=pull.repo_id)
    assert repo.head_sha == git_of(repo).ref("refs/heads/main")


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast-forward", "merge-commit"])
@pytest.mark.parametrize("how", ["read", "rebuild", "commit"])
def test_half_done_merge_is_mended(half_merged: Discussion, cast: Cast, how: str) -> None:
    repo = half_merged.repo
    merge_sha = git_of(repo).ref("refs/heads/main")
    if how == "read":
        answer = HubApi(None).get(f"{repo.api_path}/discussions/1").json()
        assert answer["status"] == "merged"
        assert answer["changes"]["mergeCommitId"] == merge_sha
    elif how == "rebuild":
        rebuild_copy(repo=Repo.objects.select_related("namespace").get(pk=repo.pk))
    else:
        commit(Repo.objects.select_related("namespace").get(pk=repo.pk), {"later.txt": "x"})
    assert_merged_once(half_merged, merge_sha)


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast-forward", "merge-commit"])
def test_half_done_merge_is_finished_by_asking_again(half_merged: Discussion, cast: Cast) -> None:
    merge_sha = git_of(half_merged.repo).ref("refs/heads/main")
    answer = HubApi(cast.token("owner")).post(
        f"{half_merged.repo.api_path}/discussions/1/merge", {"comment": "again"}
    )
    assert answer.status_code == 200, answer.content
    assert (
        answer.json()["mergeCommitId"]
        == merge_sha
        == git_of(half_merged.repo).ref("refs/heads/main")
    )
    half_merged.events.get(text="again").delete()
    assert_merged_once(half_merged, merge_sha)


def test_commit_whose_copy_was_lost_is_told_by_the_next(
    pull: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(commits, "copy_refs", dying(at_call=1, of=commits.copy_refs))
        with pytest.raises(Killed):
            commit(pull.repo, {"c.txt": "c"}, ref=pull.head_ref, message="Lost", user=cast.stranger)
    commit(pull.repo, {"d.txt": "d"}, ref=pull.head_ref, message="Next", user=cast.stranger)
    told = pull.events.filter(kind="commit").order_by("pk")
    assert [event.data["subject"] for event in told] == ["Add files", "Lost", "Next"]


def test_read_tells_the_commit_whose_copy_was_lost(
    pull: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(commits, "copy_refs", dying(at_call=1, of=commits.copy_refs))
        with pytest.raises(Killed):
            commit(pull.repo, {"c.txt": "c"}, ref=pull.head_ref, message="Lost", user=cast.stranger)
    for _ in range(2):
        answer = HubApi(None).get(f"{pull.repo.api_path}/discussions/1").json()
        told = [event for event in answer["events"] if event["type"] == "commit"]
        assert [event["data"]["subject"] for event in told] == ["Add files", "Lost"]
    pull.refresh_from_db()
    assert pull.head_sha == git_of(pull.repo).ref("refs/pr/1")


def test_failed_opening_leaves_nothing(
    repo: Repo, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pull_requests, "copy_refs", dying(at_call=1, of=pull_requests.copy_refs))
        with pytest.raises(Killed):
            open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
    assert not git_of(repo).pull_refs()
    assert not DiscussionEvent.objects.exists()
    assert (
        open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger).num == 1
    )


def test_ref_that_a_killed_opening_left_is_passed_over(repo: Repo, cast: Cast) -> None:
    git = git_of(repo)
    git.create_ref("refs/pr/1", git.ref("refs/heads/main"))  # its row was never written
    result = propose_files(
        repo=repo, base="main", operations=[AddFile(path="b", content=b"b")], message="Propose",
        acting_user=cast.stranger,
    )  # fmt: skip
    assert result.pull_number == 2
    assert git.ref("refs/pr/2") == result.commit_sha
    refused = HubApi(cast.token("owner")).get(f"{repo.api_path}/discussions/1")
    assert refused.status_code == 404


def test_merge_that_fails_in_git_changes_nothing(
    pull: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = git_of(pull.repo).ref("refs/heads/main")
    with monkeypatch.context() as patch:
        patch.setattr("hub.vcs.repository.Repository.update_ref", dying(at_call=1, of=print))
        with pytest.raises(Killed):
            merge_pull_request(pull=pull, acting_user=cast.owner, comment="no")
    assert git_of(pull.repo).ref("refs/heads/main") == before
    pull.refresh_from_db()
    assert (pull.status, pull.comment_count) == ("open", 1)
    assert merge_pull_request(pull=pull, acting_user=cast.owner).status == "merged"
