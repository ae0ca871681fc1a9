"""Verifying stored bytes again: what has gone bad is set aside, and no reader gets to see it.

Bytes are moved aside while the row is locked, and the row is marked in the same transaction; a run
that is killed between the two leaves a row without bytes, which the next scrub finds and marks. An
upload of the same content heals it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from hub.models import Blob, RepoBlob, XetFile, Xorb
from hub.site import store
from hub.storage import KeyMissing
from hub.usage import xorbs_used_by
from hub.xet.content import tail_of, xorb_key
from hub.xet.errors import FormatError
from hub.xet.hashing import parse_hash
from hub.xet.terms import TermList
from hub.xet.xorb import XorbVerifier

_FILES_AT_ONCE = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """A stored object that is not what its row says."""

    key: str
    reason: str


@dataclass
class Scrub:
    """What a run has looked at, and what it has set aside."""

    checked_count: int = 0
    checked_bytes: int = 0
    damages: list[Damage] = field(default_factory=list)


def scrub_storage(
    *, limit: int | None, tell: Callable[[Damage], None] = lambda damage: None
) -> Scrub:
    """Verify stored objects, those first that were not looked at for longest.

    Args:
        limit: how many; None for all. Memory stays at a few megabytes.
        tell: is called for each damaged object as it is found.

    Raises:
        StorageUnavailable: the store does not answer; that is no damage.
    """
    done = Scrub()
    for row in _oldest(limit):
        # Before the look: one that takes too long must not be the first of each run.
        type(row)._default_manager.filter(pk=row.pk).update(scrubbed_at=timezone.now())
        damage = _check_xorb(row) if isinstance(row, Xorb) else _check_plain(row)
        done.checked_count += 1
        done.checked_bytes += row.size_bytes
        if damage is not None:
            logger.error("%s is damaged and was set aside: %s", damage.key, damage.reason)
            done.damages.append(damage)
            tell(damage)
    return done


def heal_files_of(xorb_hash: str) -> None:
    """Take the mark from contents that are whole again now that this xorb is.

    Call it inside the transaction that makes the xorb known.
    """
    damaged = Blob.objects.exclude(quarantined_at=None)
    for file in _files_that_use(xorb_hash):
        if is_whole(file):
            damaged.filter(sha256=file.sha256).update(quarantined_at=None)


def is_whole(file: XetFile) -> bool:
    """Whether all xorbs of a recipe are here and not known to be damaged."""
    needed = xorbs_used_by(XetFile.objects.filter(pk=file.pk))
    return Xorb.objects.filter(hash__in=needed, quarantined_at=None).count() == len(needed)


def forget_broken_recipes(blob: Blob) -> None:
    """Of a content with a true plain copy: nobody is sent to chunks that are damaged.

    Conversion makes the recipe anew. Call it inside the transaction that has locked the content.
    """
    for file in XetFile.objects.filter(sha256=blob.sha256):
        if not is_whole(file):
            RepoBlob.objects.filter(blob=blob, xet_file=file).update(xet_file=None)
            Blob.objects.filter(pk=blob.pk).update(converted_at=None)


def _oldest(limit: int | None) -> Iterator[Xorb | Blob]:
    """What is needed; of what is being collected the bytes may be gone already."""
    order = F("scrubbed_at").asc(nulls_first=True), "pk"
    xorbs = Xorb.objects.filter(quarantined_at=None, condemned_at=None).order_by(*order)
    blobs = Blob.objects.filter(is_plain=True, condemned_at=None).order_by(*order)
    if limit is None:
        yield from xorbs.iterator(chunk_size=_FILES_AT_ONCE)
        yield from blobs.iterator(chunk_size=_FILES_AT_ONCE)
        return
    rows: list[Xorb | Blob] = [*xorbs[:limit], *blobs[:limit]]
    rows.sort(key=lambda row: row.scrubbed_at.timestamp() if row.scrubbed_at else 0.0)
    yield from rows[:limit]


def _check_xorb(xorb: Xorb) -> Damage | None:
    key = xorb_key(parse_hash(xorb.hash))
    try:
        _verify_xorb(xorb, key)
    except (FormatError, KeyMissing) as error:
        return _quarantine_xorb(xorb, Damage(key, error.message))
    return None


def _verify_xorb(xorb: Xorb, key: str) -> None:
    """Records, hashes, Merkle root, and the index behind them."""
    verifier, left, tail = XorbVerifier(), xorb.size_bytes, bytearray()
    for piece in store().stream(key):
        verifier.feed(memoryview(piece)[:left])
        tail += memoryview(piece)[left:]
        left = max(0, left - len(piece))
    index = verifier.finish(parse_hash(xorb.hash))
    if bytes(tail) != tail_of(index):
        raise FormatError("bad_index", "The index of the xorb is damaged.")


def _check_plain(blob: Blob) -> Damage | None:
    digest = hashlib.sha256()
    try:
        for piece in store().stream(blob.store_key):
            digest.update(piece)
    except KeyMissing as error:
        return _quarantine_plain(blob, Damage(blob.store_key, error.message), is_missing=True)
    if digest.hexdigest() != blob.sha256:
        reason = f"The bytes have the SHA-256 {digest.hexdigest()}."
        return _quarantine_plain(blob, Damage(blob.store_key, reason))
    return None


def _quarantine_xorb(xorb: Xorb, damage: Damage) -> Damage | None:
    """Set a xorb aside, unless it was deleted, or set aside, since we looked."""
    with transaction.atomic():
        here = {"quarantined_at": None, "condemned_at": None}
        locked = Xorb.objects.select_for_update().filter(pk=xorb.pk, **here)
        if not locked.exists():
            return None
        _set_aside(damage.key)
        locked.update(quarantined_at=timezone.now())
        for file in _files_that_use(xorb.hash):
            _mark_content(file.sha256)
    return damage


def _mark_content(sha256: str) -> None:
    """A content has lost a recipe: its plain copy serves alone, or no copy is whole."""
    blobs = Blob.objects.filter(sha256=sha256)
    plain = blobs.filter(is_plain=True)
    RepoBlob.objects.filter(blob__in=plain).update(xet_file=None)
    plain.update(converted_at=None)
    if not any(is_whole(file) for file in XetFile.objects.filter(sha256=sha256)):
        blobs.filter(is_plain=False).update(quarantined_at=timezone.now())


def _quarantine_plain(blob: Blob, damage: Damage, *, is_missing: bool = False) -> Damage | None:
    with transaction.atomic():
        here = {"is_plain": True, "condemned_at": None}
        locked = Blob.objects.select_for_update().filter(pk=blob.pk, **here)
        if not locked.exists() or (is_missing and store().exists(damage.key)):
            return None  # deleted, or sent again, since we looked
        _set_aside(damage.key)
        others = XetFile.objects.filter(sha256=blob.sha256)
        has_copy = any(is_whole(file) for file in others)
        now = timezone.now()
        locked.update(is_plain=False, quarantined_at=None if has_copy else now)
    return damage


def _set_aside(key: str) -> None:
    with suppress(KeyMissing):
        store().move(key, f"quarantine/{key}")


def _files_that_use(xorb_hash: str) -> Iterator[XetFile]:
    """Reads all recipes: damage is rare, and an index for it would cost every upload."""
    raw = parse_hash(xorb_hash)
    files: QuerySet[XetFile] = XetFile.objects.all()
    for file in files.iterator(chunk_size=_FILES_AT_ONCE):
        if raw in file.terms and raw in TermList.from_bytes(file.terms).xorb_hashes():
            yield file
