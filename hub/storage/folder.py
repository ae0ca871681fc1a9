"""A store in a local folder: files appear under their key whole or not at all."""

import contextlib
import errno
import io
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from hub.storage.errors import KeyMissing, StorageFull
from hub.storage.values import StoredObject

_TEMPORARY = ".part-"


@contextlib.contextmanager
def no_space_as_storage_full() -> Iterator[None]:
    """Turn the system's "no space left" into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from error
        raise


class Folder:
    """Keys are paths below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, key: str) -> int:
        path = self._path(key)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise KeyMissing(key) from None
        if not path.is_file():
            raise KeyMissing(key)
        return status.st_size

    def put_file(self, key: str, path: Path, *, consume: bool) -> None:
        with no_space_as_storage_full():
            if consume and _made_durable(path, beside=self._target(key)):
                path.replace(self._path(key))
                return
            self._copy(path, self._target(key))
            if consume:
                path.unlink(missing_ok=True)

    def put_new_file(self, key: str, path: Path) -> bool:
        target = self._target(key)
        ready = path
        try:
            with no_space_as_storage_full():
                if not _made_durable(path, beside=target):
                    ready = target.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
                    self._copy(path, ready)
                target.hardlink_to(ready)
        except FileExistsError:
            return False
        finally:
            path.unlink(missing_ok=True)
            ready.unlink(missing_ok=True)
        return True

    def put_bytes(self, key: str, data: bytes) -> None:
        with no_space_as_storage_full():
            target = self._target(key)
            descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
            _publish(Path(name), target, os.fdopen(descriptor, "wb"), [data])

    def stream(self, key: str, start: int, end: int | None, chunk_size: int) -> Iterator[bytes]:
        try:
            file = self._path(key).open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyMissing(key) from None
        file.seek(start)
        return _chunks(file, None if end is None else end - start, chunk_size)

    def move(self, key: str, target: str) -> None:
        self.size(key)
        with no_space_as_storage_full():
            self._path(key).replace(self._target(target))
        os.utime(self._path(target))  # what is set aside is kept from now on

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for folder, _, names in os.walk(self._root / prefix):
            for name in names:
                path = Path(folder) / name
                with contextlib.suppress(FileNotFoundError):
                    if not name.startswith(_TEMPORARY):
                        yield self._describe(path)

    def drop_unfinished(self, before: datetime) -> int:
        count = 0
        for path in self._root.rglob(f"{_TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    count += 1
        return count

    def local_path(self, key: str) -> Path | None:
        self.size(key)
        return self._path(key)

    def signed_url(self, key: str, *, expires_s: int) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        return self._root / key

    def _target(self, key: str) -> Path:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _copy(self, path: Path, target: Path) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
        with path.open("rb") as source:
            chunks = iter(lambda: source.read(1 << 20), b"")
            _publish(Path(name), target, os.fdopen(descriptor, "wb"), chunks)

    def _describe(self, path: Path) -> StoredObject:
        status = path.stat()
        return StoredObject(
            key=path.relative_to(self._root).as_posix(),
            size_bytes=status.st_size,
            last_modified=datetime.fromtimestamp(status.st_mtime, UTC),
        )


def _made_durable(path: Path, *, beside: Path) -> bool:
    """Write a file out, readable to all; False where it lies on another file system."""
    if path.stat().st_dev != beside.parent.stat().st_dev:
        return False
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
    path.chmod(0o644)
    return True


def _publish(temporary: Path, target: Path, file: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Write the chunks to the temporary file, make them durable, and give them their name."""
    try:
        with file:
            file.writelines(chunks)
            file.flush()
            os.fdatasync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _chunks(file: io.FileIO, left: int | None, chunk_size: int) -> Iterator[bytes]:
    with file:
        while left is None or left > 0:
            data = file.read(chunk_size if left is None else min(chunk_size, left))
            if not data:
                return
            if left is not None:
                left -= len(data)
            yield data
