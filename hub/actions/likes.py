"""Liking a repository, and taking it back."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from hub.models import Like, Repo, User


def like_repo(*, repo: Repo, acting_user: User) -> int:
    """Notes that `acting_user` likes `repo`; a second time changes nothing.

    Returns:
        How many like it. The row of the like decides whether the count moves, so that it stays
        true whoever likes at the same time.
    """
    with transaction.atomic():
        _, is_new = Like.objects.get_or_create(user=acting_user, repo=repo)
        if is_new:
            Repo.objects.filter(pk=repo.pk).update(likes=F("likes") + 1)
    return _count(repo)


def unlike_repo(*, repo: Repo, acting_user: User) -> int:
    """Takes the like back, if there is one. Returns how many like it."""
    with transaction.atomic():
        n_gone, _ = Like.objects.filter(user=acting_user, repo=repo).delete()
        if n_gone:
            Repo.objects.filter(pk=repo.pk, likes__gt=0).update(likes=F("likes") - 1)
    return _count(repo)


def _count(repo: Repo) -> int:
    repo.refresh_from_db(fields=["likes"])
    return repo.likes
