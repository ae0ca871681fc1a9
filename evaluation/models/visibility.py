"""Which repositories a caller may read, as a set for queries."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from hub.auth import Actor
from hub.models import Repo, TokenScope


def readable_repos(actor: Actor) -> QuerySet[Repo]:
    """The user's own view, narrowed to the grants of a fine-grained token."""
    repos = Repo.objects.visible_to(actor.user)
    if actor.token is not None and actor.token.scope == TokenScope.FINE_GRAINED:
        return repos.filter(Q(is_private=False) | Q(pk__in=actor.token.grants.values("repo_id")))
    return repos
