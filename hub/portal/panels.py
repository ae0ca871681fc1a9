"""Panels of the home page. Other applications add theirs when they start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest


@dataclass(frozen=True)
class HomePanel:
    """One panel.

    Args:
        template: drawn with what `content` returns as `panel`.
        content: what is shown to this reader; None leaves the panel out.
    """

    key: str
    template: str
    order: int
    content: Callable[[HttpRequest], Any]


@dataclass(frozen=True)
class ShownPanel:
    template: str
    content: Any


_panels: dict[str, HomePanel] = {}


def register_home_panel(panel: HomePanel) -> None:
    """Adds `panel`, or replaces the one of the same key."""
    _panels[panel.key] = panel


def home_panels(request: HttpRequest) -> Iterable[ShownPanel]:
    """The panels that have something for this reader, in order."""
    for panel in sorted(_panels.values(), key=lambda panel: panel.order):
        content = panel.content(request)
        if content is not None:
            yield ShownPanel(panel.template, content)
