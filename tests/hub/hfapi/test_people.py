"""Users and organisations through the Hub API: counts, follows, members, storage."""

from __future__ import annotations

import pytest

from hub.actions.follows import follow, unfollow
from hub.actions.organizations import set_member
from hub.actions.profiles import update_user_profile
from hub.actions.tokens import Grant
from hub.errors import InvalidInput
from hub.models import Follow, Role, TokenScope
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit_large, make_repo, make_token, make_user

MAY_READ = {"owner", "member", "reader", "admin"}


def test_overview_of_a_user_says_what_they_say_and_have(cast: Cast) -> None:
    update_user_profile(user=cast.owner, full_name="Olive Tree", bio="Grows.", homepage="")
    make_repo(cast.owner, "one")
    make_repo(cast.owner, "two", repo_type="dataset")
    follow(namespace=cast.owner.namespace, acting_user=cast.stranger)
    follow(namespace=cast.organization.namespace, acting_user=cast.owner)
    answer = HubApi(cast.token("stranger")).get("/api/users/OLIVE/overview").json()
    assert (answer["user"], answer["fullname"], answer["details"]) == (
        "olive", "Olive Tree", "Grows."
    )  # fmt: skip
    assert [answer[f"num{kind}"] for kind in ("Models", "Datasets", "Spaces")] == [1, 1, 0]
    assert (answer["numFollowers"], answer["numFollowing"]) == (1, 1)
    assert answer["isFollowing"] is True
    assert [org["name"] for org in answer["orgs"]] == ["guild"]
    assert "email" not in str(answer)


@pytest.mark.parametrize("role", ROLES)
def test_counts_hold_only_what_the_caller_may_see(cast: Cast, role: str) -> None:
    cast.public_repo()
    cast.private_repo()
    answer = HubApi(cast.token(role)).get("/api/organizations/guild/overview").json()
    assert answer["numModels"] == (2 if role in MAY_READ else 1)
    assert answer["numUsers"] == 3


def test_a_token_for_chosen_repositories_counts_no_others(cast: Cast) -> None:
    granted, _ = cast.private_repo(), make_repo(cast.organization, "other", is_private=True)
    token = make_token(cast.owner, scope=TokenScope.FINE_GRAINED, grants=(Grant(granted, False),))
    api = HubApi(token)
    assert api.get("/api/organizations/guild/overview").json()["numModels"] == 1
    rows = api.get("/api/organizations/guild/settings/repositories").json()
    assert [row["id"] for row in rows] == ["guild/secret-model"]


def test_followers_following_and_members_come_in_pages(cast: Cast) -> None:
    for _ in range(5):
        follow(namespace=cast.organization.namespace, acting_user=make_user())
        set_member(
            organization=cast.organization, user=make_user(), role=Role.READ, acting_user=cast.owner
        )
    api = HubApi(None)
    for path, total in (("followers", 5), ("members", 8)):
        names, address, calls = [], f"/api/organizations/guild/{path}?limit=3", 0
        while address:
            answer = api.get(address)
            names += [row["user"] for row in answer.json()]
            link = answer.headers.get("Link", "")
            address = link.partition("<")[2].partition(">")[0].partition("//")[2]
            address = address[address.find("/") :] if address else ""
            calls += 1
        assert (len(names), len(set(names)), calls) == (total, total, -(-total // 3)), path


def test_what_a_user_follows_names_people_and_organisations(cast: Cast) -> None:
    follow(namespace=cast.organization.namespace, acting_user=cast.member)
    follow(namespace=cast.owner.namespace, acting_user=cast.member)
    rows = HubApi(None).get("/api/users/mira/following").json()
    assert [(row["type"], row["user"]) for row in rows] == [("org", "guild"), ("user", "olive")]


def test_a_disabled_user_is_gone_from_every_list(cast: Cast) -> None:
    follow(namespace=cast.owner.namespace, acting_user=cast.member)
    cast.member.is_active = False
    cast.member.save()
    api = HubApi(None)
    assert api.get("/api/users/olive/followers").json() == []
    assert api.get("/api/users/mira/overview").status_code == 404
    assert "mira" not in str(api.get("/api/organizations/guild/members").json())


@pytest.mark.parametrize(
    "path",
    ["users/nobody/overview", "users/guild/overview", "users/nobody/followers",
     "users/nobody/following", "organizations/olive/overview", "organizations/nobody/members",
     "organizations/nobody/followers"],
)  # fmt: skip
def test_an_unknown_name_is_not_found(cast: Cast, path: str) -> None:
    answer = HubApi(None).get(f"/api/{path}")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "NotFound")


def test_following_twice_is_once_and_oneself_is_refused(cast: Cast) -> None:
    for _ in range(2):
        follow(namespace=cast.owner.namespace, acting_user=cast.member)
    assert Follow.objects.count() == 1
    with pytest.raises(InvalidInput):
        follow(namespace=cast.owner.namespace, acting_user=cast.owner)
    for _ in range(2):
        unfollow(namespace=cast.owner.namespace, acting_user=cast.member)
    assert not Follow.objects.exists()


def test_storage_lists_each_repository_with_what_it_holds(cast: Cast) -> None:
    repo = make_repo(cast.owner, "heavy", is_private=True)
    commit_large(repo, {"a.bin": b"x" * 50_000, "b.bin": b"y" * 30_000, "again.bin": b"x" * 50_000})
    make_repo(cast.owner, "light", repo_type="dataset")
    rows = HubApi(cast.token("owner")).get("/api/settings/repositories").json()
    heavy = next(row for row in rows if row["id"] == "olive/heavy")
    repo.refresh_from_db()
    assert heavy["storage"] == 80_000 + repo.git_bytes
    assert (heavy["type"], heavy["visibility"]) == ("model", "private")
    assert {row["id"] for row in rows} == {"olive/heavy", "olive/light"}
    assert sum(row["storagePercent"] for row in rows) == pytest.approx(100, abs=0.1)
