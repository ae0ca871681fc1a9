"""Reads used by more than one surface: lists of repositories and the search over them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet
from django.utils.dateparse import parse_datetime

from hub.errors import InvalidInput
from hub.models import Namespace, Repo, User

SORT_FIELDS = {
    "lastModified": "last_modified",
    "createdAt": "created_at",
    "downloads": "downloads",
    "trendingScore": "downloads",
    "likes": "downloads",
}
"""Sort keys of the Hub protocol. Trending and likes fall back to downloads of the last 30 days."""
DEFAULT_SORT = "lastModified"

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class RepoFilter:
    """What a list of repositories is narrowed to; all given conditions must hold.

    `search` words match the id or the description; `tags` are exact (`license:mit`, `fr`).
    """

    search: Sequence[str] = ()
    author: str = ""
    tags: Sequence[str] = ()
    pipeline_tag: str = ""
    library: str = ""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in order, and the cursor of what follows; None at the end."""

    rows: list[Row]
    next_cursor: str | None


def list_repos(
    user: User | AnonymousUser | None, repo_type: str, conditions: RepoFilter
) -> QuerySet[Repo]:
    """Repositories of a type that `user` may see and `conditions` let through, unordered."""
    repos = Repo.objects.visible_to(user).filter(repo_type=repo_type)
    if conditions.author:
        repos = repos.filter(namespace__name__iexact=conditions.author)
    if conditions.pipeline_tag:
        repos = repos.filter(pipeline_tag=conditions.pipeline_tag)
    if conditions.library:
        repos = repos.filter(library_name=conditions.library)
    for tag in conditions.tags:
        repos = repos.filter(tag_rows__tag=tag)
    for word in _words(conditions.search):
        repos = repos.filter(_matches(word))
    return repos.select_related("namespace")


def paginate(repos: QuerySet[Repo], *, sort: str, cursor: str | None, limit: int) -> Page[Repo]:
    """One page by key, newest or most first: its cost does not grow with its number.

    Raises:
        InvalidInput: unknown sort key, or a cursor that is not ours.
    """
    field = SORT_FIELDS.get(sort)
    if field is None:
        raise InvalidInput(f"Unknown sort “{sort}”. Use one of {', '.join(SORT_FIELDS)}.")
    if cursor:
        value, pk = _decode(cursor, is_date=field in {"last_modified", "created_at"})
        repos = repos.filter(Q(**{f"{field}__lt": value}) | Q(**{field: value, "pk__lt": pk}))
    rows = list(repos.order_by(f"-{field}", "-pk")[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encode(getattr(rows[-1], field), rows[-1].pk) if more else None)


def search_namespaces(text: str, *, limit: int) -> list[Namespace]:
    """Users and organisations whose name starts with or contains `text`."""
    found = Namespace.objects.filter(
        Q(name__icontains=text)
        | Q(user__full_name__icontains=text)
        | Q(organization__full_name__icontains=text)
    ).exclude(user__is_active=False)
    return list(found.select_related("user", "organization").order_by("name")[:limit])


def _matches(word: str) -> Q:
    owner, slash, name = word.partition("/")
    if slash:
        return Q(namespace__name__iexact=owner, name__icontains=name)
    return (
        Q(name__icontains=word)
        | Q(namespace__name__icontains=word)
        | Q(description__icontains=word)
    )


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in text.split()][:10]


def _encode(value: Any, pk: int) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([text, pk]).encode()).decode().rstrip("=")


def _decode(cursor: str, *, is_date: bool) -> tuple[datetime | int, int]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        value, pk = json.loads(raw)
        value = parse_datetime(value) if is_date else int(value)
        if value is None:
            raise ValueError("no date")
        return value, int(pk)
    except (ValueError, TypeError, binascii.Error):
        raise InvalidInput("This page address is not valid: start again from the first.") from None
