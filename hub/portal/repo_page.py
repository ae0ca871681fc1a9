"""What every page of one repository starts from: who looks, at what, at which commit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from hub import access
from hub.access import Level
from hub.actions.repos import DEFAULT_BRANCH
from hub.auth import Actor, actor_of
from hub.likes import is_liked
from hub.models import Repo
from hub.portal.kinds import KINDS
from hub.portal.tabs import tabs_for
from hub.site import git_of
from hub.vcs import Repository


@dataclass(frozen=True)
class RepoPage:
    """A repository as its pages see it; `revision` is what the address names."""

    request: HttpRequest
    actor: Actor
    repo: Repo
    level: Level
    revision: str

    @cached_property
    def git(self) -> Repository:
        return git_of(self.repo)

    @cached_property
    def commit_sha(self) -> str:
        """What `revision` resolves to; raises `RevisionNotFound`."""
        return self.git.resolve(self.revision)

    @cached_property
    def is_open(self) -> bool:
        """Whether the caller may read what the files hold."""
        return access.may_read_contents(self.actor, self.repo)

    def render(self, template: str, tab: str, context: dict[str, Any]) -> HttpResponse:
        """The page with its head and tabs."""
        frame = {
            "repo": self.repo,
            "kind": KINDS[self.repo.repo_type],
            "revision": self.revision,
            "is_liked": is_liked(self.repo, self.request.user),
            "is_open": self.is_open,
            "can_write": self.level >= Level.WRITE,
            "can_admin": self.level >= Level.ADMIN,
            "tabs": tabs_for(self.request, self.repo, self.level, tab),
        }
        return render(self.request, template, frame | context)


def open_contents_page(
    request: HttpRequest,
    repo_type: str,
    namespace: str,
    name: str,
    *,
    revision: str = DEFAULT_BRANCH,
) -> RepoPage:
    """As `open_page`, for pages that show what files hold; raises `GatedRepo`, too."""
    page = open_page(request, repo_type, namespace, name, revision=revision)
    access.check_may_read_contents(page.actor, page.repo)
    return page


def open_page(
    request: HttpRequest,
    repo_type: str,
    namespace: str,
    name: str,
    *,
    revision: str = DEFAULT_BRANCH,
    level: Level = Level.READ,
) -> RepoPage:
    """The repository page `request` asks for, or what `hub.access` raises."""
    doors = {
        Level.READ: access.get_repo_for_read,
        Level.WRITE: access.get_repo_for_write,
        Level.ADMIN: access.get_repo_for_admin,
    }
    actor = actor_of(request)
    repo = doors[level](actor, repo_type, namespace, name)
    return RepoPage(request, actor, repo, access.level_of(actor, repo), revision)
