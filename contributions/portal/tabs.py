"""The tab that discussions and pull requests have on each repository page."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from contributions.queries import count_open
from hub.models import Repo, RepoType
from hub.portal.tabs import Tab, register_tab


def register_community_tab() -> None:
    types = frozenset(RepoType)
    register_tab(
        Tab(
            "community", _("Community"), "chat-square-text", "discussions", 40, types,
            count=_open_or_none,
        )
    )  # fmt: skip


def _open_or_none(request: HttpRequest, repo: Repo) -> int | None:
    """How many are under way; nothing where none is."""
    return count_open(repo) or None
