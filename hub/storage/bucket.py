"""A store in a bucket: S3 and its kin, Google Cloud Storage, Azure, or memory, by URL."""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store, from_url

from hub.storage.errors import KeyMissing, StorageFull, StorageUnavailable
from hub.storage.values import StoredObject

if TYPE_CHECKING:
    from obstore.store import ClientConfig

_PART_BYTES = 16 * 1024 * 1024
_MOST_PARTS = 9_000
_MOST_COPIED_BYTES = 4 * 1024**3
"""S3 copies up to 5 GiB within itself by one call."""
_FULL_SIGNS = ("StorageFull", "InsufficientStorage", "507 ", "QuotaExceeded")


class _Taken(Exception):
    """Something is stored under a key that had to be free."""


class Bucket:
    """Keys are object names below the URL's path."""

    def __init__(self, url: str) -> None:
        self._store = _open(url)

    def size(self, key: str) -> int:
        with _translated(key):
            return int(obstore.head(self._store, key)["size"])

    def put_file(self, key: str, path: Path, *, consume: bool) -> None:
        part_bytes = max(_PART_BYTES, path.stat().st_size // _MOST_PARTS + 1)
        with _translated(key):
            obstore.put(self._store, key, path, chunk_size=part_bytes)
        if consume:
            path.unlink(missing_ok=True)

    def put_new_file(self, key: str, path: Path) -> bool:
        try:
            with _translated(key):
                obstore.put(self._store, key, path, mode="create")
        except _Taken:
            return False
        finally:
            path.unlink(missing_ok=True)
        return True

    def put_bytes(self, key: str, data: bytes) -> None:
        with _translated(key):
            obstore.put(self._store, key, data)

    def stream(self, key: str, start: int, end: int | None, chunk_size: int) -> Iterator[bytes]:
        size_bytes = self.size(key)
        stop = size_bytes if end is None else min(end, size_bytes)
        if start >= stop:
            return iter(())
        with _translated(key):
            result = obstore.get(self._store, key, options={"range": (start, stop)})
            return self._chunks(key, result.stream(min_chunk_size=chunk_size))

    def _chunks(self, key: str, chunks: "obstore.BytesStream") -> Iterator[bytes]:
        with _translated(key):
            for chunk in chunks:
                yield bytes(chunk)

    def move(self, key: str, target: str) -> None:
        size_bytes = self.size(key)
        with _translated(key):
            if size_bytes <= _MOST_COPIED_BYTES:
                obstore.rename(self._store, key, target)
            else:
                content = obstore.get(self._store, key).stream(min_chunk_size=_PART_BYTES)
                part_bytes = max(_PART_BYTES, size_bytes // _MOST_PARTS + 1)
                obstore.put(self._store, target, content, chunk_size=part_bytes)
                obstore.delete(self._store, key)

    def delete(self, key: str) -> None:
        with contextlib.suppress(KeyMissing), _translated(key):
            obstore.delete(self._store, key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        with _translated(prefix):
            for page in obstore.list(self._store, prefix or None):
                for item in page:
                    yield StoredObject(item["path"], item["size"], item["last_modified"])

    def drop_unfinished(self, before: datetime) -> int:
        return 0  # a rule of the bucket does it: AbortIncompleteMultipartUpload

    def local_path(self, key: str) -> Path | None:
        return None

    def signed_url(self, key: str, *, expires_s: int) -> str | None:
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return None
        with _translated(key):
            return obstore.sign(self._store, "GET", key, timedelta(seconds=expires_s))


def _open(url: str) -> ObjectStore:
    """The store at the URL; its query gives settings, such as `?endpoint=http://minio:9000`."""
    parts = urlsplit(url)
    config = dict(parse_qsl(parts.query))
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    if parts.scheme == "memory":
        return from_url(plain)
    # The time limit of a request covers its body, which may be many gigabytes.
    client: ClientConfig = {"allow_http": True, "connect_timeout": "10s", "timeout": "3600s"}
    # Which settings there are depends on the scheme, which only the operator's URL knows.
    opened: ObjectStore = cast("Any", from_url)(plain, config=config or None, client_options=client)
    return opened


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise KeyMissing(key) from None
    except AlreadyExistsError as error:
        raise _Taken from error
    except (BaseError, OSError) as error:
        text = str(error)
        if any(sign in text for sign in _FULL_SIGNS):
            raise StorageFull from error
        raise StorageUnavailable(text.split("\n", 1)[0][:300]) from error
