"""Token routes and what their tokens open."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from contributions.actions.pull_requests import open_pull_request
from hub.actions.repos import delete_repo, update_repo_settings
from hub.auth import Actor, find_token
from hub.errors import InvalidToken, PermissionDenied, RepoNotFound
from hub.models import AccessToken, Membership, Repo, Role, TokenScope
from hub.xet.terms import FetchRange
from hub.xet.token import check_data_url, data_url_query, issue_token, read_token
from tests.support.cast import ROLES, Cast, client_with
from tests.support.factories import gate, make_repo, make_token

READERS = {"owner", "member", "reader", "admin"}
WRITERS = {"owner", "member", "admin"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("visibility", ["public", "private"])
def test_read_token_goes_to_who_may_read(cast: Cast, role: str, visibility: str) -> None:
    repo = cast.public_repo() if visibility == "public" else cast.private_repo()
    answer = cast.api_client(role).get(f"{repo.api_path}/xet-read-token/main")
    if visibility == "public" or role in READERS:
        assert answer.status_code == 200
        assert read_token(answer.json()["accessToken"]).repo == repo
    else:
        assert answer.status_code == (401 if role == "anonymous" else 404)
        assert answer["X-Error-Code"] == "RepoNotFound"
        assert "X-Xet-Access-Token" not in answer


@pytest.mark.parametrize("role", ROLES)
def test_write_token_goes_to_who_may_write(cast: Cast, role: str) -> None:
    repo = cast.public_repo()
    answer = cast.api_client(role).get(f"{repo.api_path}/xet-write-token/main")
    if role in WRITERS:
        assert read_token(answer.json()["accessToken"], needs_write=True).repo == repo
    else:
        assert answer.status_code == (401 if role == "anonymous" else 403)


@pytest.mark.parametrize("visibility", ["public", "private"])
@pytest.mark.parametrize("role", ROLES)
def test_write_token_for_a_pull_request_goes_to_who_may_propose(
    cast: Cast, role: str, visibility: str
) -> None:
    repo = cast.public_repo() if visibility == "public" else cast.private_repo()
    answer = cast.api_client(role).get(f"{repo.api_path}/xet-write-token/None?create_pr=1")
    if role in READERS or (role == "stranger" and visibility == "public"):
        assert read_token(answer.json()["accessToken"], needs_write=True).repo == repo
    else:
        assert answer.status_code == (401 if role == "anonymous" else 404)
        assert "X-Xet-Access-Token" not in answer


def test_read_only_token_gets_no_write_token_for_a_pull_request(cast: Cast) -> None:
    repo = cast.public_repo()
    client = cast.api_client("owner", TokenScope.READ)
    answer = client.get(f"{repo.api_path}/xet-write-token/None?create_pr=1")
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "PermissionDenied")


def test_write_token_of_a_pull_request_ref_goes_to_its_author_and_writers(cast: Cast) -> None:
    repo = cast.public_repo()
    open_pull_request(repo=repo, title="T", description="", acting_user=cast.stranger)
    path = f"{repo.api_path}/xet-write-token/refs%2Fpr%2F1"
    statuses = {}
    for role in ROLES:
        statuses[role] = cast.api_client(role).get(path, RAW_URI=path).status_code
    assert statuses == dict.fromkeys(ROLES, 200) | {"reader": 403, "anonymous": 401}


def test_body_and_headers_say_the_same(cast: Cast) -> None:
    repo = cast.public_repo(repo_type="dataset")
    answer = cast.api_client("owner").get(f"{repo.api_path}/xet-write-token/None")
    body = answer.json()
    assert body["casUrl"] == "http://testserver/cas"
    assert isinstance(body["exp"], int)
    assert answer["X-Xet-Cas-Url"] == body["casUrl"]
    assert answer["X-Xet-Access-Token"] == body["accessToken"]
    assert answer["X-Xet-Token-Expiration"] == str(body["exp"])


def test_unknown_revision_or_kind_is_not_found(cast: Cast) -> None:
    repo = cast.public_repo()
    client = cast.api_client("owner")
    answer = client.get(f"{repo.api_path}/xet-read-token/no-such-branch")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")
    for kind in ("datasets", "spaces"):
        answer = client.get(f"/api/{kind}/{repo.full_name}/xet-read-token/main")
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "RepoNotFound")


def test_a_wrong_hub_token_is_refused(cast: Cast) -> None:
    repo = cast.public_repo()
    answer = client_with("hf_wrong").get(f"{repo.api_path}/xet-read-token/main")
    assert answer.status_code == 401


def test_a_read_token_does_not_write(cast: Cast) -> None:
    repo = cast.public_repo()
    token = issue_token(repo=repo, actor=cast.actor("owner"), can_write=False)
    with pytest.raises(PermissionDenied):
        read_token(token.text, needs_write=True)


def test_an_expired_or_changed_token_is_refused(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issue_token(repo=cast.public_repo(), actor=cast.actor("owner"), can_write=True)
    for text in ("", "x", token.text[:-1], token.text + "x", token.text.replace(":", "", 1)):
        with pytest.raises(InvalidToken):
            read_token(text)
    monkeypatch.setattr("time.time", lambda: token.expires_at + 1)
    with pytest.raises(InvalidToken):
        read_token(token.text)


def test_a_token_ends_with_the_right_behind_it(cast: Cast) -> None:
    repo = cast.private_repo()
    token = issue_token(repo=repo, actor=cast.actor("member"), can_write=True)
    membership = Membership.objects.get(organization=cast.organization, user=cast.member)
    membership.role = Role.READ
    membership.save()
    assert read_token(token.text, needs_write=True).repo == repo  # to propose a change
    read_only = make_token(cast.member, scope=TokenScope.READ)
    actor = Actor(user=cast.member, token=find_token(read_only))
    with pytest.raises(PermissionDenied):
        read_token(issue_token(repo=repo, actor=actor, can_write=True).text, needs_write=True)
    membership.delete()
    with pytest.raises(RepoNotFound):
        read_token(token.text)


def test_a_token_ends_with_its_access_token_and_its_repository(cast: Cast) -> None:
    repo = cast.public_repo()
    text = make_token(cast.owner, expires_at=timezone.now() + timedelta(minutes=2))
    access = AccessToken.objects.get(user=cast.owner)
    token = issue_token(repo=repo, actor=Actor(user=cast.owner, token=access), can_write=True)
    assert token.expires_at <= access.expires_at.timestamp()  # type: ignore[union-attr]
    assert text
    other = issue_token(repo=repo, actor=cast.actor("owner"), can_write=True)
    access.delete()
    with pytest.raises(InvalidToken):
        read_token(token.text)
    delete_repo(repo=repo, acting_user=cast.owner)
    with pytest.raises(RepoNotFound):
        read_token(other.text)


def test_lifetime_of_a_token(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000)
    token = issue_token(repo=cast.public_repo(), actor=cast.actor("owner"), can_write=True)
    assert token.expires_at == 1000 + settings.XET_TOKEN_LIFETIME_S


RANGES = [FetchRange(0, 1, 0, 10), FetchRange(3, 5, 40, 100)]


def signed(repo: Repo) -> dict[str, str]:
    query = data_url_query(repo=repo, xorb_hash=bytes(32), ranges=RANGES)
    return {"xorb_hash": "0" * 64, "readers": query.pop("for"), **query}


@pytest.mark.parametrize("is_public", [True, False])
def test_a_data_url_allows_what_was_signed(cast: Cast, is_public: bool) -> None:
    repo = cast.public_repo() if is_public else cast.private_repo()
    assert check_data_url(**signed(repo)) == [(0, 10), (40, 100)]


def test_an_address_signed_for_all_ends_when_the_repository_is_closed(cast: Cast) -> None:
    """By a new gate, by privacy, by deletion; one signed for a reader behind the gate works."""
    repo = cast.public_repo()
    query = signed(repo)
    gate(repo)
    with pytest.raises(PermissionDenied, match="no longer open"):
        check_data_url(**query)
    assert check_data_url(**signed(repo)) == [(0, 10), (40, 100)]
    update_repo_settings(repo=repo, gated="", is_private=True, acting_user=cast.owner)
    with pytest.raises(PermissionDenied, match="no longer open"):
        check_data_url(**query)
    update_repo_settings(repo=repo, is_private=False, acting_user=cast.owner)
    assert check_data_url(**query) == [(0, 10), (40, 100)]
    delete_repo(repo=repo, acting_user=cast.owner)
    with pytest.raises(PermissionDenied, match="deleted"):
        check_data_url(**query)


def test_an_address_for_some_readers_is_short_lived(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    lifetimes = [int(signed(repo)["expires"]) - 1_000_000 for repo in (
        cast.public_repo(), cast.private_repo(), gate(make_repo(cast.owner)),
    )]  # fmt: skip
    assert 3600 <= lifetimes[0] <= 3900
    assert all(600 <= lifetime <= 900 for lifetime in lifetimes[1:])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("xorb_hash", "1" * 64),
        ("ranges", "0-99"),
        ("ranges", ""),
        ("repo", "8"),
        ("readers", "some"),
        ("expires", "9999999999"),
        ("signature", ""),
        ("signature", "x" * 43),
        ("signature", "ü"),
    ],
)
def test_a_changed_data_url_is_refused(cast: Cast, name: str, value: str) -> None:
    with pytest.raises(PermissionDenied):
        check_data_url(**(signed(cast.public_repo()) | {name: value}))


def test_a_data_url_expires(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    query = signed(cast.public_repo())
    monkeypatch.setattr("time.time", lambda: int(query["expires"]) + 1)
    with pytest.raises(PermissionDenied):
        check_data_url(**query)
