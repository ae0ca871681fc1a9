"""Keeping the HTML of comments beside their text."""

from __future__ import annotations

import time
from collections.abc import Iterable

from contributions.comments import as_written, has_html, html_key, html_of
from contributions.models import CommentVersion, DiscussionEvent
from contributions.models.event import Written

READ_BUDGET_S = 5.0
"""For how long one reader makes HTML that should be there: after an upgrade of the renderer, or a
new name of the repository."""
_FIELDS = ("html", "html_of")
_ROWS_AT_ONCE = 100


def with_html(events: Iterable[DiscussionEvent], *, repo_path: str) -> list[DiscussionEvent]:
    """The events, with HTML in all comments and their versions.

    What lacks it gets it now and keeps it, for as long as `READ_BUDGET_S`; what is left is shown as
    it was written, until the next reader comes.
    """
    found = list(events)
    deadline = time.monotonic() + READ_BUDGET_S
    made: list[Written] = []
    for written in (each for event in found if event.is_comment for each in _texts(event)):
        if has_html(written, repo_path=repo_path):
            continue
        is_late = time.monotonic() > deadline
        written.html = (
            as_written(written.text) if is_late else html_of(written.text, repo_path=repo_path)
        )
        written.html_of = html_key(written.text, repo_path=repo_path)
        made += [] if is_late else [written]
    _keep(made)
    return found


def keep_html(comment: DiscussionEvent, *, repo_path: str) -> None:
    """Makes the HTML of a comment and keeps it."""
    comment.html = html_of(comment.text, repo_path=repo_path)
    comment.html_of = html_key(comment.text, repo_path=repo_path)
    _keep([comment])


def _keep(made: list[Written]) -> None:
    """But for what was hidden meanwhile: that is gone for good. A changed text has another key."""
    comments = [each for each in made if isinstance(each, DiscussionEvent)]
    versions = [each for each in made if isinstance(each, CommentVersion)]
    shown = DiscussionEvent.objects.filter(is_hidden=False)
    shown.bulk_update(comments, _FIELDS, batch_size=_ROWS_AT_ONCE)
    CommentVersion.objects.bulk_update(versions, _FIELDS, batch_size=_ROWS_AT_ONCE)


def _texts(event: DiscussionEvent) -> list[Written]:
    return [event, *event.versions.all()]
