"""S29 to S31, `gated` in settings, info and lists: who may, in which form, and what is left."""

from __future__ import annotations

from typing import Any

import pytest

from hub.actions.gates import request_access
from hub.models import AccessRequest, Repo
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, gate, make_repo, make_user

pytestmark = pytest.mark.django_db
MAY_ANSWER = {"owner", "member", "admin"}


def asked(cast: Cast, repo_type: str = "model") -> Repo:
    """A gated repository at which the stranger waits."""
    repo = gate(make_repo(cast.organization, "asked", repo_type=repo_type, creator=cast.owner))
    request_access(repo=repo, fields={"Why": "for fun"}, acting_user=cast.stranger)
    return repo


def address(repo: Repo, last: str) -> str:
    return f"{repo.api_path}/user-access-request/{last}"


def states() -> dict[str, str]:
    return dict(AccessRequest.objects.values_list("user__username", "status"))


@pytest.mark.parametrize("role", ROLES)
def test_writers_list_and_answer_and_nobody_else(cast: Cast, role: str) -> None:
    repo, api = asked(cast), HubApi(cast.token(role))
    mira = {"user": "mira"}
    calls = [
        api.get(address(repo, "pending")),
        api.post(address(repo, "handle"), {"user": "sten", "status": "accepted"}),
        api.post(address(repo, "grant"), mira),
    ]
    if role in MAY_ANSWER:
        assert [call.status_code for call in calls] == [200, 200, 200]
        assert states() == {"sten": "accepted", "mira": "accepted"}
    else:
        assert {call.status_code for call in calls} == {401 if role == "anonymous" else 403}
        assert b"for fun" not in calls[0].content
        assert states() == {"sten": "pending"}


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_lists_have_what_clients_read(cast: Cast, owner_api: HubApi, repo_type: str) -> None:
    repo = asked(cast, repo_type)
    row = AccessRequest.objects.get()
    (listed,) = owner_api.get(address(repo, "pending")).json()
    assert listed.pop("timestamp").endswith("Z")
    assert listed == {
        "requestId": row.public_id,
        "status": "pending",
        "fields": {"Why": "for fun"},
        "user": {
            "_id": f"{cast.stranger.pk:024x}", "user": "sten", "fullname": "sten",
            "type": "user", "email": "sten@example.org",
        },
    }  # fmt: skip
    owner_api.post(address(repo, "grant"), {"user": "mira"})
    (granted,) = owner_api.get(address(repo, "accepted")).json()
    assert "email" not in granted["user"]
    assert "fields" not in granted
    assert granted["grantedBy"]["user"] == "olive"
    assert granted["reviewedAt"].endswith("Z")
    assert owner_api.get(address(repo, "rejected")).json() == []
    assert owner_api.get(address(repo, "reset")).status_code == 404


def test_lists_are_paged_by_link(cast: Cast, owner_api: HubApi) -> None:
    repo = gate(cast.public_repo())
    names = [f"user-{number}" for number in range(5)]
    for name in names:
        request_access(repo=repo, fields={}, acting_user=make_user(name))
    found: list[str] = []
    path = address(repo, "pending") + "?limit=2"
    while path:
        answer = owner_api.get(path)
        found += [row["user"]["user"] for row in answer.json()]
        path = answer.get("Link", "").partition(">")[0].removeprefix("<http://testserver")
    assert found == names
    assert len(owner_api.get(address(repo, "pending")).json()) == 5


def test_answers_by_name_or_id_and_a_repeated_one_is_an_error(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = asked(cast)
    ident = AccessRequest.objects.get().public_id
    steps: list[tuple[dict[str, str], str]] = [
        ({"user": "STEN"}, "accepted"), ({"requestId": ident}, "rejected"),
        ({"user": "sten"}, "pending"), ({"requestId": ident}, "accepted"),
    ]  # fmt: skip
    for whom, status in steps:
        answer = owner_api.post(address(repo, "handle"), {**whom, "status": status})
        assert (answer.status_code, answer.json()) == (200, {})
        again = owner_api.post(address(repo, "handle"), {**whom, "status": status})
        assert (again.status_code, again["X-Error-Code"]) == (404, "NotFound")
        assert states() == {"sten": status}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"status": "accepted"}, 400),
        ({"user": "sten", "requestId": "0" * 24, "status": "accepted"}, 400),
        ({"user": "nobody", "status": "accepted"}, 404),
        ({"user": "mira", "status": "accepted"}, 404),
        ({"user": "sten"}, 400),
        ({"user": "sten", "status": "reset"}, 400),
        ({"user": "sten", "status": 1}, 400),
        ({"user": ["sten"], "status": "accepted"}, 400),
        ({"user": "sten", "status": "rejected", "rejectionReason": "x" * 201}, 400),
        ({"user": "sten", "status": "rejected", "rejectionReason": "\0"}, 400),
        ({"requestId": "f" * 24, "status": "accepted"}, 404),
        ({"requestId": "x", "status": "accepted"}, 404),
        ({"requestId": "0" * 24, "status": "accepted"}, 404),
    ],
)
def test_malformed_answers_change_nothing(
    cast: Cast, owner_api: HubApi, body: dict[str, Any], status: int
) -> None:
    repo = asked(cast)
    answer = owner_api.post(address(repo, "handle"), body)
    assert answer.status_code == status, answer.content
    assert states() == {"sten": "pending"}


def test_requests_of_another_repository_are_out_of_reach(cast: Cast, stranger_api: HubApi) -> None:
    repo, own = asked(cast), gate(make_repo(cast.stranger, "own"))
    ident = AccessRequest.objects.get(repo=repo).public_id
    answer = stranger_api.post(address(own, "handle"), {"requestId": ident, "status": "accepted"})
    assert answer.status_code == 404
    assert states() == {"sten": "pending"}


def test_where_there_is_no_gate_nobody_passes_it(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    for last, body in (
        ("grant", {"user": "sten"}), ("handle", {"user": "sten", "status": "accepted"})
    ):  # fmt: skip
        answer = owner_api.post(address(repo, last), body)
        assert (answer.status_code, answer["X-Error-Code"]) == (400, "RepoNotGated")
    assert owner_api.get(address(repo, "pending")).json() == []
    assert states() == {}


def test_granting_twice_is_an_error_and_a_waiting_one_is_accepted(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = asked(cast)
    assert owner_api.post(address(repo, "grant"), {"user": "sten"}).json() == {}
    again = owner_api.post(address(repo, "grant"), {"user": "sten"})
    assert (again.status_code, again["X-Error-Code"]) == (400, "InvalidInput")
    assert owner_api.post(address(repo, "grant"), {"user": "nobody"}).status_code == 404
    (row,) = owner_api.get(address(repo, "accepted")).json()
    assert row["user"]["email"] == "sten@example.org"


def test_who_asked_takes_it_back_while_it_waits(cast: Cast, stranger_api: HubApi) -> None:
    repo = asked(cast)
    assert HubApi(None).post(address(repo, "cancel")).status_code == 401
    assert HubApi(cast.token("member")).post(address(repo, "cancel")).status_code == 404
    assert stranger_api.post(address(repo, "cancel")).json() == {"ok": True}
    assert states() == {}
    assert stranger_api.post(address(repo, "cancel")).status_code == 404


# --- The gate itself -------------------------------------------------------------------------


def test_settings_set_the_gate_alone_or_with_visibility(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    for body, expected in (
        ({"gated": "auto"}, (False, "auto")),
        ({"gated": "manual", "private": True}, (True, "manual")),
        ({"visibility": "public"}, (False, "manual")),
        ({}, (False, "manual")),
        ({"gated": None}, (False, "manual")),
        ({"gated": False}, (False, False)),
    ):
        answer = owner_api.send("PUT", f"{repo.api_path}/settings", body)
        assert answer.json() == {"private": expected[0], "gated": expected[1]}
        info = owner_api.get(repo.api_path).json()
        assert (info["private"], info["gated"]) == expected


@pytest.mark.parametrize("gated", [True, "yes", "", 1, [], "AUTO"])
def test_no_other_gate_is_taken(cast: Cast, owner_api: HubApi, gated: Any) -> None:
    repo = cast.public_repo()
    answer = owner_api.send("PUT", f"{repo.api_path}/settings", {"gated": gated, "private": True})
    assert answer.status_code == 400
    repo.refresh_from_db()
    assert (repo.gated, repo.is_private) == ("", False)


@pytest.mark.parametrize("role", ROLES)
def test_only_admins_set_the_gate(cast: Cast, role: str) -> None:
    repo = cast.public_repo()
    answer = HubApi(cast.token(role)).send("PUT", f"{repo.api_path}/settings", {"gated": "auto"})
    repo.refresh_from_db()
    may = role in {"owner", "admin"}
    assert repo.gated == ("auto" if may else "")
    assert answer.status_code == (200 if may else 401 if role == "anonymous" else 403)


def test_lists_are_narrowed_to_gated_and_ungated(cast: Cast, anonymous_api: HubApi) -> None:
    for repo_type, kind in (("model", "models"), ("dataset", "datasets")):
        for name, mode in (("auto", "auto"), ("manual", "manual"), ("open", "")):
            repo = make_repo(cast.organization, name, repo_type=repo_type, creator=cast.owner)
            commit(repo, {"README.md": "---\ntags: ['is:gated', needle]\n---\n# Hi\n"})
            gate(repo, mode)

        def names(query: str, kind: str = kind) -> list[str]:
            rows = anonymous_api.get(f"/api/{kind}?{query}").json()
            return sorted(row["id"].removeprefix("guild/") for row in rows)

        for yes in ("true", "True", "1"):
            assert names(f"gated={yes}") == ["auto", "manual"]
        for no in ("false", "False"):
            assert names(f"gated={no}") == ["open"]
        assert names("gated=true&search=needle&filter=needle") == ["auto", "manual"]
        assert names("gated=false&search=needle") == ["open"]
        assert names("") == ["auto", "manual", "open"]
        full = anonymous_api.get(f"/api/{kind}?full=true&sort=createdAt").json()
        assert [row["gated"] for row in full] == [False, "manual", "auto"]
