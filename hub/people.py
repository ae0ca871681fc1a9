"""Reads about people and organisations that pages and the Hub API share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from allauth.account.models import EmailAddress
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from hub.access import visible_repos
from hub.auth import Actor
from hub.models import AuditEntry, Follow, Membership, Namespace, Organization, Repo, User

_PUSHED, _CREATED = "ref.updated", "repo.created"
_ENTRIES_READ = 300


@dataclass(frozen=True)
class Activity:
    """What somebody did in one repository of late: `times` pushes, the newest at `when`."""

    repo: Repo
    is_new: bool
    times: int
    when: datetime


def has_verified_email(user: str = "") -> Exists:
    """Whether a user's present address is known to be theirs, for a query.

    Args:
        user: path from the queried rows to the user; empty where users are queried.
    """
    key, address = (user, f"{user}__email") if user else ("pk", "email")
    known = EmailAddress.objects.filter(verified=True, user=OuterRef(key))
    return Exists(known.exclude(email="").filter(email__iexact=OuterRef(address)))


def repo_counts(actor: Actor, namespace: Namespace) -> dict[str, int]:
    """How many repositories of each type `actor` sees; a type without any is left out."""
    visible = visible_repos(actor).filter(namespace=namespace).order_by()
    return dict(visible.values_list("repo_type").annotate(count=Count("pk")))


def followers_of(namespace: Namespace) -> QuerySet[Follow]:
    """Rows whose `follower` follows `namespace`."""
    rows = Follow.objects.filter(namespace=namespace, follower__is_active=True)
    return rows.select_related("follower")


def followed_by(user: User) -> QuerySet[Follow]:
    """Rows whose `namespace` the user follows."""
    rows = Follow.objects.filter(follower=user).exclude(namespace__user__is_active=False)
    return rows.select_related("namespace__user", "namespace__organization")


def members_of(organization: Organization) -> QuerySet[Membership]:
    return organization.memberships.filter(user__is_active=True).select_related("user")


def organizations_of(user: User) -> QuerySet[Organization]:
    found = Organization.objects.filter(members=user).select_related("namespace")
    return found.order_by("namespace__name")


def is_following(actor: Actor, namespace: Namespace) -> bool:
    if actor.user is None:
        return False
    return Follow.objects.filter(follower=actor.user, namespace=namespace).exists()


def recent_activity(actor: Actor, user: User, *, limit: int) -> list[Activity]:
    """Repositories that `user` made or changed of late, newest first, as far as `actor` sees."""
    entries = AuditEntry.objects.filter(
        Q(verb=_PUSHED, details__new__isnull=False) | Q(verb=_CREATED),
        actor=user,
        repo__in=visible_repos(actor),
    )
    found: dict[int, Activity] = {}
    newest = entries.select_related("repo__namespace").order_by("-created_at", "-pk")
    for entry in newest[:_ENTRIES_READ]:
        assert entry.repo is not None
        before = found.get(entry.repo.pk)
        if before is None and len(found) == limit:
            continue
        found[entry.repo.pk] = Activity(
            repo=entry.repo,
            is_new=entry.verb == _CREATED or bool(before and before.is_new),
            times=(before.times if before else 0) + (entry.verb == _PUSHED),
            when=before.when if before else entry.created_at,
        )
    return list(found.values())
