"""The doors to discussions: who may do what with one, given a repository the caller may read.

Whoever reads a repository reads its discussions. Taking part needs a user (and a token that may
write); renaming, closing and reopening is for the author and for whoever may write to the
repository; merging for the latter. A comment is edited by its author, and hidden by its author or
whoever may write.
"""

from __future__ import annotations

from contributions.models import Attachment, Discussion, DiscussionEvent
from hub.access import Level, check_may_contribute, level_of, may_contribute
from hub.auth import Actor
from hub.errors import NotFound, PermissionDenied
from hub.models import Repo, TokenScope, User


def get_discussion(repo: Repo, num: int) -> Discussion:
    """The discussion or pull request of that number, in a repository the caller may read.

    Raises:
        NotFound: there is none.
    """
    found = Discussion.objects.select_related("author").filter(repo=repo, num=num).first()
    if found is None:
        raise NotFound(f"{repo.full_name} has no discussion #{num}.")
    found.repo = repo
    return found


def get_event(discussion: Discussion, public_id: str) -> DiscussionEvent:
    """The event of that id, which belongs to `discussion`. Raises `NotFound`."""
    events = discussion.events.select_related("author").filter(public_id=public_id.lower())
    event = events.first()
    if event is None:
        raise NotFound(f"Discussion #{discussion.num} has no such comment.")
    event.discussion = discussion
    return event


def get_attachment(public_id: str, ending: str) -> Attachment:
    """The file of that address, which is all the right it takes. Raises `NotFound`."""
    rows = Attachment.objects.filter(public_id=public_id, ending=ending, condemned_at=None)
    found = rows.first()
    if found is None:
        raise NotFound("There is no such file, or it was deleted.")
    return found


def check_may_attach(actor: Actor) -> User:
    """The caller, who may send files for comments: with a token, one that may write somewhere.

    Raises:
        AuthenticationRequired, PermissionDenied
    """
    user, token = actor.require_user(), actor.token
    if token is None or token.scope == TokenScope.WRITE:
        return user
    if token.scope == TokenScope.READ or not token.grants.filter(can_write=True).exists():
        raise PermissionDenied("This token may only read: it needs scope “write”.")
    return user


def may_change(actor: Actor, discussion: Discussion) -> bool:
    """Whether `actor` may rename, close and reopen."""
    return may_contribute(actor, discussion.repo) and (
        _is_by(actor, discussion.author_id) or _may_write(actor, discussion.repo)
    )


def may_merge(actor: Actor, discussion: Discussion) -> bool:
    return discussion.is_pull_request and _may_write(actor, discussion.repo)


def may_edit(actor: Actor, event: DiscussionEvent) -> bool:
    return may_contribute(actor, event.discussion.repo) and _is_by(actor, event.author_id)


def may_hide(actor: Actor, event: DiscussionEvent) -> bool:
    return may_edit(actor, event) or _may_write(actor, event.discussion.repo)


def check_may_change(actor: Actor, discussion: Discussion) -> None:
    """Raises `AuthenticationRequired` or `PermissionDenied` unless `may_change`."""
    check_may_contribute(actor, discussion.repo)
    if not may_change(actor, discussion):
        raise PermissionDenied(
            f"Only its author, or who may write to {discussion.repo.full_name}, may change this."
        )


def check_may_merge(actor: Actor, discussion: Discussion) -> None:
    """Raises `AuthenticationRequired` or `PermissionDenied` unless `may_merge`."""
    check_may_contribute(actor, discussion.repo)
    if not discussion.is_pull_request:
        raise NotFound(f"#{discussion.num} is a discussion: there is nothing to merge.")
    if not may_merge(actor, discussion):
        raise PermissionDenied(
            f"Only who may write to {discussion.repo.full_name} may merge a pull request."
        )


def check_may_edit(actor: Actor, event: DiscussionEvent) -> None:
    """Raises `AuthenticationRequired` or `PermissionDenied` unless `may_edit`."""
    check_may_contribute(actor, event.discussion.repo)
    if not may_edit(actor, event):
        raise PermissionDenied("Only its author may edit a comment.")


def check_may_hide(actor: Actor, event: DiscussionEvent) -> None:
    """Raises `AuthenticationRequired` or `PermissionDenied` unless `may_hide`."""
    check_may_contribute(actor, event.discussion.repo)
    if not may_hide(actor, event):
        name = event.discussion.repo.full_name
        raise PermissionDenied(f"Only its author, or who may write to {name}, may hide a comment.")


def _is_by(actor: Actor, author_id: int | None) -> bool:
    return actor.user is not None and actor.user.pk == author_id


def _may_write(actor: Actor, repo: Repo) -> bool:
    return level_of(actor, repo) >= Level.WRITE
