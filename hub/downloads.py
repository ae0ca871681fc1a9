"""Counting downloads without a database write per request.

A download is noted in the cache, in a line of numbered places; a periodic task takes the line down
and adds it up (`hub.actions.downloads`). What a crash loses is a few counts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import date

from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone

from hub.auth import Actor
from hub.models import Repo

VISIT_S = 600
"""All that one client fetches of a repository within this time is one download."""

_HEAD, _TAIL = "downloads:head", "downloads:tail"
_KEEP_S = 7 * 24 * 3600
_PLACES_PER_READ = 1000


def note_download(request: HttpRequest, repo: Repo, actor: Actor) -> None:
    """Note a download of `repo`, unless the same client fetched from it a moment ago.

    A GET counts, and anything else only where the client says that it is part of a download.
    """
    if request.method != "GET" and "X-HF-Download-Counter" not in request.headers:
        return
    if cache.add(f"downloads:seen:{repo.pk}:{_client(request, actor)}", 1, VISIT_S):
        cache.add(_HEAD, 0, None)
        place = cache.incr(_HEAD)
        cache.set(f"downloads:at:{place}", (repo.pk, timezone.now().date()), _KEEP_S)


def take_noted() -> Counter[tuple[int, date]]:
    """All downloads noted since the last call, as counts per repository id and day (UTC)."""
    head, tail = cache.get(_HEAD, 0), cache.get(_TAIL, 0)
    if tail > head:
        tail = 0
    counts: Counter[tuple[int, date]] = Counter()
    for keys in _places(tail + 1, head + 1):
        counts.update(tuple(value) for value in cache.get_many(keys).values())
        cache.delete_many(keys)
    cache.set(_TAIL, head, None)
    return counts


def _places(start: int, end: int) -> Iterator[list[str]]:
    for at in range(start, end, _PLACES_PER_READ):
        yield [f"downloads:at:{i}" for i in range(at, min(at + _PLACES_PER_READ, end))]


def _client(request: HttpRequest, actor: Actor) -> str:
    """Who downloads, as a digest that tells nobody's address."""
    who = f"user {actor.user.pk}" if actor.user else f"address {request.META.get('REMOTE_ADDR')}"
    agent = request.headers.get("User-Agent", "")
    return hashlib.sha256(f"{who} {agent}".encode()).hexdigest()[:32]
