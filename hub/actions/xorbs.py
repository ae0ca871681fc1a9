"""Receiving xorbs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from django.conf import settings

from hub.errors import InvalidInput, TooLarge
from hub.models import Xorb
from hub.site import store
from hub.storage.folder import no_space_as_storage_full
from hub.xet.content import read_index, tail_of, xorb_key
from hub.xet.errors import FormatError
from hub.xet.hashing import parse_hash
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
    if Xorb.objects.filter(hash=xorb_hash).exists():
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
        index = _put_once(Path(name), index)
    finally:
        Path(name).unlink(missing_ok=True)
    _, is_new = Xorb.objects.get_or_create(
        hash=xorb_hash,
        defaults={
            "size_bytes": index.size_bytes,
            "unpacked_bytes": index.unpacked_bytes,
            "chunk_count": index.count,
        },
    )
    return is_new


def _put_once(staged: Path, index: XorbIndex) -> XorbIndex:
    """Put a xorb in the store, unless one is there; the index of the one that stays."""
    if store().put_new_file(xorb_key(index.xorb_hash), staged):
        return index
    return read_index(store(), index.xorb_hash)


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
