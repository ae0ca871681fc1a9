"""Receiving bytes: hash while writing, compare with what was promised, keep nothing on failure."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from hub.storage.errors import ClientGone, DigestMismatch, SizeMismatch, TooLarge
from hub.storage.folder import no_space_as_storage_full

CHUNK_BYTES = 1 << 20


class Readable(Protocol):
    """Anything bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes: ...


class HashingReader:
    """Passes a stream on and keeps the SHA-256 and the count of what went through."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._sha256.update(data)
        self.size_bytes += len(data)
        return data

    def sha256(self) -> str:
        """Digest, in hex, of what was read so far."""
        return self._sha256.hexdigest()


@dataclass(frozen=True, slots=True)
class Received:
    """A body in the staging folder; the caller moves or removes the file."""

    path: Path
    size_bytes: int
    sha256: str


def receive(
    stream: Readable,
    *,
    staging_dir: Path,
    limit_bytes: int,
    expected_size: int | None = None,
    expected_sha256: str | None = None,
) -> Received:
    """Write a stream to a temporary file, checked on the way.

    The file is removed again whatever goes wrong. With an expected size reading stops one byte
    after it, so that a sender cannot fill the disk.

    Raises:
        TooLarge, SizeMismatch, DigestMismatch, ClientGone: the sender is at fault.
        StorageFull: we are.
    """
    if expected_size is not None and expected_size > limit_bytes:
        raise TooLarge(limit_bytes)
    with no_space_as_storage_full():
        staging_dir.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="recv-", dir=staging_dir)
    path = Path(name)
    reader = HashingReader(stream)
    try:
        with no_space_as_storage_full(), os.fdopen(descriptor, "wb", buffering=0) as file:
            _copy(reader, file, limit_bytes=limit_bytes, expected_size=expected_size)
        _check(reader, expected_size=expected_size, expected_sha256=expected_sha256)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Received(path, reader.size_bytes, reader.sha256())


def _copy(
    reader: HashingReader, file: BinaryIO, *, limit_bytes: int, expected_size: int | None
) -> None:
    most = limit_bytes if expected_size is None else expected_size
    while True:
        data = _read(reader, min(CHUNK_BYTES, most - reader.size_bytes + 1))
        if not data:
            return
        if reader.size_bytes > most:
            if expected_size is not None:
                raise SizeMismatch(expected_size, reader.size_bytes)
            raise TooLarge(limit_bytes)
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]


def _read(reader: HashingReader, size: int) -> bytes:
    try:
        return reader.read(size)
    except OSError as error:
        raise ClientGone from error


def _check(
    reader: HashingReader, *, expected_size: int | None, expected_sha256: str | None
) -> None:
    if expected_size is not None and reader.size_bytes != expected_size:
        raise SizeMismatch(expected_size, reader.size_bytes)
    if expected_sha256 is not None and reader.sha256() != expected_sha256:
        raise DigestMismatch(expected_sha256, reader.sha256())
