"""Writing git objects: a few as loose files, many as one pack, so that a big commit is one file.

Source: gitformat-pack(5), version 2 of pack and index.
"""

import contextlib
import errno
import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import pygit2
from pygit2.enums import ObjectType

from hub.vcs.errors import RepositoryFull

LOOSE_LIMIT = 16
"""Up to this many objects are written as loose files, above it as a pack."""
PACK_LIMIT_BYTES = 256 * 1024 * 1024

_TYPE_NAMES = {
    ObjectType.COMMIT: b"commit",
    ObjectType.TREE: b"tree",
    ObjectType.BLOB: b"blob",
    ObjectType.TAG: b"tag",
}
_COMPRESSION_LEVEL = 1
_FOLDER_TRIES = 4

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class _Waiting:
    kind: ObjectType
    data: bytes


class ObjectBatch:
    """Objects that are written together; nothing reaches the disk before `write`.

    Add an object after those it names: the order is kept, so that an interrupted write leaves no
    object that names a missing one (unless a very large batch was split, in the same order).
    """

    def __init__(self, repo: pygit2.Repository) -> None:
        self._repo = repo
        self._objects = Path(repo.path) / "objects"
        self._waiting: dict[bytes, _Waiting] = {}
        self._waiting_bytes = 0

    def add(self, kind: ObjectType, data: bytes) -> bytes:
        """The 20-byte id of the object, which will exist once `write` has returned."""
        digest = hashlib.sha1(b"%s %d\0" % (_TYPE_NAMES[kind], len(data)), usedforsecurity=False)
        digest.update(data)
        oid = digest.digest()
        if oid not in self._waiting and not self._repo.odb.exists(pygit2.Oid(raw=oid)):
            self._waiting[oid] = _Waiting(kind, data)
            self._waiting_bytes += len(data)
            if self._waiting_bytes > PACK_LIMIT_BYTES:
                self.write()
        return oid

    def write(self) -> None:
        """Write all that was added.

        Raises:
            RepositoryFull: no space is left; what was written so far is harmless.
        """
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        with no_space_as_domain_error():
            if len(waiting) > LOOSE_LIMIT:
                _write_pack(self._objects / "pack", waiting)
                return
            for oid, item in waiting.items():
                _write_loose(self._objects, oid.hex(), item)


@contextlib.contextmanager
def no_space_as_domain_error() -> Iterator[None]:
    """Turn "no space left" of the system or of libgit2 into RepositoryFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RepositoryFull from error
        raise
    except pygit2.GitError as error:
        if os.strerror(errno.ENOSPC) in str(error) or os.strerror(errno.EDQUOT) in str(error):
            raise RepositoryFull from error
        raise


def with_folder(folder: Path, act: Callable[[], Done]) -> Done:
    """`act`, with the folder there: repacking removes those that it has emptied."""
    for _ in range(_FOLDER_TRIES):
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return act()
    folder.mkdir(exist_ok=True)
    return act()


def _write_loose(objects: Path, oid: str, item: _Waiting) -> None:
    folder = objects / oid[:2]
    descriptor, name = with_folder(folder, lambda: tempfile.mkstemp(prefix="tmp_obj_", dir=folder))
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            head = b"%s %d\0" % (_TYPE_NAMES[item.kind], len(item.data))
            file.write(zlib.compress(head + item.data, _COMPRESSION_LEVEL))
            _finish_file(file)
        path.rename(folder / oid[2:])
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_pack(folder: Path, waiting: dict[bytes, _Waiting]) -> None:
    folder.mkdir(exist_ok=True)
    temporary: list[Path] = []
    try:
        pack_path, checksum, rows = _write_pack_file(folder, waiting, temporary)
        index_path = _write_index_file(folder, checksum, rows, temporary)
        name = f"pack-{checksum.hex()}"
        pack_path.rename(folder / f"{name}.pack")
        index_path.rename(folder / f"{name}.idx")
        sync_folder(folder)
    except BaseException:
        for path in temporary:
            path.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class _IndexRow:
    oid: bytes
    crc32: int
    offset: int


def _write_pack_file(
    folder: Path, waiting: dict[bytes, _Waiting], temporary: list[Path]
) -> tuple[Path, bytes, list[_IndexRow]]:
    descriptor, name = tempfile.mkstemp(prefix="tmp_pack_", dir=folder)
    path = Path(name)
    temporary.append(path)
    digest = hashlib.sha1(usedforsecurity=False)
    rows: list[_IndexRow] = []
    with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
        header = b"PACK" + struct.pack(">II", 2, len(waiting))
        file.write(header)
        digest.update(header)
        offset = len(header)
        for oid, item in waiting.items():
            entry = _entry_header(item) + zlib.compress(item.data, _COMPRESSION_LEVEL)
            file.write(entry)
            digest.update(entry)
            rows.append(_IndexRow(oid, zlib.crc32(entry), offset))
            offset += len(entry)
        file.write(digest.digest())
        _finish_file(file)
    return path, digest.digest(), rows


def _entry_header(item: _Waiting) -> bytes:
    """Object type and size: 3 bits and 4 bits in the first byte, 7 bits in each that follows."""
    size = len(item.data)
    head = [(int(item.kind) << 4) | (size & 0x0F)]
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head)


def _write_index_file(
    folder: Path, pack_checksum: bytes, rows: list[_IndexRow], temporary: list[Path]
) -> Path:
    rows = sorted(rows, key=lambda row: row.oid)
    counts = [0] * 256
    for row in rows:
        counts[row.oid[0]] += 1
    totals = [sum(counts[: index + 1]) for index in range(256)]
    parts = [b"\xfftOc", struct.pack(">I", 2), struct.pack(">256I", *totals)]
    parts.append(b"".join(row.oid for row in rows))
    parts.append(struct.pack(f">{len(rows)}I", *(row.crc32 for row in rows)))
    parts.append(struct.pack(f">{len(rows)}I", *(row.offset for row in rows)))
    body = b"".join(parts) + pack_checksum
    descriptor, name = tempfile.mkstemp(prefix="tmp_idx_", dir=folder)
    path = Path(name)
    temporary.append(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body + hashlib.sha1(body, usedforsecurity=False).digest())
        _finish_file(file)
    return path


def _finish_file(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    os.fchmod(file.fileno(), 0o444)


def sync_folder(folder: Path) -> None:
    """Make sure that renames into the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
