"""What the contribute page shows of the community's work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, QuerySet
from django.utils import timezone

from hub.models import AuditEntry, Repo, User
from hub.site import git_of
from hub.vcs.errors import VcsError

REF_VERB = "ref.updated"
RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Contribution:
    """A change of a repository the reader may see, by its newest commit."""

    actor: str
    repo: Repo
    title: str
    commit_sha: str
    created_at: datetime


@dataclass(frozen=True)
class Contributor:
    name: str
    changes: int


def recent_contributions(user: User | AnonymousUser | None, *, limit: int) -> list[Contribution]:
    """The newest changes, newest first."""
    entries = _changes(user).select_related("actor", "repo__namespace").order_by("-created_at")
    shown = [_contribution(entry) for entry in entries[:limit]]
    return [contribution for contribution in shown if contribution]


def active_contributors(user: User | AnonymousUser | None, *, limit: int) -> list[Contributor]:
    """People by number of changes in the last 30 days."""
    rows = (
        _changes(user)
        .filter(actor__isnull=False, created_at__gte=timezone.now() - RECENT)
        .values("actor__username")
        .annotate(changes=Count("pk"))
        .order_by("-changes", "actor__username")[:limit]
    )
    return [Contributor(row["actor__username"], row["changes"]) for row in rows]


def _changes(user: User | AnonymousUser | None) -> QuerySet[AuditEntry]:
    """Updates of refs, on repositories that `user` may see."""
    return AuditEntry.objects.filter(
        verb=REF_VERB, repo__in=Repo.objects.visible_to(user), details__new__isnull=False
    )


def _contribution(entry: AuditEntry) -> Contribution | None:
    if entry.repo is None:
        return None
    commit_sha = entry.details["new"]
    try:
        commit = next(git_of(entry.repo).log(commit_sha, limit=1))
    except VcsError:  # the commit was squashed away since
        return None
    actor = entry.actor.username if entry.actor else commit.author.name
    return Contribution(actor, entry.repo, commit.title, commit_sha, entry.created_at)
