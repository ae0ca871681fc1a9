"""Receiving xorbs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction

from hub.actions.scrub import heal_files_of
from hub.errors import InvalidInput, StorageUnavailable, TooLarge
from hub.models import RepoXorb, Xorb, XorbChunk
from hub.site import store
from hub.storage.folder import no_space_as_storage_full
from hub.xet.content import read_index, tail_of, xorb_key
from hub.xet.errors import FormatError
from hub.xet.hashing import format_hash, parse_hash
from hub.xet.index import XorbIndex
from hub.xet.xorb import MAX_UPLOAD_BYTES, XorbVerifier

_READ_BYTES = 1 << 20


class ByteSource(Protocol):
    """Where a request body is read from."""

    def read(self, size: int = -1, /) -> bytes: ...


def store_xorb(*, xorb_hash: str, body: ByteSource) -> bool:
    """Take in a xorb: verified while it arrives, visible only when it is whole and true.

    Returns:
        Whether it is new here.

    Raises:
        InvalidInput: the body breaks the format, or is not the xorb of that hash.
        TooLarge: it is longer than a xorb can be.
        StorageFull, StorageUnavailable: it could not be stored; nothing is left behind.
    """
    expected = _parse_hash(xorb_hash)
    if _is_kept(xorb_hash):
        _discard(body, MAX_UPLOAD_BYTES)
        return False
    with no_space_as_storage_full():
        number, name = tempfile.mkstemp(dir=settings.STAGING_DIR, prefix="recv-xorb-")
    try:
        with no_space_as_storage_full(), os.fdopen(number, "wb", buffering=0) as file:
            index = _receive(body, file.write, expected)
            file.truncate(index.size_bytes)
            file.seek(index.size_bytes)
            _write_out(file.write, tail_of(index))
        if not store().put_new_file(xorb_key(index.xorb_hash), Path(name)):
            index = read_index(store(), index.xorb_hash)
    finally:
        Path(name).unlink(missing_ok=True)
    return _register(index)


def _is_kept(xorb_hash: str) -> bool:
    """Whether the xorb is here to stay: one that collection has marked is kept from now on."""
    xorbs = Xorb.objects.filter(hash=xorb_hash, quarantined_at=None)
    if xorbs.filter(condemned_at=None).exists():
        return True
    with transaction.atomic():
        locked = xorbs.select_for_update().first()
        return locked is not None and hold_xorb(locked)


def hold_xorb(xorb: Xorb) -> bool:
    """Keep a xorb, whose row is locked, from collection; False if it is damaged or going."""
    if xorb.quarantined_at is not None:
        return False
    if xorb.condemned_at is None:
        return True
    if not store().exists(xorb_key(parse_hash(xorb.hash))):
        return False
    xorb.condemned_at = None
    xorb.save(update_fields=["condemned_at"])
    return True


def _register(index: XorbIndex) -> bool:
    """The row of a xorb in the store; whether it is new.

    Raises:
        StorageUnavailable: a collection has just deleted the bytes that were there before.
    """
    facts = {
        "size_bytes": index.size_bytes,
        "unpacked_bytes": index.unpacked_bytes,
        "chunk_count": index.count,
        "condemned_at": None,
    }
    name = format_hash(index.xorb_hash)
    with transaction.atomic():
        rows = Xorb.objects.select_for_update()
        damaged = rows.filter(hash=name).exclude(quarantined_at=None).first()
        if damaged is not None:
            _replace(damaged, facts)
        else:
            _, is_new = rows.update_or_create(hash=name, defaults=facts)
        if not store().exists(xorb_key(index.xorb_hash)):
            raise StorageUnavailable
    return damaged is not None or is_new


def _replace(damaged: Xorb, facts: dict[str, Any]) -> None:
    """A row of its own for a xorb that came again: the old one names an index that has gone."""
    name = damaged.hash
    Xorb.objects.filter(pk=damaged.pk).update(hash=f"damaged {damaged.pk}")
    healed = Xorb.objects.create(hash=name, **facts)
    RepoXorb.objects.filter(xorb=damaged).update(xorb=healed)
    XorbChunk.objects.filter(xorb=damaged).update(xorb=healed)
    damaged.delete()
    heal_files_of(name)


def _receive(body: ByteSource, write: Callable[[memoryview], int], expected: bytes) -> XorbIndex:
    """Copy and verify a body. A bad one is read to its end, so that the sender gets the answer."""
    verifier = XorbVerifier()
    received = 0
    try:
        while block := body.read(_READ_BYTES):
            received += len(block)
            if received > MAX_UPLOAD_BYTES:
                raise TooLarge(f"A xorb has at most {MAX_UPLOAD_BYTES} bytes.")
            verifier.feed(block)
            _write_out(write, block)
        return verifier.finish(expected)
    except FormatError as error:
        _discard(body, MAX_UPLOAD_BYTES - received)
        raise invalid_input(error) from error


def _write_out(write: Callable[[memoryview], int], block: bytes) -> None:
    """Write all of a block to an unbuffered file, which may take it in parts."""
    view = memoryview(block)
    while view:
        view = view[write(view) :]


def _discard(body: ByteSource, limit_bytes: int) -> None:
    while limit_bytes > 0 and (block := body.read(_READ_BYTES)):
        limit_bytes -= len(block)


def _parse_hash(text: str) -> bytes:
    try:
        return parse_hash(text)
    except FormatError as error:
        raise invalid_input(error) from error


def invalid_input(error: FormatError) -> InvalidInput:
    """A broken format as the refusal that its sender gets."""
    return InvalidInput(error.message, reason=error.code)
