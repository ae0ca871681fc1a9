"""Opening, commenting on and changing discussions; all but the last word on pull requests."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from contributions.actions.attachments import link_attachments, release_attachments
from contributions.actions.rendering import keep_html
from contributions.models import (
    CommentVersion,
    Discussion,
    DiscussionEvent,
    DiscussionStatus,
    EventKind,
    WebhookDelivery,
)
from contributions.texts import checked_comment, checked_title
from hub import events
from hub.actions.audit import record
from hub.errors import Conflict, InvalidInput
from hub.models import Repo, User
from hub.rates import take
from hub.site import git_of
from hub.vcs.refs import PULL_REQUESTS

MAX_COMMENTS = 2_500
"""Clients fetch a discussion whole, with all its comments and what they said before."""
MAX_VERSIONS = 50
_SETTABLE = (DiscussionStatus.OPEN, DiscussionStatus.CLOSED)


def open_discussion(*, repo: Repo, title: str, description: str, acting_user: User) -> Discussion:
    """A new discussion, whose first comment is `description`.

    Raises:
        InvalidInput, TooLarge: title or description cannot be stored.
        RateLimited: the user has opened too many.
    """
    title, description = checked_title(title), checked_comment(description, may_be_empty=True)
    take("discussion", acting_user)
    with transaction.atomic():
        discussion = Discussion.objects.create(
            repo=repo, num=next_number(repo), title=title, author=acting_user
        )
        append_opening(discussion, description, acting_user)
    return discussion


def add_comment(*, discussion: Discussion, text: str, acting_user: User) -> DiscussionEvent:
    """One more comment; a closed discussion takes comments, too.

    Raises:
        InvalidInput, TooLarge: the text is empty or cannot be stored.
        Conflict: the discussion is full.
        RateLimited: the user has written too many.
    """
    text = checked_comment(text)
    check_takes_comments(discussion)
    take("comment", acting_user)
    with transaction.atomic():
        event = append_comment(discussion, text, acting_user)
        announce(discussion, "comment", acting_user, comment=event)
    return event


def edit_comment(*, event: DiscussionEvent, text: str, acting_user: User) -> DiscussionEvent:
    """Replaces what a comment says; what it said before is kept as a version.

    Raises:
        InvalidInput, TooLarge: as for a new comment, or the event is no comment.
        Conflict: the comment was hidden, or changed too often.
        RateLimited: as for a new comment.
    """
    text = checked_comment(text)
    take("comment", acting_user)
    with transaction.atomic():
        fresh = _locked_comment(event)
        if fresh.text != text:
            _check_takes_edits(fresh)
            CommentVersion.objects.create(
                event=fresh,
                text=fresh.text,
                html=fresh.html,
                html_of=fresh.html_of,
                written_at=fresh.edited_at or fresh.created_at,
            )
            fresh.text, fresh.edited_at = text, timezone.now()
            fresh.save(update_fields=["text", "edited_at"])
            link_attachments(fresh)
            _keep_html_soon(fresh)
            announce(fresh.discussion, "update", acting_user, comment=fresh)
    return fresh


def hide_comment(*, event: DiscussionEvent, acting_user: User) -> DiscussionEvent:
    """Takes a comment away for good: its text and all that it said before.

    Raises:
        InvalidInput: the event is no comment.
        Conflict: it was hidden before.
    """
    with transaction.atomic():
        fresh = _locked_comment(event)
        fresh.versions.all().delete()
        fresh.text = fresh.html = fresh.html_of = ""
        fresh.is_hidden = True
        fresh.save(update_fields=["text", "html", "html_of", "is_hidden"])
        release_attachments(fresh)
        discussion = fresh.discussion
        record(
            verb="comment.hidden",
            actor=acting_user,
            target=str(discussion),
            repo=discussion.repo,
            event=fresh.public_id,
        )
        announce(discussion, "update", acting_user, comment=fresh)
    return fresh


def rename_discussion(*, discussion: Discussion, title: str, acting_user: User) -> DiscussionEvent:
    """Gives a discussion or pull request another title.

    Raises:
        InvalidInput: the title cannot be stored, or is the present one.
    """
    title = checked_title(title)
    with transaction.atomic():
        fresh = locked(discussion)
        if fresh.title == title:
            raise InvalidInput("That is the title already.")
        change = {"from": fresh.title, "to": title}
        fresh.title = discussion.title = title
        fresh.save(update_fields=["title", "updated_at"])
        event = append_event(fresh, EventKind.TITLE_CHANGE, acting_user, **change)
        announce(fresh, "update", acting_user)
    return event


def change_status(
    *, discussion: Discussion, status: str, comment: str = "", acting_user: User
) -> DiscussionEvent:
    """Opens, closes or reopens; a draft pull request is opened for review. Gives the status event.

    A `comment` goes before it.

    Raises:
        InvalidInput: no state that can be set.
        Conflict: it is in that state already, or merged, or has no room for the comment.
        RateLimited: as for a new comment.
    """
    if status not in _SETTABLE:
        raise InvalidInput("“status” must be “open” or “closed”.")
    comment = checked_comment(comment, may_be_empty=True)
    if comment:
        check_takes_comments(discussion)
    take("comment", acting_user)
    with _kept_from_merging(discussion), transaction.atomic():
        fresh = locked(discussion)
        _check_move(fresh, status)
        if comment:
            said = append_comment(fresh, comment, acting_user)
            announce(fresh, "comment", acting_user, comment=said)
        fresh.status = discussion.status = DiscussionStatus(status)
        fresh.save(update_fields=["status", "updated_at"])
        event = append_event(fresh, EventKind.STATUS_CHANGE, acting_user, status=status)
        record(
            verb="discussion.status_changed",
            actor=acting_user,
            target=str(fresh),
            repo=fresh.repo,
            status=status,
        )
        announce(fresh, "update", acting_user)
    return event


# Parts that the actions on pull requests share. Each belongs into a transaction of its caller.


def next_number(repo: Repo, *, above: int = 0) -> int:
    """The next free number of the repository, which stays free until the transaction ends.

    Args:
        above: a number that is taken although no row says so.
    """
    Repo.objects.select_for_update(no_key=True).get(pk=repo.pk)
    highest: int = Discussion.objects.filter(repo=repo).aggregate(top=Max("num"))["top"] or 0
    names = repo.refs.filter(name__startswith=PULL_REQUESTS).values_list("name", flat=True)
    numbers = (name.removeprefix(PULL_REQUESTS) for name in names)
    of_refs = (int(text) for text in numbers if text.isascii() and text.isdigit())
    return max(highest, above, *of_refs, 0) + 1


def append_opening(discussion: Discussion, description: str, user: User) -> None:
    """The comment that a discussion begins with, and the news of it."""
    opening = append_comment(discussion, description, user)
    announce(discussion, "create", user, comment=opening)


def append_comment(discussion: Discussion, text: str, user: User | None) -> DiscussionEvent:
    event = DiscussionEvent.objects.create(
        discussion=discussion, kind=EventKind.COMMENT, author=user, text=text
    )
    link_attachments(event)
    _keep_html_soon(event)
    Discussion.objects.filter(pk=discussion.pk).update(
        comment_count=F("comment_count") + 1, updated_at=timezone.now()
    )
    return event


def check_takes_comments(discussion: Discussion) -> None:
    """Raises `Conflict` where there are so many comments that no more can be shown together."""
    if discussion.comment_count >= MAX_COMMENTS:
        raise Conflict(
            f"A discussion may have at most {MAX_COMMENTS} comments. Open a new one, and link here."
        )


def append_event(
    discussion: Discussion, kind: EventKind, user: User | None, **data: Any
) -> DiscussionEvent:
    return DiscussionEvent.objects.create(discussion=discussion, kind=kind, author=user, data=data)


def announce(
    discussion: Discussion,
    action: Literal["create", "comment", "update"],
    user: User | None,
    *,
    comment: DiscussionEvent | None = None,
) -> None:
    """Tells it once the transaction commits. What was kept of a comment that is hidden now goes."""
    if comment is not None and comment.is_hidden:
        WebhookDelivery.objects.filter(comment_id=comment.public_id).update(payload="")
    events.emit(
        events.DiscussionChanged(
            repo_id=discussion.repo_id,
            num=discussion.num,
            is_pull_request=discussion.is_pull_request,
            action=action,
            actor_id=user.pk if user else None,
            comment_id=comment.public_id if comment else None,
        )
    )


def locked(discussion: Discussion) -> Discussion:
    """The row as it is now, which nobody else changes until the transaction ends."""
    rows = Discussion.objects.select_for_update(of=("self",)).select_related("repo__namespace")
    return rows.get(pk=discussion.pk)


def _locked_comment(event: DiscussionEvent) -> DiscussionEvent:
    rows = DiscussionEvent.objects.select_for_update(of=("self",))
    fresh = rows.select_related("discussion__repo__namespace", "author").get(pk=event.pk)
    if not fresh.is_comment:
        raise InvalidInput("This is no comment.")
    if fresh.is_hidden:
        raise Conflict("This comment has been hidden.")
    return fresh


def _check_takes_edits(comment: DiscussionEvent) -> None:
    if comment.versions.count() >= MAX_VERSIONS:
        raise Conflict(f"A comment can be changed {MAX_VERSIONS} times. Write another one.")


def _keep_html_soon(comment: DiscussionEvent) -> None:
    """Once the transaction is over, which is not kept open for reading markup."""
    path = comment.discussion.repo.url_path
    transaction.on_commit(partial(keep_html, comment, repo_path=path), robust=True)


def _kept_from_merging(discussion: Discussion) -> AbstractContextManager[None]:
    """No merge and no commit comes between a look at the state and its change."""
    is_pull = discussion.is_pull_request
    return git_of(discussion.repo).lock() if is_pull else nullcontext()


def _check_move(discussion: Discussion, status: str) -> None:
    if discussion.status == DiscussionStatus.MERGED:
        raise Conflict("This pull request has been merged.")
    if discussion.status == status:
        raise Conflict(f"It is {discussion.get_status_display().lower()} already.")
