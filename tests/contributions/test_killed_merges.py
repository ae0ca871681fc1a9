"""A server killed while a pull request is opened or merged: told once, and done when
asked again."""

from __future__ import annotations

from typing import Any

import pytest

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import open_pull_request
from contributions.models import Discussion
from hub.models import Repo
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cast import Cast
from tests.support.deaths import assert_doctor_is_content, killed_at
from tests.support.factories import commit, make_repo

pytestmark = pytest.mark.django_db(transaction=True)

MAIN = "refs/heads/main"
MERGES = """
after hub.vcs.repository.Repository.write_merge
before hub.vcs.refs._raw_target
after hub.vcs.refs.compare_and_swap
before contributions.actions.pull_requests._mark_merged
after contributions.actions.pull_requests._mark_merged
after contributions.actions.pull_requests.copy_refs #2
before hub.actions.metadata.index_repo
"""
PROPOSALS = """
after hub.vcs.repository.Repository.write_commit
before contributions.actions.pull_requests.append_opening
after hub.vcs.refs.compare_and_swap
after contributions.actions.pull_requests.copy_refs
"""


def opened(cast: Cast) -> Discussion:
    repo = make_repo(cast.owner, files={"a.txt": "one\n"})
    pull = open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
    commit(repo, {"b.txt": "new\n"}, ref=pull.head_ref, user=cast.stranger)
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    commit(repo, {"c.txt": "main\n"})
    return pull


def merge(pull: Discussion, token: str) -> Any:
    return HubApi(token).post(f"{pull.repo.api_path}/discussions/{pull.num}/merge")


def test_merge(cast: Cast) -> None:
    token = cast.token("owner")
    assert token is not None
    for point in MERGES.strip().splitlines():
        pull = opened(cast)
        killed_at(point, lambda pull=pull: merge(pull, token))
        assert merge(pull, token).status_code in {200, 409}, point
        assert_doctor_is_content(pull.repo)
        git = git_of(pull.repo)
        head = git.ref(MAIN)
        pull.refresh_from_db()
        assert (pull.status, pull.merge_commit_sha) == ("merged", head), point
        merged = pull.events.filter(kind="status-change", data__status="merged")
        assert merged.count() == 1, point
        assert git.count_commits(head) == 5, point
        assert Repo.objects.get(pk=pull.repo_id).head_sha == head
        assert len(list(git.tree(head))) == 4


def test_commit_as_pull_request(cast: Cast) -> None:
    api = HubApi(cast.token("stranger"))
    for point in PROPOSALS.strip().splitlines():
        repo = make_repo(cast.owner, files={"a.txt": "one\n"})
        path = f"{repo.api_path}/commit/main?create_pr=1"
        lines = [header("Propose"), file_line("new.txt", b"x")]
        killed_at(point, lambda path=path, lines=lines: api.commit(path, lines))
        shown = api.get(f"{repo.api_path}/discussions").json()["discussions"]
        assert len(shown) <= 1, point
        answer = api.commit(path, lines)
        assert answer.status_code == 200, point
        assert_doctor_is_content(repo)
        num = int(answer.json()["pullRequestUrl"].rpartition("/")[2])
        pull = Discussion.objects.get(repo=repo, num=num)
        assert pull.head_sha == git_of(repo).ref(pull.head_ref)
        assert [event.kind for event in pull.events.order_by("pk")] == ["comment", "commit"]
