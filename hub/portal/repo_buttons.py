"""Buttons beside the card of a repository. Other applications add theirs when they start."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise

from hub.models import Repo
from hub.portal.tabs import repo_page_url


@dataclass(frozen=True)
class RepoButton:
    """What one can do with the contents of a repository; `url_name` as in `hub.portal.tabs.Tab`."""

    key: str
    title: str | Promise
    icon: str
    url_name: str
    order: int
    repo_types: frozenset[str]


@dataclass(frozen=True)
class ShownButton:
    button: RepoButton
    url: str


_buttons: dict[str, RepoButton] = {}


def register_repo_button(button: RepoButton) -> None:
    """Adds `button`, or replaces the one of the same key."""
    _buttons[button.key] = button


def buttons_for(repo: Repo) -> list[ShownButton]:
    """The buttons of this kind of repository, in order."""
    chosen = [button for button in _buttons.values() if repo.repo_type in button.repo_types]
    return [
        ShownButton(button, repo_page_url(button.url_name, repo))
        for button in sorted(chosen, key=lambda button: button.order)
    ]
