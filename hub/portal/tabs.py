"""Tabs of a repository page. Other applications add theirs when they start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise

from hub.access import Level
from hub.models import Repo, RepoType


@dataclass(frozen=True)
class Tab:
    """One tab.

    Args:
        url_name: route that takes `namespace` and `name`; see `hub.portal.routes.repo_routes`.
        count: number shown on the tab, given the request and repository; None shows none.
        needs: who sees the tab.
    """

    key: str
    title: str | Promise
    icon: str
    url_name: str
    order: int
    repo_types: frozenset[str]
    count: Callable[[HttpRequest, Repo], int | None] | None = None
    needs: Level = Level.READ


@dataclass(frozen=True)
class ShownTab:
    tab: Tab
    url: str
    count: int | None
    is_active: bool


_tabs: dict[str, Tab] = {}


def register_tab(tab: Tab) -> None:
    """Adds `tab`, or replaces the one of the same key."""
    _tabs[tab.key] = tab


def tabs_for(request: HttpRequest, repo: Repo, level: Level, active: str) -> list[ShownTab]:
    """The tabs that a caller with `level` sees, in order."""
    chosen = [
        tab for tab in _tabs.values() if repo.repo_type in tab.repo_types and level >= tab.needs
    ]
    return [
        ShownTab(
            tab=tab,
            url=repo_page_url(tab.url_name, repo),
            count=tab.count(request, repo) if tab.count else None,
            is_active=tab.key == active,
        )
        for tab in sorted(chosen, key=lambda tab: tab.order)
    ]


def repo_page_url(url_name: str, repo: Repo, **kwargs: str) -> str:
    """Address of one of a repository's pages."""
    prefix = RepoType(repo.repo_type).route_prefix
    args = {"namespace": repo.namespace.name, "name": repo.name, **kwargs}
    return reverse(prefix + url_name, kwargs=args)
