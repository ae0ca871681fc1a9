"""Profiles: following, contributions, and what of them a reader may know."""

from __future__ import annotations

import pytest

from hub.models import Follow
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_repo

MAY_READ = {"owner", "member", "reader", "admin"}


@pytest.mark.parametrize("role", ROLES)
def test_everyone_signed_in_may_follow_and_stop(cast: Cast, role: str) -> None:
    client = cast.web_client(role)
    answer = client.post("/people/guild/follow")
    user = cast.user(role)
    if user is None:
        assert answer.status_code == 302
        assert "/login" in answer["Location"]
        assert not Follow.objects.exists()
        return
    assert answer["Location"] == "/guild"
    assert Follow.objects.filter(follower=user, namespace__name="guild").exists()
    assert "Stop following" in client.get("/guild").content.decode()
    assert user.username in client.get("/people/guild/followers").content.decode()
    assert "guild" in client.get(f"/people/{user.username}/following").content.decode()
    client.post("/people/guild/follow", {"stop": "1"})
    assert not Follow.objects.exists()


def test_nobody_is_offered_to_follow_themselves(cast: Cast) -> None:
    client = cast.web_client("owner")
    assert '/people/olive/follow"' not in client.get("/olive").content.decode()
    assert client.post("/people/olive/follow").status_code == 400
    assert client.post("/people/nobody/follow").status_code == 404
    assert client.get("/people/guild/following").status_code == 404


@pytest.mark.parametrize("role", ROLES)
def test_contributions_show_only_what_the_reader_may_see(cast: Cast, role: str) -> None:
    commit(cast.public_repo(), {"a.txt": "1"}, user=cast.member)
    hidden = cast.private_repo()
    commit(hidden, {"a.txt": "1"}, user=cast.member)
    commit(hidden, {"a.txt": "2"}, user=cast.member)
    page = cast.web_client(role).get("/mira").content.decode()
    assert "Contributions of late" in page
    assert "guild/open-model" in page
    assert ("guild/secret-model" in page) == (role in MAY_READ)
    assert ("2 changes" in page) == (role in MAY_READ)


def test_a_profile_lists_spaces_once_there_are_some(cast: Cast) -> None:
    client = cast.web_client("anonymous")
    assert "No Spaces to see yet" not in client.get("/olive").content.decode()
    assert "No Spaces to see yet" in client.get("/olive?show=spaces").content.decode()
    make_repo(cast.owner, "demo", repo_type="space")
    assert "/spaces/olive/demo" in client.get("/olive").content.decode()


def test_both_tables_of_memberships_lead_to_their_forms(cast: Cast) -> None:
    client = cast.web_client("owner")
    page = client.get("/organizations/guild/settings").content.decode()
    assert "/organizations/guild/members/mira/role" in page
    assert "/organizations/guild/members/mira/remove" in page
    own = client.get("/settings/organizations").content.decode()
    assert "/organizations/guild/members/olive/remove" in own
    assert "/role" not in own
