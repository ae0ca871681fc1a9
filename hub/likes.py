"""Who likes what: reads for the Hub API and for pages."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from hub.errors import InvalidInput
from hub.models import Like, Repo, User
from hub.queries import Page


def likers_of(repo: Repo, *, cursor: str | None, limit: int) -> Page[Like]:
    """Likes of a repository with their users, the newest first."""
    likes = Like.objects.filter(repo=repo, user__is_active=True).select_related("user")
    return _page(likes, cursor, limit)


def liked_by(
    user: User,
    reader: User | AnonymousUser | None,
    *,
    granted: Collection[int] | None = None,
    cursor: str | None,
    limit: int,
) -> Page[Like]:
    """Likes of a user with their repositories, the newest first, as far as `reader` sees those.

    Args:
        granted: the ids of private repositories that a fine-grained token reaches.
    """
    visible = Repo.objects.visible_to(reader)
    if granted is not None:
        visible = visible.filter(Q(is_private=False) | Q(pk__in=granted))
    likes = Like.objects.filter(user=user, repo__in=visible)
    return _page(likes.select_related("repo__namespace"), cursor, limit)


def is_liked(repo: Repo, reader: User | AnonymousUser) -> bool:
    return isinstance(reader, User) and Like.objects.filter(repo=repo, user=reader).exists()


def _page(likes: QuerySet[Like], cursor: str | None, limit: int) -> Page[Like]:
    if cursor:
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
            raise InvalidInput("This page address is not valid: start again from the first.")
        likes = likes.filter(pk__lt=int(cursor))
    rows = list(likes.order_by("-pk")[: limit + 1])
    more = len(rows) > limit
    return Page(rows[:limit], str(rows[limit - 1].pk) if more else None)
