"""Collections through the Hub API: who sees and changes what, slugs, order, conflicts."""

from __future__ import annotations

from typing import Any

import pytest

from hub.actions.collections import add_item, create_collection
from hub.models import AuditEntry, Collection, CollectionItem, Repo, TokenScope
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_repo

MAY_READ = {"owner", "member", "reader", "admin"}
MAY_WRITE = {"owner", "member", "admin"}


def make_collection(cast: Cast, *repos: Repo, title: str = "Good ones", **more: Any) -> Collection:
    collection = create_collection(
        namespace=cast.organization.namespace, title=title, acting_user=cast.owner, **more
    )
    for repo in repos:
        add_item(collection=collection, target=repo, note="why")
    return collection


def calls(collection: Collection, item: CollectionItem) -> list[tuple[str, str, Any]]:
    path = f"/api/collections/{collection.slug}"
    body = {"item": {"id": "guild/other", "type": "model"}}
    return [
        ("PATCH", path, {"title": "New title"}),
        ("POST", f"{path}/items", body),
        ("PATCH", f"{path}/items/{item.public_id}", {"note": "changed"}),
        ("DELETE", f"{path}/items/{item.public_id}", {}),
        ("DELETE", path, {}),
    ]


def snapshot() -> Any:
    rows = list(Collection.objects.order_by("pk").values())
    return (
        rows,
        list(CollectionItem.objects.order_by("pk").values()),
        AuditEntry.objects.exclude(verb__startswith="token").count(),
    )


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("role", ROLES)
def test_each_role_reads_and_changes_what_it_may(cast: Cast, role: str, is_private: bool) -> None:
    make_repo(cast.organization, "other", creator=cast.owner)
    collection = make_collection(cast, cast.public_repo(), is_private=is_private)
    item = collection.items.get()
    api = HubApi(cast.token(role))
    hidden = 401 if role == "anonymous" else 404
    sees = role in MAY_READ or not is_private
    answer = api.get(f"/api/collections/{collection.slug}")
    assert answer.status_code == (200 if sees else hidden)
    assert bool(api.get("/api/collections?owner=guild").json()) == sees
    for method, path, body in calls(collection, item):
        before = snapshot()
        answer = api.send(method, path, body)
        if role in MAY_WRITE:
            assert answer.status_code == 200, (method, path, answer.content)
            assert snapshot() != before
        else:
            refused = hidden if not sees or role == "anonymous" else 403
            assert answer.status_code == refused, (method, path)
            assert answer["X-Error-Code"]
            assert b"Good ones" not in answer.content
            assert snapshot() == before


@pytest.mark.parametrize("role", ROLES)
def test_who_may_write_in_a_namespace_makes_collections_there(cast: Cast, role: str) -> None:
    body = {"title": "T", "namespace": "guild"}
    answer = HubApi(cast.token(role)).post("/api/collections", body)
    expected = 200 if role in MAY_WRITE else 401 if role == "anonymous" else 403
    assert answer.status_code == expected
    assert Collection.objects.exists() == (expected == 200)


def test_read_only_token_and_session_change_nothing(cast: Cast) -> None:
    collection = make_collection(cast, cast.public_repo())
    cast.private_repo("other")
    web = HubApi(None)
    web.client = cast.web_client("owner")
    before = snapshot()
    for api, status in ((HubApi(cast.token("owner", TokenScope.READ)), 403), (web, 401)):
        for method, path, body in calls(collection, collection.items.get()):
            assert api.send(method, path, body).status_code == status
        assert api.post("/api/collections", {"title": "T"}).status_code == status
    assert snapshot() == before


@pytest.mark.parametrize("role", ROLES)
def test_items_that_a_reader_may_not_see_are_left_out(cast: Cast, role: str) -> None:
    hidden = make_collection(cast, title="Hidden list", is_private=True)
    collection = make_collection(cast, cast.private_repo(), cast.public_repo())
    add_item(collection=collection, target=hidden)
    answer = HubApi(cast.token(role)).get(f"/api/collections/{collection.slug}")
    ids = [item.get("slug", item["id"]) for item in answer.json()["items"]]
    if role in MAY_READ:
        assert ids == ["guild/secret-model", "guild/open-model", hidden.slug]
    else:
        assert ids == ["guild/open-model"]
        for word in ("secret-model", "Hidden"):
            assert word not in answer.content.decode()
    by_item = HubApi(cast.token(role)).get("/api/collections?item=models/guild/secret-model")
    assert bool(by_item.json()) == (role in MAY_READ)


def test_old_slug_works_after_a_new_title(cast: Cast, owner_api: HubApi) -> None:
    collection = make_collection(cast)
    old = collection.slug
    answer = owner_api.send("PATCH", f"/api/collections/{old}", {"title": "Better Ones!"}).json()
    assert answer["data"]["slug"] == f"guild/better-ones-{collection.public_id}"
    assert owner_api.get(f"/api/collections/{old}").json()["title"] == "Better Ones!"
    wrong = f"/api/collections/olive/good-ones-{collection.public_id}"
    assert owner_api.get(wrong).status_code == 404
    assert owner_api.get("/api/collections/guild/better-ones").status_code == 404


def test_same_title_conflicts_and_names_the_slug(cast: Cast, owner_api: HubApi) -> None:
    collection = make_collection(cast)
    body = {"title": "Good ones", "namespace": "guild"}
    answer = owner_api.post("/api/collections", body)
    assert (answer.status_code, answer.json()["slug"]) == (409, collection.slug)
    make_collection(cast, title="Other")
    other = Collection.objects.get(title="Other")
    answer = owner_api.send("PATCH", f"/api/collections/{other.slug}", {"title": "Good ones"})
    assert answer.status_code == 409
    other.refresh_from_db()
    assert other.title == "Other"


def test_items_are_moved_and_an_item_is_there_once(cast: Cast, owner_api: HubApi) -> None:
    repos = [make_repo(cast.owner, name) for name in "abc"]
    collection = make_collection(cast, *repos)
    path = f"/api/collections/{collection.slug}"
    last = owner_api.get(path).json()["items"][2]
    for position, expected in ((0, "cab"), (1, "acb"), (99, "abc")):
        answer = owner_api.send("PATCH", f"{path}/items/{last['_id']}", {"position": position})
        assert answer.status_code == 200
        items = owner_api.get(path).json()["items"]
        assert "".join(item["id"][-1] for item in items) == expected
        assert [item["position"] for item in items] == [0, 1, 2]
    again = owner_api.post(f"{path}/items", {"item": {"id": "olive/a", "type": "model"}})
    assert again.status_code == 409
    assert collection.items.count() == 3


def test_deleting_twice_is_an_error_and_keeps_the_repositories(
    cast: Cast, owner_api: HubApi
) -> None:
    collection = make_collection(cast, cast.public_repo())
    path = f"/api/collections/{collection.slug}"
    item = f"{path}/items/{collection.items.get().public_id}"
    for target in (item, path):
        assert [owner_api.send("DELETE", target).status_code for _ in range(2)] == [200, 404]
    assert Repo.objects.filter(name="open-model").exists()


def test_list_has_no_position_and_comes_in_pages(cast: Cast, anonymous_api: HubApi) -> None:
    for number in range(5):
        make_collection(cast, title=f"C{number}")
    titles, address = [], "/api/collections?limit=2&owner=guild"
    for _ in range(3):
        answer = anonymous_api.get(address)
        titles += [row["title"] for row in answer.json()]
        assert all("position" not in row for row in answer.json())
        link = answer.headers.get("Link", "")
        address = link.partition("//")[2].partition("/")[2].partition(">")[0]
        address = f"/{address}"
    assert titles == ["C4", "C3", "C2", "C1", "C0"]
    assert "Link" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "", {}, 400),
        ("POST", "", {"title": "  "}, 400),
        ("POST", "", {"title": "x" * 61}, 400),
        ("POST", "", {"title": "x", "description": "x" * 151}, 400),
        ("POST", "", {"title": "a\0b"}, 400),
        ("POST", "", {"title": "x", "namespace": "nobody"}, 403),
        ("PATCH", "/{slug}", {"theme": "plaid"}, 400),
        ("PATCH", "/{slug}", {"position": "first"}, 400),
        ("PATCH", "/{slug}", {"position": -1}, 400),
        ("POST", "/{slug}/items", {}, 400),
        ("POST", "/{slug}/items", {"item": {"id": "a/b", "type": "bucket"}}, 400),
        ("POST", "/{slug}/items", {"item": {"id": "1.1", "type": "paper"}}, 400),
        ("POST", "/{slug}/items", {"item": {"id": "no/such", "type": "model"}}, 404),
        ("POST", "/{slug}/items", {"item": {"id": "{slug}", "type": "collection"}}, 400),
        ("POST", "/{slug}/items", {"item": {"id": "2307.09288", "type": "paper"},
                                   "note": "x" * 501}, 400),
        ("GET", "?sort=oldest", None, 400),
        ("GET", "?item=what", None, 400),
        ("GET", "?cursor=bm9uc2Vuc2U", None, 400),
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_changes_nothing(
    cast: Cast, owner_api: HubApi, method: str, path: str, body: Any, status: int
) -> None:
    slug = make_collection(cast).slug
    if body and body.get("item", {}).get("id") == "{slug}":
        body["item"]["id"] = slug
    before = snapshot()
    address = "/api/collections" + path.replace("{slug}", slug)
    answer = owner_api.get(address) if method == "GET" else owner_api.send(method, address, body)
    assert answer.status_code == status, answer.content
    assert answer["X-Error-Code"]
    assert snapshot() == before


def test_a_renamed_repository_stays_and_is_found_by_its_old_id(
    cast: Cast, owner_api: HubApi
) -> None:
    cast.public_repo()
    collection = make_collection(cast)
    move = {"fromRepo": "guild/open-model", "toRepo": "guild/new-name", "type": "model"}
    assert owner_api.post("/api/repos/move", move).status_code == 200
    path = f"/api/collections/{collection.slug}"
    answer = owner_api.post(f"{path}/items", {"item": {"id": "guild/open-model", "type": "model"}})
    assert [item["id"] for item in answer.json()["items"]] == ["guild/new-name"]
