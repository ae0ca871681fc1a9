"""Whether a pull request may be merged, and if not, why: pure rules over what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext_noop as _  # pages look the words up

_NAMED_CONFLICTS = 5


@dataclass(frozen=True)
class PullState:
    """What the rules look at.

    `has_base` is whether the branch to merge into exists, `has_changes` whether the pull request
    brings commits that it lacks.
    """

    status: str
    has_base: bool
    has_changes: bool
    conflicts: Sequence[str] = ()


@dataclass(frozen=True)
class Obstacle:
    """One reason against a merge; `code` is stable, `message` is for people."""

    code: str
    message: str
    paths: tuple[str, ...] = ()


def obstacles_of(state: PullState) -> list[Obstacle]:
    """All reasons against merging now, the weightiest first; none means that it may be merged.

    A rule is a function of the state: further ones (checks, reviews, protected branches) are added
    to the list.
    """
    return [found for rule in _RULES if (found := rule(state)) is not None]


def _is_under_way(state: PullState) -> Obstacle | None:
    if state.status == "merged":
        return Obstacle("merged", _("This pull request has been merged."))
    if state.status == "closed":
        return Obstacle("closed", _("This pull request is closed. Reopen it to merge it."))
    return None


def _is_published(state: PullState) -> Obstacle | None:
    if state.status != "draft":
        return None
    return Obstacle("draft", _("This pull request is a draft. Open it for review to merge it."))


def _has_base(state: PullState) -> Obstacle | None:
    if state.has_base:
        return None
    return Obstacle("no-base", _("The branch that this pull request is for no longer exists."))


def _has_changes(state: PullState) -> Obstacle | None:
    if state.has_changes or not state.has_base or state.status == "merged":
        return None
    return Obstacle("empty", _("This pull request has no commits that its branch lacks."))


def _has_no_conflicts(state: PullState) -> Obstacle | None:
    if not state.conflicts:
        return None
    return Obstacle(
        "conflicts",
        _("Files were changed on both sides. Update the pull request from its branch first."),
        tuple(state.conflicts),
    )


_RULES: tuple[Callable[[PullState], Obstacle | None], ...] = (
    _is_under_way,
    _is_published,
    _has_base,
    _has_changes,
    _has_no_conflicts,
)
