"""How far each of the cast gets on every route of a private repository, from the URL configuration.

Who has more right is never refused what somebody with less is given, and what a member may do is
named here: a route that opens further fails.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from contributions.actions.pull_requests import open_pull_request
from hub.models import Repo
from tests.architecture.test_every_route import (
    BY_SIGNATURE,
    METHODS,
    OPEN_TO_READERS,
    Route,
    asks_to_sign_in,
    routes,
)
from tests.support.cast import Cast
from tests.support.factories import make_repo

LADDER = ("reader", "member", "owner")
"""From least to most; the site's maintainers stand with the owner. What strangers meet is held by
test_every_route.py."""

OWNERS_ONLY = """
    hf_settings hf_delete_large_files repo_settings repo_set_visibility repo_set_gate repo_rename
    repo_delete
""".split()
"""Routes by which an owner may do what a member may not; a new one may go without a line."""

MEMBERS_ONLY = """
    hf_auth_check_write hf_preupload hf_commit xet-write-token hf_branch hf_tag hf_super_squash
    hf_large_files hf_discussion_merge hf_discussion_status hf_discussion_title discussion_merge
    discussion_status discussion_title hf_access_requests hf_grant_access hf_handle_access
    access_requests decide_access grant_access access_report import_results
""".split()
"""Routes by which a member may do what a reader may not."""

TAKING_PART = """
    hf_discussion_comment hf_comment_edit hf_comment_hide discussion_comment discussion_edit_comment
    discussion_hide_comment lfs_locks lfs_locks_below
""".split()
"""What a reader may send to a discussion, where it is asked whose comment it is; and the locks of
git-lfs, which nobody is given."""


def each_route() -> dict[str, Route]:
    """The routes of repositories; of those that differ by the kind of repository, one."""
    found = {route.base_name: route for route in routes() if route.is_of_repo}
    assert len(found) > 40
    return found


def kind_of(route: Route) -> str:
    if route.template.startswith("spaces/"):
        return "space"
    is_dataset = "datasets/" in route.template or "dataset" in route.repo_types()
    return "dataset" if is_dataset else "model"


def is_refused(answer: Any) -> bool:
    """For want of right, not for what was asked."""
    is_hidden = answer.status_code == 404 and answer.get("X-Error-Code") == "RepoNotFound"
    return answer.status_code in {401, 403} or is_hidden or asks_to_sign_in(answer)


class Guild:
    """A private repository of each kind, made again when somebody has removed or renamed it."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        roles = (*LADDER, "admin", "anonymous")
        self.tokens = {role: cast.api_client(role) for role in roles}
        self.sessions = {role: cast.web_client(role) for role in roles}

    def call(self, role: str, route: Route, method: str) -> Any:
        kind = kind_of(route)
        if not Repo.objects.named(kind, "guild", "thing").exists():
            repo = make_repo(
                self.cast.organization, "thing", repo_type=kind, is_private=True,
                creator=self.cast.owner, files={"README.md": "# Hi\n"},
            )  # fmt: skip
            open_pull_request(repo=repo, title="T", description="", acting_user=self.cast.owner)
        is_call = route.template.startswith("api/") or "git_" in route.name or "lfs" in route.name
        client = (self.tokens if is_call else self.sessions)[role]
        path = route.path(kind, "guild", "thing")
        answer = client.generic(method, path, b"{}", content_type="application/json")
        assert answer.status_code < 500 or answer.status_code == 501, (role, method, path)
        b"".join(answer)
        return answer


@pytest.mark.django_db
def test_every_route_of_a_repository_over_the_whole_cast(cast: Cast) -> None:
    guild = Guild(cast)
    lowest: dict[str, set[str]] = defaultdict(set)
    for name, route in each_route().items():
        for method in METHODS:
            answers = {role: guild.call(role, route, method) for role in LADDER}
            if 405 in {answer.status_code for answer in answers.values()}:
                continue
            refused = [is_refused(answer) for answer in answers.values()]
            told = (name, method, {role: one.status_code for role, one in answers.items()})
            assert refused == sorted(refused, reverse=True), told
            assert is_refused(guild.call("admin", route, method)) == refused[-1], told
            role = LADDER[refused.index(False)] if False in refused else "nobody"
            if method != "GET" or role != "reader":
                lowest[role].add(name)
    assert lowest["nobody"] == BY_SIGNATURE
    assert lowest["owner"] >= set(OWNERS_ONLY)
    assert lowest["member"] == set(MEMBERS_ONLY), lowest["member"] ^ set(MEMBERS_ONLY)
    opened = lowest["reader"] - {*OPEN_TO_READERS, *TAKING_PART}
    assert opened == set()
