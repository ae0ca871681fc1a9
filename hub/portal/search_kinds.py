"""Kinds of things that the search finds besides repositories and names. Other applications add
theirs when they start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import Promise


@dataclass(frozen=True)
class Hit:
    """One find: where it is, what it is called, and a few words on it."""

    url: str
    title: str
    note: str | Promise = ""


@dataclass(frozen=True)
class SearchKind:
    """One kind.

    Args:
        find: what the reader may see and the words match, best first; the number is the most
            that are shown.
    """

    key: str
    title: str | Promise
    icon: str
    find: Callable[[HttpRequest, str, int], Iterable[Hit]]


@dataclass(frozen=True)
class Found:
    kind: SearchKind
    hits: list[Hit]


_kinds: dict[str, SearchKind] = {}


def register_search_kind(kind: SearchKind) -> None:
    """Adds `kind`, or replaces the one of the same key."""
    _kinds[kind.key] = kind


def find_others(request: HttpRequest, query: str, limit: int) -> list[Found]:
    """What each registered kind finds; kinds that find nothing are left out."""
    found = [Found(kind, list(kind.find(request, query, limit))) for kind in _kinds.values()]
    return [each for each in found if each.hits]
