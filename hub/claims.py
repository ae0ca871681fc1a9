"""Doing a long thing in one place at a time, without holding it for long after a death."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache

LEASE_S = 120
"""A process that dies holds its claims for so long; a living one renews them in time."""

logger = logging.getLogger(__name__)


@contextmanager
def claim(name: str, *, lease_s: float = LEASE_S) -> Iterator[bool]:
    """Whether the thing is ours to do now; nobody else gets it until the block ends.

    Kept in the cache. Where the cache is lost, or a process stands still for longer than the
    lease, two may do the thing at once: whatever is claimed must bear that.
    """
    key, token = f"claim:{name}", secrets.token_hex(8)
    if not cache.add(key, token, lease_s):
        yield False
        return
    is_over = threading.Event()
    beat = threading.Thread(target=_renew, args=(key, token, lease_s, is_over), daemon=True)
    beat.start()
    try:
        yield True
    finally:
        is_over.set()
        beat.join()
        if cache.get(key) == token:
            cache.delete(key)


def _renew(key: str, token: str, lease_s: float, is_over: threading.Event) -> None:
    while not is_over.wait(lease_s / 4):
        try:
            if cache.get(key) == token:
                cache.touch(key, lease_s)
        except Exception:
            logger.warning("the claim %s could not be renewed", key, exc_info=True)
