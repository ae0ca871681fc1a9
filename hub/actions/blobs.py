"""Making large content known: verified bytes into the store, and a repository's right to them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction

from hub.actions.scrub import forget_broken_recipes
from hub.errors import StorageUnavailable
from hub.models import Blob, Repo, RepoBlob
from hub.quotas import require_room_locked
from hub.site import store
from hub.storage import Received
from hub.vanished import not_found_if_deleted

PARTS_PREFIX = "uploads"
"""Where parts of uploads wait in the store, below `uploads/<upload id>/<number>`."""

_GRACE = timedelta(hours=24)
"""Kept beyond the life of an upload address: a slow last part may still be on its way."""


def register_blob(*, repo: Repo, received: Received) -> Blob:
    """Store bytes whose digest and size were verified, and link them to `repo`.

    The bytes are in place before any row says so. The received file is gone afterwards.

    Raises:
        QuotaExceeded: other uploads of the owner were faster.
        RepoNotFound: the repository was deleted meanwhile.
        StorageFull, StorageUnavailable: nothing was registered.
    """
    key = Blob(sha256=received.sha256).store_key
    if not store().exists(key):
        store().put_file(key, received.path)
    received.path.unlink(missing_ok=True)
    facts = {
        "size_bytes": received.size_bytes,
        "is_plain": True,
        "condemned_at": None,
        "quarantined_at": None,
        "conversion_failures": 0,
        "conversion_failed_at": None,
    }
    with not_found_if_deleted(repo), transaction.atomic():
        blob, _ = Blob.objects.select_for_update().update_or_create(
            sha256=received.sha256, defaults=facts
        )
        if not store().exists(key):
            raise StorageUnavailable  # a collection has just deleted it
        forget_broken_recipes(blob)
        if not RepoBlob.objects.filter(repo=repo, blob=blob).update(condemned_at=None):
            require_room_locked(repo, received.size_bytes)
            RepoBlob.objects.get_or_create(repo=repo, blob=blob)
    return blob


def lock_contents(sizes: dict[str, int]) -> dict[str, int]:
    """Row ids, by SHA-256, of contents that have a whole recipe: made, locked, kept and healed.

    Call it inside the transaction that links them.

    Raises:
        StorageUnavailable: a collection deletes one of them just now.
    """
    rows = [Blob(sha256=sha256, size_bytes=size) for sha256, size in sizes.items()]
    Blob.objects.bulk_create(rows, ignore_conflicts=True)
    blobs = list(Blob.objects.select_for_update().filter(sha256__in=sizes).order_by("pk"))
    if len(blobs) < len(sizes):
        raise StorageUnavailable
    for blob in blobs:
        if blob.condemned_at is not None or blob.quarantined_at is not None:
            # A collection that was killed may have taken the plain copy.
            blob.is_plain = blob.is_plain and store().exists(blob.store_key)
            blob.condemned_at = blob.quarantined_at = None
            blob.save(update_fields=["is_plain", "condemned_at", "quarantined_at"])
    return {blob.sha256: blob.pk for blob in blobs}


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
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True
