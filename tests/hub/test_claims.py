"""One place at a time, for as long as the holder lives."""

from __future__ import annotations

import threading

import pytest
from django.core.cache import cache, caches

from hub.claims import claim


def test_nobody_else_gets_it_and_then_it_is_free() -> None:
    with claim("thing") as ours, claim("thing") as theirs, claim("other") as another:
        assert (ours, theirs, another) == (True, False, True)
    with claim("thing") as again:
        assert again


def test_it_is_free_after_an_error() -> None:
    with pytest.raises(RuntimeError), claim("thing"):
        raise RuntimeError
    with claim("thing") as again:
        assert again


def test_a_living_holder_keeps_it_longer_than_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = type(caches["default"])  # an object for each thread
    renewed, touch = threading.Semaphore(0), backend.touch

    def counting(self: object, *args: object, **kwargs: object) -> bool:
        renewed.release()
        return bool(touch(self, *args, **kwargs))

    monkeypatch.setattr(backend, "touch", counting)
    with claim("thing", lease_s=2):
        for _ in range(5):
            assert renewed.acquire(timeout=30)
        with claim("thing") as theirs:
            assert not theirs


def test_what_somebody_else_holds_by_now_is_left_to_them() -> None:
    with claim("thing"):
        cache.set("claim:thing", "somebody else")
    with claim("thing") as ours:
        assert not ours
