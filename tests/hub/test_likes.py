"""Liking repositories: who may, what is counted, and who sees it."""

import threading

import pytest
from django.db import connection, connections

from hub.actions.likes import like_repo, unlike_repo
from hub.actions.tokens import Grant
from hub.models import Like, Repo, TokenScope
from tests.hub.hfapi.conftest import HubApi
from tests.support.factories import make_repo, make_token, make_user


def likes_of(repo):
    repo.refresh_from_db()
    assert repo.likes == Like.objects.filter(repo=repo).count()
    return repo.likes


def test_a_like_counts_once_and_can_be_taken_back(cast):
    repo = cast.public_repo()
    for user, expected in ((cast.stranger, 1), (cast.stranger, 1), (cast.reader, 2)):
        assert like_repo(repo=repo, acting_user=user) == expected
    assert likes_of(repo) == 2
    for user, expected in ((cast.stranger, 1), (cast.stranger, 1), (cast.owner, 1)):
        assert unlike_repo(repo=repo, acting_user=user) == expected
    assert likes_of(repo) == 1


@pytest.mark.django_db(transaction=True)
def test_likes_at_the_same_time_are_all_counted():
    owner = make_user()
    repo = make_repo(owner)
    users = [make_user() for _ in range(6)]
    errors = []

    def work(user):
        try:
            for _ in range(3):
                like_repo(repo=Repo.objects.get(pk=repo.pk), acting_user=user)
                unlike_repo(repo=Repo.objects.get(pk=repo.pk), acting_user=user)
            like_repo(repo=Repo.objects.get(pk=repo.pk), acting_user=user)
        except Exception as error:  # noqa: BLE001  (told below)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(user,)) for user in [*users, users[0]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection.close()
    assert errors == []
    assert likes_of(repo) >= 5


def test_api_likes_and_lists(cast):
    repo, secret = cast.public_repo(), cast.private_repo()
    for each in (repo, secret):
        answer = HubApi(cast.token("reader")).post(f"{each.api_path}/like")
        assert (answer.status_code, answer.json()) == (200, {"likes": 1})
    seen = {"reader": 2, "owner": 2, "admin": 2, "stranger": 1, "anonymous": 1}
    for role, count in seen.items():
        rows = HubApi(cast.token(role)).get("/api/users/rene/likes").json()
        assert len(rows) == count, role
    assert rows[0]["repo"] == {"name": "guild/open-model", "type": "model"}
    likers = HubApi(None).get(f"{repo.api_path}/likers").json()
    assert [(row["user"], row["fullname"]) for row in likers] == [("rene", "rene")]
    assert HubApi(cast.token("stranger")).get(f"{secret.api_path}/likers").status_code == 404
    assert HubApi(None).get(repo.api_path).json()["likes"] == 1
    assert HubApi(None).get("/api/models").json()[0]["likes"] == 1
    assert HubApi(None).get("/api/users/nobody/likes").status_code == 404


def test_likers_are_paged(cast):
    repo = cast.public_repo()
    for name in ("one", "two", "three"):
        like_repo(repo=repo, acting_user=make_user(name))
    first = HubApi(None).get(f"{repo.api_path}/likers?limit=2")
    assert [row["user"] for row in first.json()] == ["three", "two"]
    address = first["Link"].partition(";")[0].strip("<>").removeprefix("http://testserver")
    rest = HubApi(None).get(address)
    assert [row["user"] for row in rest.json()] == ["one"]
    assert "Link" not in rest
    assert HubApi(None).get(f"{repo.api_path}/likers?cursor=abc").status_code == 400


def test_a_fine_grained_token_likes_what_it_may_write_to(cast):
    granted, other = cast.private_repo(), cast.public_repo()
    token = make_token(
        cast.owner, scope=TokenScope.FINE_GRAINED, grants=(Grant(granted, can_write=True),)
    )
    api = HubApi(token)
    assert api.post(f"{granted.api_path}/like").status_code == 200
    assert api.post(f"{other.api_path}/like").status_code == 403
    assert (likes_of(granted), likes_of(other)) == (1, 0)
    hidden = cast.private_repo("hidden")
    like_repo(repo=hidden, acting_user=cast.owner)
    assert [row["repo"]["name"] for row in api.get("/api/users/olive/likes").json()] == [
        "guild/secret-model"
    ]
