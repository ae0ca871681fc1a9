"""Counting downloads without a database write per request.

A download is noted in the cache, in a line of numbered places; a periodic task takes the line down
and adds it up (`hub.actions.downloads`), once a minute. With Redis or Valkey the line is one for
all web processes and outlives them. Without, each process has its own and adds it up itself, at a
download a minute or more after the last time: what it noted since then is lost when it ends.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import date

from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest
from django.utils import timezone

from hub.addresses import client_address
from hub.auth import Actor
from hub.models import Repo

VISIT_S = 600
"""All that one client fetches of a repository within this time is one download."""
REST_S = 60
"""How long a process without a shared cache waits before it writes down what it noted."""

_HEAD, _TAIL = "downloads:head", "downloads:tail"
_LATE, _MOST_LATE = "downloads:late", 1000
_KEEP_S = 7 * 24 * 3600
_PLACES_PER_READ = 1000


def note_download(request: HttpRequest, repo: Repo, actor: Actor) -> None:
    """Note a download of `repo`, unless the same client fetched from it a moment ago.

    A GET of a file counts, and that of the token with which Xet clients read one; a HEAD does not,
    by which clients only learn that what they have is fresh.
    """
    if request.method != "GET":
        return
    _note(request, repo, actor)


def note_fetch(request: HttpRequest, repo: Repo, actor: Actor) -> None:
    """Note that git is sent objects of `repo`: a download, as a visit of any other client is."""
    _note(request, repo, actor)


def _note(request: HttpRequest, repo: Repo, actor: Actor) -> None:
    if cache.add(f"downloads:seen:{repo.pk}:{_client(request, actor)}", 1, VISIT_S):
        cache.add(_HEAD, 0, None)
        place = cache.incr(_HEAD)
        cache.set(f"downloads:at:{place}", (repo.pk, timezone.now().date()), _KEEP_S)


def is_waiting_here() -> bool:
    """Whether this process has noted downloads that only itself can write down, and it is time."""
    if not isinstance(caches[DEFAULT_CACHE_ALIAS], LocMemCache):
        return False
    return cache.add("downloads:rest", 1, REST_S) and cache.get(_HEAD, 0) > cache.get(_TAIL, 0)


def take_noted() -> Counter[tuple[int, date]]:
    """All downloads noted since the last call, as counts per repository id and day (UTC).

    A place whose number is out but which is not filled yet is looked at again the next time.
    """
    head, tail = cache.get(_HEAD, 0), cache.get(_TAIL, 0)
    if tail > head:
        tail = 0
    counts: Counter[tuple[int, date]] = Counter()
    late: list[str] = cache.get(_LATE, [])
    empty: list[str] = []
    for keys in [late, *_places(tail + 1, head + 1)]:
        found = cache.get_many(keys)
        counts.update(tuple(value) for value in found.values())
        cache.delete_many(found)
        empty += [key for key in keys if key not in found]
    cache.set(_LATE, [key for key in empty if key not in late][-_MOST_LATE:])
    cache.set(_TAIL, head, None)
    return counts


def _places(start: int, end: int) -> Iterator[list[str]]:
    for at in range(start, end, _PLACES_PER_READ):
        yield [f"downloads:at:{i}" for i in range(at, min(at + _PLACES_PER_READ, end))]


def _client(request: HttpRequest, actor: Actor) -> str:
    """Who downloads, as a digest that tells nobody's address."""
    who = f"user {actor.user.pk}" if actor.user else f"address {client_address(request)}"
    agent = request.headers.get("User-Agent", "")
    return hashlib.sha256(f"{who} {agent}".encode()).hexdigest()[:32]
