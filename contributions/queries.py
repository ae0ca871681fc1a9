"""What the contribute page shows of the community's work, and lists of discussions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from contributions.models import Attachment, Discussion, DiscussionEvent, DiscussionStatus
from contributions.models.discussion import UNDER_WAY
from hub.models import AuditEntry, Repo, User
from hub.other_stored import OtherStored
from hub.site import git_of
from hub.vcs.errors import VcsError
from hub.vcs.refs import PULL_REQUESTS

REF_VERB = "ref.updated"
RECENT = timedelta(days=30)


KINDS = {"all": None, "discussion": False, "pull_request": True}
"""What a list may hold, and the flag that says so."""
STATUSES = {
    "all": None,
    "open": UNDER_WAY,
    "closed": (DiscussionStatus.CLOSED, DiscussionStatus.MERGED),
}


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


def list_discussions(
    repo: Repo, *, kind: str = "all", status: str = "all", author: str = ""
) -> QuerySet[Discussion]:
    """Discussions and pull requests of a repository, newest first.

    Args:
        kind: a key of `KINDS`.
        status: a key of `STATUSES`; drafts count as open, merged ones as closed.
    """
    found = Discussion.objects.filter(repo=repo).select_related("author").order_by("-num")
    is_pull_request = KINDS[kind]
    if is_pull_request is not None:
        found = found.filter(is_pull_request=is_pull_request)
    states = STATUSES[status]
    if states is not None:
        found = found.filter(status__in=states)
    return found.filter(author__username__iexact=author) if author else found


def events_of(discussion: Discussion) -> QuerySet[DiscussionEvent]:
    """What happened, oldest first, with who did it and what comments said before."""
    events = DiscussionEvent.objects.filter(discussion=discussion).order_by("pk")
    return events.select_related("author", "discussion__repo__namespace").prefetch_related(
        "versions"
    )


def count_open(repo: Repo) -> int:
    """Discussions and pull requests under way."""
    return Discussion.objects.under_way().filter(repo=repo).count()


def open_pull_requests(user: User | AnonymousUser | None, *, limit: int) -> list[Discussion]:
    """The newest pull requests of any repository that `user` may see and that wait for a merge."""
    found = Discussion.objects.visible_to(user).filter(
        is_pull_request=True, status=DiscussionStatus.OPEN
    )
    return list(found.select_related("author", "repo__namespace").order_by("-pk")[:limit])


def recent_contributions(user: User | AnonymousUser | None, *, limit: int) -> list[Contribution]:
    """The newest changes of branches and tags, newest first."""
    entries = _changes(user).exclude(details__ref__startswith=PULL_REQUESTS)
    entries = entries.select_related("actor", "repo__namespace").order_by("-created_at")
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


def attachments_stored() -> OtherStored:
    """Files for comments, those marked for deletion too."""
    found = Attachment.objects.aggregate(n=Count("pk"), size=Sum("size_bytes"))
    return OtherStored("Files of comments", found["n"], found["size"] or 0)
