"""Pages of collections, by role."""

from __future__ import annotations

import pytest

from hub.models import Collection
from tests.hub.hfapi.test_collections import MAY_READ, MAY_WRITE, make_collection
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_repo


@pytest.mark.parametrize("role", ROLES)
def test_private_collections_and_items_are_shown_to_members_alone(cast: Cast, role: str) -> None:
    public = make_collection(cast, cast.private_repo(), cast.public_repo())
    private = make_collection(cast, title="Hidden list", is_private=True)
    client = cast.web_client(role)
    page = client.get(f"/collections/{public.slug}").content.decode()
    assert "guild/<strong>open-model" in page
    assert ("secret-model" in page) == (role in MAY_READ)
    assert ("Edit the collection" in page) == (role in MAY_WRITE)
    refused = 401 if role == "anonymous" else 404
    answer = client.get(f"/collections/{private.slug}")
    assert answer.status_code == (200 if role in MAY_READ else refused)
    assert ("Hidden list" in client.get("/guild").content.decode()) == (role in MAY_READ)


@pytest.mark.parametrize("role", ROLES)
def test_only_writers_change_it(cast: Cast, role: str) -> None:
    collection = make_collection(cast, cast.public_repo(), make_repo(cast.owner, "second"))
    first = collection.items.order_by("position")[0]
    base = f"/collections/{collection.slug}"
    client = cast.web_client(role)
    client.post(f"{base}/items/{first.public_id}", {"do": "down"})
    client.post(f"{base}/items/{first.public_id}", {"do": "note", "note": "New note"})
    client.post(f"{base}/edit", {"title": "Renamed", "theme": "pink"})
    changed = Collection.objects.get()
    first.refresh_from_db()
    state = (changed.title, changed.theme, first.position, first.note)
    if role in MAY_WRITE:
        assert state == ("Renamed", "pink", 1, "New note")
        assert client.get(f"/collections/{collection.slug}")["Location"].endswith(changed.slug)
    else:
        assert state == ("Good ones", "blue", 0, "why")
    client.post(f"{base}/items/{first.public_id}", {"do": "remove"})
    assert changed.items.count() == (1 if role in MAY_WRITE else 2)
    client.post(f"{base}/delete", {"confirm": "something else"})
    assert Collection.objects.exists()
    client.post(f"{base}/delete", {"confirm": changed.title})
    assert Collection.objects.exists() == (role not in MAY_WRITE)


def test_a_repository_is_added_from_its_page(cast: Cast) -> None:
    collection = make_collection(cast)
    repo = make_repo(cast.stranger, "rows", repo_type="dataset")
    client = cast.web_client("owner")
    address = "/collections/add?item=datasets/sten/rows"
    assert address in client.get(repo.url_path).content.decode()
    assert "Good ones" in client.get(address).content.decode()
    form = {"collection": collection.slug, "note": "Fine rows"}
    answer = client.post(address, form)
    assert answer["Location"] == f"/collections/{collection.slug}"
    assert "Fine rows" in client.get(answer["Location"]).content.decode()
    assert "already" in client.post(address, form).content.decode()
    others = cast.web_client("stranger").post(address, form)
    assert others.status_code == 200
    assert collection.items.count() == 1


def test_a_private_repository_is_added_by_nobody_who_may_not_see_it(cast: Cast) -> None:
    cast.private_repo()
    answer = cast.web_client("stranger").get("/collections/add?item=models/guild/secret-model")
    assert answer.status_code == 404


def test_a_collection_is_made_on_its_page(cast: Cast) -> None:
    client = cast.web_client("member")
    form = {"owner": "guild", "title": "测试 set", "theme": "blue", "is_private": "on"}
    answer = client.post("/collections/new", form)
    made = Collection.objects.get()
    assert answer["Location"].endswith(made.short_slug)
    assert (made.namespace.name, made.is_private) == ("guild", True)
    assert "already" in client.post("/collections/new", form).content.decode()
    form["owner"] = "olive"
    assert client.post("/collections/new", form).status_code == 200
    assert Collection.objects.count() == 1
