"""Who may move a ref: the one rule that commits by API and pushes by git share."""

from __future__ import annotations

import subprocess

import pytest

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import open_pull_request
from contributions.models import Discussion
from hub import events
from hub.access import check_may_move_ref
from hub.actions.refs import copy_refs
from hub.actions.tokens import Grant
from hub.auth import Actor, find_token
from hub.errors import AuthenticationRequired, Conflict, PermissionDenied, RevisionNotFound
from hub.models import Repo, TokenScope
from hub.pull_requests import pull_number
from hub.site import git_of, git_path
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_repo, make_token

WRITERS = {"owner", "member", "admin"}


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "thing", creator=cast.owner, files={"a.txt": "one\n"})


@pytest.fixture
def pull(repo: Repo, cast: Cast) -> Discussion:
    return open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("ref", ["main", "refs/heads/main", "refs/tags/v1", "refs/pr/1"])
def test_over_the_cast(repo: Repo, pull: Discussion, cast: Cast, role: str, ref: str) -> None:
    actor = cast.actor(role)
    if role in WRITERS or (role == "stranger" and ref == "refs/pr/1"):
        check_may_move_ref(actor, repo, ref)
        return
    with pytest.raises(AuthenticationRequired if role == "anonymous" else PermissionDenied):
        check_may_move_ref(actor, repo, ref)


@pytest.mark.parametrize(
    ("scope", "is_granted", "is_allowed"),
    [
        (TokenScope.WRITE, False, True),
        (TokenScope.READ, False, False),
        (TokenScope.FINE_GRAINED, False, False),
        (TokenScope.FINE_GRAINED, True, True),
    ],
)
def test_token_narrows_what_its_user_may(
    repo: Repo, pull: Discussion, cast: Cast, scope: TokenScope, is_granted: bool, is_allowed: bool
) -> None:
    other = make_repo(cast.stranger)
    grants = (Grant(repo if is_granted else other, can_write=True),)
    grants = grants if scope == TokenScope.FINE_GRAINED else ()
    text = make_token(cast.stranger, scope=scope, grants=grants)
    actor = Actor(user=cast.stranger, token=find_token(text))
    if is_allowed:
        check_may_move_ref(actor, repo, "refs/pr/1")
    else:
        with pytest.raises(PermissionDenied):
            check_may_move_ref(actor, repo, "refs/pr/1")
    with pytest.raises(PermissionDenied):
        check_may_move_ref(actor, repo, "refs/heads/main")


def test_finished_pull_request_is_closed_to_all(repo: Repo, pull: Discussion, cast: Cast) -> None:
    change_status(discussion=pull, status="closed", acting_user=cast.stranger)
    for role in ("owner", "stranger"):
        with pytest.raises(Conflict):
            check_may_move_ref(cast.actor(role), repo, "refs/pr/1")
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    check_may_move_ref(cast.actor("stranger"), repo, "refs/pr/1")


@pytest.mark.parametrize("tail", ["", "0", "01", "x", "1/2", "-1", "²", "9" * 10, "1\n"])
def test_name_that_is_no_pull_request_is_not_found(repo: Repo, cast: Cast, tail: str) -> None:
    with pytest.raises(RevisionNotFound):
        pull_number(f"refs/pr/{tail}")
    with pytest.raises(RevisionNotFound):
        check_may_move_ref(cast.actor("owner"), repo, f"refs/pr/{tail}")


# What a push brings, told by the copy of the refs alone.


def git(repo: Repo, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(git_path(repo)), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_push_of_the_head_to_the_branch_merges(repo: Repo, pull: Discussion, cast: Cast) -> None:
    head = commit(repo, {"b.txt": "b"}, ref="refs/pr/1", user=cast.stranger)
    git(repo, "update-ref", "refs/heads/main", head)
    copy_refs(repo=repo, acting_user=cast.owner, names={"refs/heads/main"})
    pull.refresh_from_db()
    assert (pull.status, pull.merge_commit_sha) == ("merged", head)
    event = pull.events.get(kind="status-change")
    assert (event.author, event.data) == (cast.owner, {"status": "merged"})


def test_ref_set_back_to_its_branch_is_not_merged(repo: Repo, pull: Discussion, cast: Cast) -> None:
    commit(repo, {"b.txt": "b"}, ref="refs/pr/1", user=cast.stranger)
    commit(repo, {"c.txt": "c"})
    git(repo, "update-ref", "refs/pr/1", "refs/heads/main")
    copy_refs(repo=repo, acting_user=cast.stranger, names={"refs/pr/1"})
    commit(repo, {"d.txt": "d"})
    pull.refresh_from_db()
    assert pull.status == "draft"
    assert pull.head_sha == git_of(repo).ref("refs/pr/1")


def test_push_of_many_commits_tells_the_newest(
    repo: Repo, pull: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contributions.actions.pull_requests.MAX_COMMIT_EVENTS", 3)
    vcs = git_of(repo)
    vcs.create_ref("refs/heads/work", vcs.ref("refs/heads/main"))
    for number in range(5):
        tip = commit(repo, {"n": str(number)}, ref="refs/heads/work", message=f"c{number}")
    vcs.update_ref("refs/pr/1", tip, expected_old=vcs.ref("refs/pr/1"))
    copy_refs(repo=repo, acting_user=cast.stranger, names={"refs/pr/1"})
    told = pull.events.filter(kind="commit").order_by("pk")
    assert [event.data["subject"] for event in told] == ["c2", "c3", "c4"]


@pytest.mark.django_db(transaction=True)
def test_news_goes_out_for_each_change(repo: Repo, cast: Cast) -> None:
    seen: list[events.DiscussionChanged] = []
    events.receives(events.DiscussionChanged)(seen.append)
    try:
        pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
        commit(repo, {"b.txt": "b"}, ref="refs/pr/1", user=cast.stranger)
        change_status(discussion=pull, status="open", acting_user=cast.stranger)
    finally:
        events._receivers[events.DiscussionChanged].remove(seen.append)
    assert [event.action for event in seen] == ["create", "update", "update"]
    assert {(event.repo_id, event.num, event.is_pull_request) for event in seen} == {
        (repo.pk, 1, True)
    }
    assert {event.actor_id for event in seen} == {cast.stranger.pk}
