"""Files for comments: taking them in, noting which comments name them, deleting the others.

A file has a key of its own in the store and is never shared, so that deleting one takes no look at
others. Its row is locked while a comment takes it up and while it is deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Sum
from django.utils import timezone

from contributions.models import Attachment, DiscussionEvent
from contributions.models.attachment import ID_CHARS
from contributions.sniffing import ENDINGS, HEAD_BYTES, FileKind, Medium, kind_of
from hub.actions.audit import record
from hub.batches import in_batches
from hub.errors import InvalidInput, QuotaExceeded, TooLarge, UnsupportedType
from hub.fate import Fate, fate_of
from hub.models import User
from hub.rates import take
from hub.site import store
from hub.storage import Received, ReceiveError, receive
from hub.storage.digests import Readable
from hub.storage.errors import TooLarge as TooManyBytes

PREFIX = "attachments"
_NAMED = re.compile(rf"/uploads/([0-9a-f]{{{ID_CHARS}}})\.[a-z0-9]{{3,4}}\b")
_ROWS_AT_ONCE = 500
_MOST_NAMED = 200
"""So many files may one comment name."""


def keep_attachment(stream: Readable, *, size_bytes: int | None, acting_user: User) -> Attachment:
    """Takes in a file for a comment.

    Args:
        size_bytes: what the sender says that it has; None where it does not.

    Raises:
        UnsupportedType: it is no picture, sound or video of a kind that browsers show.
        TooLarge, QuotaExceeded: it has too many bytes, alone or with the sender's others.
        InvalidInput: fewer bytes came than were promised, or none.
        RateLimited: the sender has sent too many.
        StorageFull, StorageUnavailable (storage): nothing is kept.
    """
    take("attachment", acting_user)
    largest = max(settings.MAX_ATTACHMENT_BYTES, settings.MAX_VIDEO_ATTACHMENT_BYTES)
    _check_room(acting_user, size_bytes or 0)
    received = _received(stream, size_bytes, largest)
    try:
        kind = _checked_kind(received)
        return _stored(received, kind, acting_user)
    finally:
        received.path.unlink(missing_ok=True)


def _received(stream: Readable, size_bytes: int | None, limit_bytes: int) -> Received:
    try:
        return receive(
            stream,
            staging_dir=Path(settings.STAGING_DIR),
            limit_bytes=limit_bytes,
            expected_size=size_bytes,
        )
    except TooManyBytes:
        raise TooLarge(f"A file may have at most {limit_bytes} bytes.") from None
    except ReceiveError as error:
        raise InvalidInput(error.message, **error.details) from None


def _checked_kind(received: Received) -> FileKind:
    with received.path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    if kind is None:
        raise UnsupportedType(f"Its bytes are none of the kinds that are taken: {ENDINGS}.")
    is_video = kind.medium == Medium.VIDEO
    limit = settings.MAX_VIDEO_ATTACHMENT_BYTES if is_video else settings.MAX_ATTACHMENT_BYTES
    if received.size_bytes > limit:
        raise TooLarge(f"A file of this kind may have at most {limit} bytes.")
    return kind


def _stored(received: Received, kind: FileKind, user: User) -> Attachment:
    """Bytes first, then the row; what a killed process left between them is collected."""
    row = Attachment(
        ending=kind.ending, owner=user, sha256=received.sha256, size_bytes=received.size_bytes
    )
    store().put_file(row.store_key, received.path)
    try:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=user.pk)
            _check_room(user, row.size_bytes)
            row.save(force_insert=True)
    except BaseException:
        store().delete(row.store_key)
        raise
    return row


def _check_room(user: User, more_bytes: int) -> None:
    limit = settings.ATTACHMENT_QUOTA_BYTES
    if not limit or user.is_superuser:
        return
    held = Attachment.objects.filter(owner=user).aggregate(sum=Sum("size_bytes"))["sum"] or 0
    if held + more_bytes > limit:
        raise QuotaExceeded(
            f"Your files for comments may have {limit} bytes together and have {held}. Those that "
            "no comment shows are deleted after a while.",
            used_bytes=held,
            limit_bytes=limit,
        )


# --- Which comments name it -------------------------------------------------------------------


def link_attachments(event: DiscussionEvent) -> None:
    """Notes which files the comment names; part of the transaction that writes it."""
    named = list(dict.fromkeys(_NAMED.findall(event.text)))[:_MOST_NAMED]
    if not named:
        return
    rows = Attachment.objects.select_for_update().filter(public_id__in=named).order_by("pk")
    ids = list(rows.values_list("pk", flat=True))
    event.attachments.add(*ids)
    Attachment.objects.filter(pk__in=ids).update(condemned_at=None)


def release_attachments(event: DiscussionEvent) -> None:
    """A comment is taken away: what no other names is shown to nobody from now on."""
    ids = list(event.attachments.values_list("pk", flat=True))
    event.attachments.clear()
    Attachment.objects.filter(pk__in=ids, used_by=None).update(condemned_at=timezone.now())


def remove_attachment(*, attachment: Attachment, acting_user: User) -> None:
    """Deletes a file at once, whatever shows it; comments keep an address that leads nowhere."""
    with transaction.atomic():
        row = Attachment.objects.select_for_update().filter(pk=attachment.pk).first()
        if row is None:
            return
        store().delete(row.store_key)
        record(verb="attachment.removed", actor=acting_user, target=str(row), sha256=row.sha256)
        row.delete()


# --- Deleting ---------------------------------------------------------------------------------


def collect_attachments(*, now: datetime | None = None) -> int:
    """Marks files that no comment names, deletes those marked long ago, and bytes without a row.

    Returns:
        How many were deleted.
    """
    now = now or timezone.now()
    grace = timedelta(days=settings.ATTACHMENT_GRACE_DAYS)
    uses = Attachment.used_by.through.objects.filter(attachment=OuterRef("pk"))
    rows = Attachment.objects.annotate(is_needed=Exists(uses))
    fates: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    for row in rows.exclude(is_needed=True, condemned_at=None).iterator(chunk_size=_ROWS_AT_ONCE):
        fate = fate_of(
            is_needed=row.is_needed,
            created_at=row.created_at,
            condemned_at=row.condemned_at,
            now=now,
            grace=grace,
        )
        fates[fate].append(row.pk)
    _mark(fates, now)
    deleted = sum(_delete(pk, before=now - grace) for pk in fates[Fate.DELETE])
    return deleted + _delete_strangers(before=now - grace)


def _mark(fates: dict[Fate, list[int]], now: datetime) -> None:
    for ids in in_batches(fates[Fate.MARK], _ROWS_AT_ONCE):
        unused = Attachment.objects.filter(pk__in=ids, used_by=None, condemned_at=None)
        unused.update(condemned_at=now)
    for ids in in_batches(fates[Fate.CLEAR], _ROWS_AT_ONCE):
        Attachment.objects.filter(pk__in=ids).update(condemned_at=None)


def _delete(pk: int, *, before: datetime) -> bool:
    """Bytes first: a row without bytes, which a killed process leaves, is deleted the next time."""
    with transaction.atomic():
        locked = Attachment.objects.select_for_update().filter(pk=pk, condemned_at__lt=before)
        row = locked.first()
        if row is None or row.used_by.exists():
            return False
        store().delete(row.store_key)
        row.delete()
    return True


def _delete_strangers(*, before: datetime) -> int:
    """Bytes that no row names: an upload was killed in between. None is named later on."""
    old = (item.key for item in store().list(PREFIX) if item.last_modified < before)
    return sum(map(_delete_unknown, in_batches(old, _ROWS_AT_ONCE)))


def _delete_unknown(keys: Iterable[str]) -> int:
    by_id = {key.rsplit("/", 1)[-1]: key for key in keys}
    rows = Attachment.objects.filter(public_id__in=by_id)
    for known in rows.values_list("public_id", flat=True):
        del by_id[known]
    for key in by_id.values():
        store().delete(key)
    return len(by_id)
