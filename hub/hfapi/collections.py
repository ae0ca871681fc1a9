"""Collections as the JSON that Hub clients parse. Source: Hub protocol, S21 to S28."""

from __future__ import annotations

from typing import Any

from hub.hfapi.serializers import date_text
from hub.models import Collection, CollectionItem


def collection_row(collection: Collection, *, most_items: int | None = None) -> dict[str, Any]:
    """The collection with its `visible_items`; without `position`, which lists must not have."""
    items: list[CollectionItem] = collection.visible_items  # type: ignore[attr-defined]  # prefetched
    return {
        "slug": collection.slug,
        "title": collection.title,
        "description": collection.description or None,
        "owner": _owner(collection),
        "items": [item_row(item) for item in items[:most_items]],
        "numberItems": len(items),
        "lastUpdated": date_text(collection.updated_at),
        "private": collection.is_private,
        "theme": collection.theme,
        "upvotes": 0,
    }


def item_row(item: CollectionItem) -> dict[str, Any]:
    row: dict[str, Any] = {
        "_id": item.public_id,
        "type": item.item_type,
        "position": item.position,
    }
    if item.note:
        row["note"] = {"text": item.note}
    if item.repo is not None:
        repo = item.repo
        row |= {"id": repo.full_name, "private": repo.is_private, "author": repo.namespace.name}
        row |= {"lastModified": date_text(repo.last_modified), "downloads": repo.downloads}
    elif item.listed is not None:
        row |= {"id": item.listed.public_id, "slug": item.listed.slug, "title": item.listed.title}
    else:
        row["id"] = item.paper_id
    return row


def _owner(collection: Collection) -> dict[str, Any]:
    namespace = collection.namespace
    return {"name": namespace.name, "type": "org" if namespace.is_organization else "user"}
