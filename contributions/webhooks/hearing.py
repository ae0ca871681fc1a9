"""Who hears a piece of news: webhooks that watch its subject, while their owners may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet

from contributions.models import WatchKind, Webhook, WebhookWatch
from hub.access import Level, is_member, level_of
from hub.auth import Actor
from hub.models import Namespace, Repo, User

TEST_SCOPE = "test"


@dataclass(frozen=True)
class RepoFacts:
    """A repository in so far as it says who may hear of it, and who watches it."""

    repo_id: int
    repo_type: str
    namespace_id: int
    is_private: bool

    @classmethod
    def of(cls, repo: Repo) -> RepoFacts:
        return cls(repo.pk, repo.repo_type, repo.namespace_id, repo.is_private)


@dataclass(frozen=True)
class News:
    """Something that happened to a repository, in the protocol's words.

    Args:
        facts: what is kept for the payload, see `WebhookDelivery.facts`.
        former_namespace_id: whose repository it was before it moved.
    """

    scope: str
    action: str
    repo: RepoFacts
    facts: Mapping[str, Any] = field(default_factory=dict)
    comment_id: str = ""
    former_namespace_id: int | None = None

    @property
    def is_of_discussion(self) -> bool:
        return self.scope.startswith("discussion")


def watching(news: News) -> QuerySet[Webhook]:
    """Webhooks in use that want this kind of news of this repository or its owner, each once."""
    owners = {news.repo.namespace_id, news.former_namespace_id} - {None}
    watches = WebhookWatch.objects.filter(
        Q(kind=news.repo.repo_type, target_id=news.repo.repo_id)
        | Q(kind__in=[WatchKind.USER, WatchKind.ORG], target_id__in=owners)
    )
    found = Webhook.objects.filter(pk__in=watches.values("webhook_id"), disabled_reason="")
    wanted = Q(hears_discussions=True) if news.is_of_discussion else Q(hears_repos=True)
    return found.filter(wanted, owner__is_active=True).select_related("owner")


def may_hear_of(owner: User, repo: Repo) -> bool:
    return owner.is_active and level_of(Actor(user=owner), repo) >= Level.READ


def may_hear_of_deleted(owner: User, repo: RepoFacts) -> bool:
    """Of a private repository that is gone: who could read it, by its namespace."""
    if not owner.is_active:
        return False
    if not repo.is_private or owner.is_superuser:
        return True
    namespace = Namespace.objects.filter(pk=repo.namespace_id).first()
    return namespace is not None and is_member(Actor(user=owner), namespace)
