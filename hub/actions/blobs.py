"""Making large content known: verified bytes into the store, and a repository's right to them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction

from hub.models import Blob, Repo, RepoBlob
from hub.site import store
from hub.storage import Received

PARTS_PREFIX = "uploads"
"""Where parts of uploads wait in the store, below `uploads/<upload id>/<number>`."""

_GRACE = timedelta(hours=24)
"""Kept beyond the life of an upload address: a slow last part may still be on its way."""


def register_blob(*, repo: Repo, received: Received) -> Blob:
    """Store bytes whose digest and size were verified, and link them to `repo`.

    The bytes are in place before any row says so. The received file is gone afterwards.

    Raises:
        StorageFull, StorageUnavailable: nothing was registered.
    """
    blob = Blob(sha256=received.sha256, size_bytes=received.size_bytes)
    if store().exists(blob.store_key):
        received.path.unlink(missing_ok=True)
    else:
        store().put_file(blob.store_key, received.path)
    with transaction.atomic():
        blob, _ = Blob.objects.get_or_create(
            sha256=received.sha256, defaults={"size_bytes": received.size_bytes, "is_plain": True}
        )
        if not blob.is_plain:
            Blob.objects.filter(pk=blob.pk).update(is_plain=True)
        RepoBlob.objects.get_or_create(repo=repo, blob=blob)
    return blob


def part_key(upload_id: str, number: int) -> str:
    """Where part `number` (from 1) of an upload waits."""
    return f"{PARTS_PREFIX}/{upload_id}/{number:05d}"


class PartsReader:
    """The parts of an upload read one after the other, as one stream."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._chunks = _chunks_of(keys)
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, or one chunk where no size is given; none at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        stop = len(self._rest) if size < 0 else min(size, len(self._rest))
        data, self._rest = self._rest[:stop], self._rest[stop:]
        return bytes(data)


def _chunks_of(keys: Iterable[str]) -> Iterator[bytes]:
    for key in keys:
        yield from store().stream(key)


def drop_parts(upload_id: str, count: int) -> None:
    """Remove the parts of an upload."""
    for number in range(1, count + 1):
        store().delete(part_key(upload_id, number))


def sweep_uploads() -> int:
    """Remove parts and received files of uploads that can no longer be completed.

    Returns:
        How many were removed.
    """
    age = timedelta(seconds=settings.UPLOAD_URL_LIFETIME_S) + _GRACE
    oldest = datetime.now(UTC) - age
    stale = [item.key for item in store().list(PARTS_PREFIX) if item.last_modified < oldest]
    for key in stale:
        store().delete(key)
    return len(stale) + sum(map(_remove_if_old, Path(settings.STAGING_DIR).glob("recv-*")))


def _remove_if_old(path: Path) -> bool:
    age_s = settings.UPLOAD_URL_LIFETIME_S + _GRACE.total_seconds()
    try:
        if time.time() - path.stat().st_mtime < age_s:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True
