"""What every page of one discussion or pull request starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from contributions import access
from contributions.models import Discussion, DiscussionEvent
from contributions.portal.timeline import page_number
from contributions.pulls import changed_range, count_files, pull_commits
from hub.access import Level, may_contribute
from hub.auth import Actor
from hub.errors import NotFound
from hub.models import RepoType, User
from hub.portal.repo_page import RepoPage, open_page
from hub.portal.tabs import ShownTab, Tab, repo_page_url

MAX_COMMITS = 250
"""How many commits of a pull request are listed and counted."""


@dataclass(frozen=True)
class DiscussionPage:
    """A discussion as its pages see it, in a repository that the caller may read."""

    page: RepoPage
    discussion: Discussion

    @property
    def actor(self) -> Actor:
        return self.page.actor

    @property
    def user(self) -> User:
        """The caller; raises `AuthenticationRequired` for an anonymous one."""
        return self.page.actor.require_user()

    @cached_property
    def may_take_part(self) -> bool:
        return may_contribute(self.actor, self.discussion.repo)

    @property
    def may_push(self) -> bool:
        """Whether the caller may add commits to a pull request: as who may close it."""
        return access.may_change(self.actor, self.discussion)

    @cached_property
    def changed_range(self) -> tuple[str, str]:
        """The commits between which a pull request's files differ."""
        return changed_range(self.discussion)

    def url(self, url_name: str = "discussion", **kwargs: str) -> str:
        num = str(self.discussion.num)
        return repo_page_url(url_name, self.discussion.repo, num=num, **kwargs)

    def redirect(self, event: DiscussionEvent | None = None) -> HttpResponseRedirect:
        """Back to the conversation, at `event`."""
        if event is None:
            return HttpResponseRedirect(self.url())
        number = page_number(event)
        page = f"?page={number}" if number else ""
        return HttpResponseRedirect(f"{self.url()}{page}#event-{event.public_id}")

    @cached_property
    def n_files(self) -> int:
        """How many files a pull request changes."""
        old_sha, new_sha = self.changed_range
        return count_files(self.page.git, old_sha, new_sha)

    def render(
        self, template: str, context: dict[str, Any], *, part: str = "conversation"
    ) -> HttpResponse:
        frame = {
            "discussion": self.discussion,
            "may_take_part": self.may_take_part,
            "may_change": access.may_change(self.actor, self.discussion),
            "parts": self._parts(part),
        }
        return self.page.render(template, "community", frame | context)

    def _parts(self, active: str) -> list[ShownTab]:
        """The tabs inside a pull request; a discussion has none."""
        if not self.discussion.is_pull_request:
            return []
        counts = {
            "conversation": self.discussion.comment_count,
            "commits": len(pull_commits(self.discussion, limit=MAX_COMMITS)),
            "files": self.n_files,
        }
        return [
            ShownTab(tab, self.url(tab.url_name), counts[tab.key], tab.key == active)
            for tab in _part_tabs()
        ]


def open_discussion_page(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> DiscussionPage:
    """The discussion that `request` asks for, or what the doors raise."""
    page = open_page(request, repo_type, namespace, name)
    return DiscussionPage(page, access.get_discussion(page.repo, num))


def open_pull_page(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> DiscussionPage:
    """As `open_discussion_page`; a plain discussion has no such page."""
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    if not opened.discussion.is_pull_request:
        raise NotFound(f"#{num} is a discussion: it has neither commits nor files.")
    return opened


def may_write(page: RepoPage) -> bool:
    return page.level >= Level.WRITE


def _part_tabs() -> list[Tab]:
    every = frozenset(RepoType)
    talk = pgettext("pull request", "Conversation")
    return [
        Tab("conversation", talk, "chat-left-text", "discussion", 1, every),
        Tab("commits", _("Commits"), "git", "discussion_commits", 2, every),
        Tab("files", _("Files changed"), "file-diff", "discussion_files", 3, every),
    ]
