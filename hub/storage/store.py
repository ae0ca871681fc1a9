"""The one port to stored bytes: content under a key, in a local folder or in a bucket."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hub.storage.bucket import Bucket
from hub.storage.errors import InvalidKey, KeyMissing
from hub.storage.folder import Folder
from hub.storage.values import Backend, StoredObject

CHUNK_BYTES = 1 << 20

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MAX_KEY_CHARS = 512


class Store:
    """Bytes by key; a key holds its whole content or nothing at any moment.

    Args:
        url: `file:///absolute/path`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory:///`.
            The query of the URL gives settings of the bucket (endpoint, region, …).
        staging_dir: where bytes wait before they are stored; best on the store's file system.

    Raises, besides what each method names:
        InvalidKey, StorageUnavailable
    """

    def __init__(self, url: str, *, staging_dir: Path) -> None:
        self.staging_dir = Path(staging_dir)
        self._backend = _backend(url)

    def exists(self, key: str) -> bool:
        """Whether something is stored under the key."""
        try:
            self.size(key)
        except KeyMissing:
            return False
        return True

    def size(self, key: str) -> int:
        """Size in bytes.

        Raises:
            KeyMissing
        """
        return self._backend.size(_checked(key))

    def put_file(self, key: str, path: Path, *, consume: bool = True) -> None:
        """Store a file's content, replacing what is there, in one step for all readers.

        Args:
            consume: the file may be moved and is gone afterwards; else it is left alone.

        Raises:
            StorageFull
        """
        self._backend.put_file(_checked(key), path, consume=consume)

    def put_new_file(self, key: str, path: Path) -> bool:
        """Store a file's content unless something is stored there; whether it was stored.

        Of several writers, also on several machines, the first wins. The file is gone afterwards.

        Raises:
            StorageFull
        """
        return self._backend.put_new_file(_checked(key), path)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store bytes, replacing what is there, in one step for all readers.

        Raises:
            StorageFull
        """
        self._backend.put_bytes(_checked(key), data)

    def read(self, key: str) -> bytes:
        """The whole content.

        Raises:
            KeyMissing
        """
        return b"".join(self.stream(key))

    def read_range(self, key: str, start: int, end_exclusive: int) -> bytes:
        """The bytes from `start` up to `end_exclusive`, fewer where the content ends before.

        Raises:
            KeyMissing
        """
        return b"".join(self.stream(key, start, end_exclusive))

    def stream(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = CHUNK_BYTES,
    ) -> Iterator[bytes]:
        """The bytes from `start` up to `end` (exclusive; None: to the end) in chunks.

        The object is opened at once; closing the iterator lets go of it.

        Raises:
            KeyMissing
        """
        if start < 0 or (end is not None and end < start):
            raise ValueError("a range starts at 0 or later and ends behind its start")
        return self._backend.stream(_checked(key), start, end, chunk_size)

    def move(self, key: str, target: str) -> None:
        """Put what is stored under one key under another, replacing what is there.

        Raises:
            KeyMissing, StorageFull
        """
        self._backend.move(_checked(key), _checked(target))

    def delete(self, key: str) -> None:
        """Remove what is stored under the key, if anything."""
        self._backend.delete(_checked(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects whose key starts with the prefix as a folder, in no set order."""
        return self._backend.list(_checked(prefix.rstrip("/")) if prefix else "")

    def drop_unfinished(self, before: datetime) -> int:
        """Remove what writers left that were killed before their bytes had a key; how many."""
        return self._backend.drop_unfinished(before)

    def local_path(self, key: str) -> Path | None:
        """The file that holds the content, for sendfile; None when it is not on this machine.

        Raises:
            KeyMissing: the store is local and holds nothing under the key.
        """
        return self._backend.local_path(_checked(key))

    def signed_url(self, key: str, *, expires_s: int) -> str | None:
        """A URL from which anyone may GET the content for a while; None if the store has none."""
        return self._backend.signed_url(_checked(key), expires_s=expires_s)


def _backend(url: str) -> Backend:
    parts = urlsplit(url)
    if parts.scheme == "file":
        root = Path(unquote(parts.path))
        root.mkdir(parents=True, exist_ok=True)
        return Folder(root)
    return Bucket(url)


def _checked(key: str) -> str:
    if len(key) > _MAX_KEY_CHARS or not _KEY.fullmatch(key):
        raise InvalidKey(key)
    return key
