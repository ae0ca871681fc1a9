"""The events of a discussion as its page tells them, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from contributions.comments import comment_html
from contributions.models import Discussion, DiscussionEvent, DiscussionStatus, EventKind
from contributions.queries import events_of


@dataclass(frozen=True)
class Entry:
    """One line or card of the timeline; consecutive commits of one person are one entry."""

    kind: str
    event: DiscussionEvent
    html: str = ""
    commits: Sequence[DiscussionEvent] = ()
    may_edit: bool = False
    may_hide: bool = False
    is_reopening: bool = False

    @property
    def anchor(self) -> str:
        return f"event-{self.event.public_id}"

    @property
    def author_name(self) -> str:
        """Empty where the account is gone."""
        return self.event.author.username if self.event.author else ""


def timeline(
    discussion: Discussion, *, user_id: int | None, may_take_part: bool, may_write: bool
) -> list[Entry]:
    """All events, oldest first.

    Args:
        user_id: who looks; decides with the two rights which comments offer to be changed.
    """
    events = events_of(discussion)
    entries: list[Entry] = []
    for key, run in groupby(events, key=lambda event: (event.kind, event.author_id)):
        if key[0] == EventKind.COMMIT:
            commits = list(run)
            entries.append(Entry(key[0], commits[0], commits=commits))
        else:
            entries += _single(run, user_id if may_take_part else None, may_write)
    return _with_reopenings(entries)


def _with_reopenings(entries: list[Entry]) -> list[Entry]:
    """The same, told apart: a first publication, and an opening after it was closed."""
    was_closed, told = False, []
    for entry in entries:
        is_opening = entry.event.data.get("status") == DiscussionStatus.OPEN
        told.append(replace(entry, is_reopening=is_opening and was_closed))
        was_closed = was_closed or entry.event.data.get("status") == DiscussionStatus.CLOSED
    return told


def _single(
    events: Iterator[DiscussionEvent], user_id: int | None, may_write: bool
) -> Iterator[Entry]:
    for event in events:
        if not event.is_comment:
            yield Entry(event.kind, event)
            continue
        is_own = user_id is not None and event.author_id == user_id
        yield Entry(
            event.kind,
            event,
            html=comment_html(event) if event.text else "",
            may_edit=is_own and not event.is_hidden,
            may_hide=(is_own or (may_write and user_id is not None)) and not event.is_hidden,
        )
