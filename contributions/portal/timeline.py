"""The events of a discussion as its pages tell them, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from django.core.paginator import Page, Paginator

from contributions.actions.rendering import with_html
from contributions.models import Discussion, DiscussionEvent, DiscussionStatus, EventKind
from contributions.queries import events_of

EVENTS_PER_PAGE = 100


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


@dataclass(frozen=True)
class Timeline:
    """One page of events, oldest first; the newest page unless another is asked for.

    Args:
        number: of the page, from 1, as a reader typed it.
        user_id: who looks; decides with the two rights which comments offer to be changed.
    """

    discussion: Discussion
    number: str | None
    user_id: int | None
    may_take_part: bool
    may_write: bool

    @cached_property
    def page(self) -> Page[DiscussionEvent]:
        pages = Paginator(events_of(self.discussion), EVENTS_PER_PAGE)
        return pages.get_page(self.number or pages.num_pages)

    @cached_property
    def entries(self) -> list[Entry]:
        events = with_html(self.page, repo_path=self.discussion.repo.url_path)
        return _with_reopenings(self._entries(events), was_closed=self._was_closed(events))

    @cached_property
    def opening(self) -> list[Entry]:
        """The comment that began it, where the page does not."""
        if not self.page.has_previous():
            return []
        first = with_html(events_of(self.discussion)[:1], repo_path=self.discussion.repo.url_path)
        return self._entries(first)

    def _entries(self, events: list[DiscussionEvent]) -> list[Entry]:
        entries: list[Entry] = []
        editor_id = self.user_id if self.may_take_part else None
        for key, run in groupby(events, key=lambda event: (event.kind, event.author_id)):
            if key[0] == EventKind.COMMIT:
                commits = list(run)
                entries.append(Entry(key[0], commits[0], commits=commits))
            else:
                entries += _single(run, editor_id, self.may_write)
        return entries

    def _was_closed(self, events: list[DiscussionEvent]) -> bool:
        """Whether it was so before the page."""
        if not self.page.has_previous():
            return False
        closings = self.discussion.events.filter(
            kind=EventKind.STATUS_CHANGE, data__status=DiscussionStatus.CLOSED
        )
        return closings.filter(pk__lt=events[0].pk).exists()


def page_number(event: DiscussionEvent) -> int | None:
    """The page that has the event; None for the newest one, which is shown unasked."""
    events = event.discussion.events
    before = events.filter(pk__lt=event.pk).count()
    number = before // EVENTS_PER_PAGE + 1
    return number if number * EVENTS_PER_PAGE < events.count() else None


def _with_reopenings(entries: list[Entry], *, was_closed: bool) -> list[Entry]:
    """The same, told apart: a first publication, and an opening after it was closed."""
    told = []
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
            html=event.html if event.text else "",
            may_edit=is_own and not event.is_hidden,
            may_hide=(is_own or (may_write and user_id is not None)) and not event.is_hidden,
        )
