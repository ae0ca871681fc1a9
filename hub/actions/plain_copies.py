"""Plain copies of large files that are stored as chunks: made where people fetch them plain.

Xet clients read chunks. curl, browsers, git-lfs and older clients get the file put together, at a
tenth of the speed of a plain copy; the first such download of a whole file has a copy made, which
stays while it is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from hub import tasks
from hub.actions.scrub import forget_broken_recipes, is_whole
from hub.claims import claim
from hub.doorbell import ring
from hub.models import Blob, XetFile, Xorb
from hub.site import store
from hub.storage import receive
from hub.usage import xorbs_used_by
from hub.xet.content import stream_xet_file

PLAIN_GRACE = timedelta(hours=24)
"""For which a plain copy outlives its conversion: signed addresses of it are still in use."""

_NOTED_FOR_S = 3600
_DROPPED_AT_ONCE = 1000


def note_plain_read(sha256: str, *, has_copy: bool) -> None:
    """Somebody fetches the whole content plain; looked at once an hour."""
    if not settings.PLAIN_COPY_DAYS or not cache.add(f"plain-read:{sha256}", 1, _NOTED_FOR_S):
        return
    if has_copy:
        Blob.objects.filter(sha256=sha256).update(plain_read_at=timezone.now())
    else:
        blob_id = Blob.objects.filter(sha256=sha256).values_list("pk", flat=True).first()
        ring(tasks.make_plain_copy, blob_id)


def make_plain_copy(*, blob_id: int) -> bool:
    """Put a file together from its chunks and keep it, where there is room for it.

    Returns:
        Whether it was made now.

    Raises:
        DigestMismatch, FormatError: the chunks are damaged; nothing was kept.
        StorageFull, StorageUnavailable: nothing was kept.
    """
    blob = Blob.objects.filter(pk=blob_id, is_plain=False, condemned_at=None).first()
    recipe = XetFile.objects.filter(sha256=blob.sha256).first() if blob else None
    if blob is None or recipe is None or not _has_room(blob.size_bytes):
        return False
    with claim(f"plain-copy:{blob_id}") as is_ours:
        if not is_ours:
            return False
        received = receive(
            _Pieces(stream_xet_file(recipe)),
            staging_dir=settings.STAGING_DIR,
            limit_bytes=blob.size_bytes,
            expected_size=blob.size_bytes,
            expected_sha256=blob.sha256,
        )
        store().put_file(blob.store_key, received.path)
    return _keep_plain(blob)


def _keep_plain(blob: Blob) -> bool:
    """The row says so only of bytes that are there, and were just held against the SHA-256."""
    now = timezone.now()
    with transaction.atomic():
        locked = Blob.objects.select_for_update().filter(pk=blob.pk, condemned_at=None)
        if not locked.exists() or not store().exists(blob.store_key):
            return False
        locked.update(is_plain=True, plain_read_at=now, converted_at=now, quarantined_at=None)
        forget_broken_recipes(blob)
    return True


def drop_plain_copies() -> int:
    """Delete plain copies whose chunks are whole and that nobody has fetched lately; how many."""
    now = timezone.now()
    unused_since = now - timedelta(days=settings.PLAIN_COPY_DAYS)
    due = Blob.objects.filter(
        Q(plain_read_at=None) | Q(plain_read_at__lt=unused_since),
        is_plain=True,
        converted_at__lt=now - PLAIN_GRACE,
    )
    return sum(map(_drop_plain, due.order_by("pk")[:_DROPPED_AT_ONCE]))


def _has_room(size_bytes: int) -> bool:
    """A copy is a comfort: it may take a tenth of what is free."""
    return size_bytes <= shutil.disk_usage(settings.STAGING_DIR).free // 10


def _drop_plain(blob: Blob) -> bool:
    """First nobody is sent to the copy any more, then it goes, unless it was sent again."""
    with transaction.atomic():
        if not _may_go(blob):
            return False
        Blob.objects.filter(pk=blob.pk).update(is_plain=False)
    gone = {"is_plain": False, "quarantined_at": None}
    with transaction.atomic():
        if Blob.objects.select_for_update().filter(pk=blob.pk, **gone).exists():
            store().delete(blob.store_key)
    return True


def _may_go(blob: Blob) -> bool:
    """Whether all repositories have whole chunks, with the rows locked in the order of scrub."""
    recipes = XetFile.objects.filter(repo_links__blob=blob)
    used = Xorb.objects.filter(hash__in=xorbs_used_by(recipes)).order_by("pk")
    list(used.select_for_update().values_list("pk", flat=True))
    locked = Blob.objects.select_for_update().filter(pk=blob.pk, is_plain=True)
    if not locked.exclude(converted_at=None).exists():
        return False
    files = list(recipes.distinct())
    if not files or blob.repo_links.filter(xet_file=None).exists():
        locked.update(converted_at=None)
        return False
    if all(map(is_whole, files)):
        return True
    forget_broken_recipes(blob)
    return False


class _Pieces:
    """A run of pieces as a stream; each read gives one, of whatever size was made."""

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1, /) -> bytes:
        return next(self._pieces, b"")
