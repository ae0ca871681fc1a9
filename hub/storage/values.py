"""What a store hands out, and what each kind of store can do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One stored object; `last_modified` is aware, in UTC."""

    key: str
    size_bytes: int
    last_modified: datetime


class Backend(Protocol):
    """One kind of store. Keys and ranges have been checked by the caller."""

    def size(self, key: str) -> int: ...

    def put_file(self, key: str, path: Path, *, consume: bool) -> None: ...

    def put_new_file(self, key: str, path: Path) -> bool: ...

    def put_bytes(self, key: str, data: bytes) -> None: ...

    def stream(self, key: str, start: int, end: int | None, chunk_size: int) -> Iterator[bytes]: ...

    def move(self, key: str, target: str) -> None: ...

    def delete(self, key: str) -> None: ...

    def list(self, prefix: str) -> Iterator[StoredObject]: ...

    def drop_unfinished(self, before: datetime) -> int: ...

    def local_path(self, key: str) -> Path | None: ...

    def signed_url(self, key: str, *, expires_s: int) -> str | None: ...
