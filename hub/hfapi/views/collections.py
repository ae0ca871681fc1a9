"""S21 to S28: collections and their items."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.dateparse import parse_datetime

from hub.actions.collections import (
    add_item,
    create_collection,
    delete_collection,
    remove_item,
    update_collection,
    update_item,
)
from hub.auth import Actor
from hub.collection_access import (
    get_collection_for_read,
    get_collection_for_write,
    get_item_for_write,
    get_listable_repo,
    get_namespace_for_collection,
    visible_collections,
    visible_items,
    with_visible_items,
)
from hub.errors import InvalidInput
from hub.hfapi.base import HubView, is_true, proper_text, text_of
from hub.hfapi.collections import collection_row
from hub.hfapi.pagination import decode_cursor, encode_cursor, limit_of, page_answer
from hub.models import Collection, Repo, RepoType

PAGE_ROWS, MAX_PAGE_ROWS = 20, 100
ITEMS_IN_LISTS = 4
SORTS = ("lastModified", "trending", "upvotes")


class Collections(HubView):
    def get(self, request: HttpRequest) -> HttpResponse:
        """Newest change first, whatever sort is asked for: nobody votes here."""
        if request.GET.get("sort", SORTS[0]) not in SORTS:
            raise InvalidInput(f"“sort” must be one of {', '.join(SORTS)}.")
        limit = limit_of(request, default=PAGE_ROWS, maximum=MAX_PAGE_ROWS)
        found = _after(_wanted(request, self.actor), decode_cursor(request.GET.get("cursor")))
        ordered = with_visible_items(found.order_by("-updated_at", "-pk"), self.actor)
        rows = list(ordered[: limit + 1])
        cursor = _cursor_at(rows[limit - 1]) if len(rows) > limit else None
        shown = [collection_row(row, most_items=ITEMS_IN_LISTS) for row in rows[:limit]]
        return page_answer(request, shown, path=quote(request.path), next_cursor=cursor)

    def post(self, request: HttpRequest) -> HttpResponse:
        user, body = self.actor.require_user(), self.json_body()
        name = text_of(body, "namespace", default=user.username)
        collection = create_collection(
            namespace=get_namespace_for_collection(self.actor, name),
            title=text_of(body, "title"),
            description=text_of(body, "description", default=""),
            is_private=is_true(body.get("private")),
            acting_user=user,
        )
        return _answer(self.actor, collection)


class OneCollection(HubView):
    def get(self, request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
        return _answer(self.actor, get_collection_for_read(self.actor, namespace, slug))

    def patch(self, request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
        collection = get_collection_for_write(self.actor, namespace, slug)
        body = self.json_body()
        update_collection(
            collection=collection,
            title=_optional_text(body, "title"),
            description=_optional_text(body, "description"),
            is_private=is_true(body["private"]) if "private" in body else None,
            theme=_optional_text(body, "theme"),
            position=_position_in(body),
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({"success": True, "data": _described(self.actor, collection)})

    def delete(self, request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
        collection = get_collection_for_write(self.actor, namespace, slug)
        delete_collection(collection=collection, acting_user=self.actor.require_user())
        return JsonResponse({"success": True})


class Items(HubView):
    def post(self, request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
        collection = get_collection_for_write(self.actor, namespace, slug)
        body = self.json_body()
        target = _target_in(self.actor, body.get("item"))
        add_item(collection=collection, target=target, note=text_of(body, "note", default=""))
        return _answer(self.actor, collection)


class OneItem(HubView):
    def patch(self, request: HttpRequest, namespace: str, slug: str, item_id: str) -> HttpResponse:
        item = get_item_for_write(self.actor, namespace, slug, item_id)
        body = self.json_body()
        update_item(item=item, note=_optional_text(body, "note"), position=_position_in(body))
        return JsonResponse({"success": True})

    def delete(self, request: HttpRequest, namespace: str, slug: str, item_id: str) -> HttpResponse:
        remove_item(item=get_item_for_write(self.actor, namespace, slug, item_id))
        return JsonResponse({"success": True})


def _answer(actor: Actor, collection: Collection) -> HttpResponse:
    return JsonResponse(_described(actor, collection))


def _described(actor: Actor, collection: Collection) -> dict[str, Any]:
    collection.visible_items = list(visible_items(actor).filter(collection=collection))  # type: ignore[attr-defined]  # as `with_visible_items` sets it
    return {**collection_row(collection), "position": collection.position}


def _target_in(actor: Actor, item: Any) -> Repo | Collection | str:
    """What a new item names. Raises `InvalidInput`, and what its door raises."""
    if not isinstance(item, dict):
        raise InvalidInput("“item” must be an object with “type” and “id”.")
    kind, ident = text_of(item, "type"), text_of(item, "id")
    if kind in RepoType.values:
        return get_listable_repo(actor, kind, ident)
    if kind == "paper":
        return ident
    if kind == "collection":
        namespace, _, slug = ident.partition("/")
        return get_collection_for_read(actor, namespace, slug)
    known = ", ".join([*RepoType.values, "paper", "collection"])
    raise InvalidInput(f"“type” of an item must be one of {known}.")


def _wanted(request: HttpRequest, actor: Actor) -> QuerySet[Collection]:
    collections = visible_collections(actor)
    owners = [proper_text(name, "owner") for name in request.GET.getlist("owner")]
    if owners:
        wanted = Q()
        for name in owners:
            wanted |= Q(namespace__name__iexact=name)
        collections = collections.filter(wanted)
    if texts := request.GET.getlist("item"):
        items = visible_items(actor).filter(_any_of(texts))
        collections = collections.filter(pk__in=items.order_by().values("collection_id"))
    return collections


def _any_of(texts: list[str]) -> Q:
    """Items that one of `models/ns/name`, `papers/id`, `collections/ns/slug` names."""
    wanted = Q(pk__in=[])
    for text in texts:
        kind, _, ident = proper_text(text, "item").partition("/")
        namespace, _, name = ident.partition("/")
        if kind == "papers":
            wanted |= Q(paper_id=ident)
        elif kind == "collections":
            wanted |= Q(listed__public_id=name[-24:])
        elif kind.removesuffix("s") in RepoType.values:
            wanted |= Q(
                repo__repo_type=kind.removesuffix("s"),
                repo__namespace__name__iexact=namespace,
                repo__name__iexact=name,
            )
        else:
            raise InvalidInput("“item” must look like models/namespace/name.")
    return wanted


def _after(collections: QuerySet[Collection], cursor: str | None) -> QuerySet[Collection]:
    if cursor is None:
        return collections
    text, _, pk = cursor.partition("|")
    when = _date_in(text)
    if when is None or not pk.isdecimal():
        raise InvalidInput("This page address is not valid: start again from the first.")
    return collections.filter(Q(updated_at__lt=when) | Q(updated_at=when, pk__lt=int(pk[:18])))


def _date_in(text: str) -> datetime | None:
    try:
        return parse_datetime(text)
    except ValueError:
        return None


def _cursor_at(collection: Collection) -> str:
    return encode_cursor(f"{collection.updated_at.isoformat()}|{collection.pk}")


def _optional_text(body: dict[str, Any], key: str) -> str | None:
    return text_of(body, key) if body.get(key) is not None else None


def _position_in(body: dict[str, Any]) -> int | None:
    position = body.get("position")
    if position is not None and (type(position) is not int or abs(position) > 10**6):
        raise InvalidInput("“position” must be a whole number.")
    return position
