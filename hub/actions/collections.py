"""Making, changing and filling collections."""

from __future__ import annotations

import re
from typing import TypeVar

from django.db import IntegrityError, transaction

from hub.actions.audit import record
from hub.errors import Conflict, InvalidInput
from hub.models import Collection, CollectionItem, Namespace, Repo, Theme, User

MAX_ITEMS = 1_000
MAX_TITLE, MAX_DESCRIPTION, MAX_NOTE = 60, 150, 500
_PAPER_ID = re.compile(r"\d{4}\.\d{4,5}(?:v\d{1,2})?")
Placed = TypeVar("Placed", Collection, CollectionItem)


def create_collection(
    *,
    namespace: Namespace,
    title: str,
    description: str = "",
    is_private: bool = False,
    acting_user: User,
) -> Collection:
    """A new, empty collection, the last of its namespace.

    Raises:
        InvalidInput: the title is empty, or a text is too long.
        Conflict: the namespace has one of this title; `details["body"]` names its slug.
    """
    collection = Collection(
        namespace=namespace,
        title=_text(title, "title", MAX_TITLE, is_needed=True),
        description=_text(description, "description", MAX_DESCRIPTION),
        is_private=is_private,
        creator=acting_user,
        position=namespace.collections.count(),
    )
    with transaction.atomic():
        _save(collection)
        record(verb="collection.created", actor=acting_user, target=collection.slug)
    return collection


def update_collection(
    *,
    collection: Collection,
    title: str | None = None,
    description: str | None = None,
    is_private: bool | None = None,
    theme: str | None = None,
    position: int | None = None,
    acting_user: User,
) -> Collection:
    """Changes what is given; a new title changes the slug, and the old one keeps working.

    Raises: as `create_collection`; InvalidInput also for an unknown theme.
    """
    if title is not None:
        collection.title = _text(title, "title", MAX_TITLE, is_needed=True)
    if description is not None:
        collection.description = _text(description, "description", MAX_DESCRIPTION)
    if is_private is not None:
        collection.is_private = is_private
    if theme is not None:
        if theme not in Theme.values:
            raise InvalidInput(f"“theme” must be one of {', '.join(Theme.values)}.")
        collection.theme = theme
    with transaction.atomic():
        _save(collection)
        if position is not None:
            siblings = collection.namespace.collections.order_by("position", "pk")
            _place(list(siblings), collection, position)
        record(verb="collection.changed", actor=acting_user, target=collection.slug)
    return collection


def delete_collection(*, collection: Collection, acting_user: User) -> None:
    """Removes the list; what it lists stays."""
    with transaction.atomic():
        record(verb="collection.deleted", actor=acting_user, target=collection.slug)
        collection.delete()


def add_item(
    *, collection: Collection, target: Repo | Collection | str, note: str = ""
) -> CollectionItem:
    """Puts a repository, another collection or a paper (its arXiv id) at the end.

    Raises:
        InvalidInput: no paper id, a note too long, the collection itself, or too many items.
        Conflict: it is there already.
    """
    if collection.items.count() >= MAX_ITEMS:
        raise InvalidInput(f"A collection holds at most {MAX_ITEMS} items.")
    item = CollectionItem(collection=collection, note=_text(note, "note", MAX_NOTE))
    if isinstance(target, Repo):
        item.repo = target
    elif isinstance(target, Collection):
        if target == collection:
            raise InvalidInput("A collection cannot list itself.")
        item.listed = target
    elif _PAPER_ID.fullmatch(target):
        item.paper_id = target
    else:
        raise InvalidInput(f"“{target[:60]}” is no arXiv id, such as 2307.09288.")
    last = collection.items.order_by("-position").values_list("position", flat=True).first()
    item.position = 0 if last is None else last + 1
    try:
        with transaction.atomic():
            item.save()
            _touch(collection)
    except IntegrityError:
        raise Conflict("This item is in the collection already.") from None
    return item


def update_item(
    *, item: CollectionItem, note: str | None = None, position: int | None = None
) -> CollectionItem:
    """Changes the note, or moves the item to `position` (from 0; beyond the end is the end).

    Raises:
        InvalidInput: the note is too long, or the position negative.
    """
    with transaction.atomic():
        if note is not None:
            item.note = _text(note, "note", MAX_NOTE)
            item.save(update_fields=["note"])
        if position is not None:
            _place(list(item.collection.items.order_by("position", "pk")), item, position)
        _touch(item.collection)
    return item


def remove_item(*, item: CollectionItem) -> None:
    """Takes the item out of its collection."""
    with transaction.atomic():
        item.delete()
        _touch(item.collection)


def _save(collection: Collection) -> None:
    try:
        with transaction.atomic():
            collection.save()
    except IntegrityError:
        same = collection.namespace.collections.exclude(pk=collection.pk)
        existing = same.get(title=collection.title)
        raise Conflict(
            f"{collection.namespace} has a collection called “{collection.title}” already.",
            body={"slug": existing.slug},
        ) from None


def _touch(collection: Collection) -> None:
    collection.save(update_fields=["updated_at"])


def _place(rows: list[Placed], moved: Placed, position: int) -> None:
    """Numbers `rows` anew with `moved` at `position`."""
    if position < 0:
        raise InvalidInput("“position” counts from 0.")
    rows = [row for row in rows if row.pk != moved.pk]
    rows.insert(position, moved)
    for number, row in enumerate(rows):
        if row.position != number:
            row.position = number
            type(row).objects.filter(pk=row.pk).update(position=number)


def _text(text: str, name: str, limit: int, *, is_needed: bool = False) -> str:
    text = text.strip()
    if len(text) > limit:
        raise InvalidInput(f"“{name}” may have at most {limit} characters.")
    if is_needed and not text:
        raise InvalidInput(f"“{name}” must not be empty.")
    return text
