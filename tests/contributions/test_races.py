"""Two people at once: numbers, merges, and commits that race a merge."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import open_pull_request
from contributions.models import Discussion
from hub.models import Repo
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cast import Cast
from tests.support.factories import commit, make_repo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "thing", creator=cast.owner, files={"a.txt": "one\n"})


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What the calls gave, in their order; each in a thread of its own."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        try:
            barrier.wait()
            results[index] = calls[index]()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def opened(repo: Repo, cast: Cast, name: str) -> Discussion:
    pull = open_pull_request(repo=repo, title=name, description="", acting_user=cast.stranger)
    commit(repo, {f"{name}.txt": "x"}, ref=pull.head_ref, user=cast.stranger)
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    return pull


def test_numbers_are_given_once(repo: Repo, cast: Cast) -> None:
    token = cast.token("stranger")
    path = f"{repo.api_path}/discussions"
    lines = [header("Propose"), file_line("new.txt", b"x")]
    talk = lambda: HubApi(token).post(path, {"title": "T"})  # noqa: E731
    pull = lambda: HubApi(token).post(path, {"title": "T", "pullRequest": True})  # noqa: E731
    propose = lambda: HubApi(token).commit(  # noqa: E731
        f"{repo.api_path}/commit/main?create_pr=1", lines
    )
    answers = at_once([talk, pull, propose] * 3)
    assert [answer.status_code for answer in answers] == [200] * 9
    rows = dict(Discussion.objects.values_list("num", "is_pull_request"))
    assert sorted(rows) == list(range(1, 10))
    refs = {int(ref.name) for ref in git_of(repo).pull_refs()}
    assert refs == {num for num, is_pull in rows.items() if is_pull}


def test_of_two_merges_of_one_pull_request_one_wins(repo: Repo, cast: Cast) -> None:
    pull = opened(repo, cast, "one")
    commit(repo, {"main.txt": "x"})
    token = cast.token("owner")
    path = f"{repo.api_path}/discussions/1/merge"
    answers = at_once([lambda: HubApi(token).post(path)] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    pull.refresh_from_db()
    assert pull.merge_commit_sha == git_of(repo).ref("refs/heads/main")
    assert pull.events.filter(data__status="merged").count() == 1


def test_merges_of_two_pull_requests_both_arrive(repo: Repo, cast: Cast) -> None:
    for name in ("one", "two"):
        opened(repo, cast, name)
    token = cast.token("owner")
    answers = at_once(
        [lambda n=n: HubApi(token).post(f"{repo.api_path}/discussions/{n}/merge") for n in (1, 2)]
    )
    assert [answer.status_code for answer in answers] == [200, 200]
    git = git_of(repo)
    main = git.ref("refs/heads/main")
    assert git.entries(main, ["one.txt", "two.txt"])[1].path == "two.txt"
    repo.refresh_from_db()
    assert repo.head_sha == main
    assert set(Discussion.objects.values_list("status", flat=True)) == {"merged"}


def test_commit_that_races_a_merge_is_in_it_or_refused(repo: Repo, cast: Cast) -> None:
    for number in range(1, 4):
        pull = opened(repo, cast, f"p{number}")
        path = f"{repo.api_path}/commit/refs%2Fpr%2F{number}"
        lines = [header("Late"), file_line(f"late{number}.txt", b"x")]
        writer, owner = cast.token("stranger"), cast.token("owner")
        late, merged = at_once(
            [
                lambda: HubApi(writer).commit(path, lines),  # noqa: B023
                lambda: HubApi(owner).post(f"{repo.api_path}/discussions/{number}/merge"),  # noqa: B023
            ]
        )
        assert merged.status_code == 200, merged.content
        git = git_of(repo)
        main = git.ref("refs/heads/main")
        is_in = bool(git.entries(main, [f"late{number}.txt"]))
        assert late.status_code == (200 if is_in else 409)
        pull.refresh_from_db()
        assert pull.status == "merged"
        assert git.contains(main, git.ref(pull.head_ref))
        assert pull.events.filter(kind="commit").count() == 1 + is_in


def test_close_that_races_a_merge_comes_before_or_is_refused(repo: Repo, cast: Cast) -> None:
    pull = opened(repo, cast, "one")
    owner, author = cast.token("owner"), cast.token("stranger")
    path = f"{repo.api_path}/discussions/1"
    merged, closed = at_once(
        [
            lambda: HubApi(owner).post(f"{path}/merge"),
            lambda: HubApi(author).post(f"{path}/status", {"status": "closed"}),
        ]
    )
    assert sorted([merged.status_code, closed.status_code]) == [200, 409]
    pull.refresh_from_db()
    git = git_of(repo)
    is_in = git.contains(git.ref("refs/heads/main"), pull.head_sha)
    assert (pull.status, is_in) == (
        ("merged", True) if merged.status_code == 200 else ("closed", False)
    )
