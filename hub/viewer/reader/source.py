"""The files of a job as seekable streams whose bytes come over the wire."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Sequence

from hub.viewer.reader import wire
from hub.viewer.reader.errors import ReadError
from hub.viewer.reader.jobs import DataFile, Limits

HARD_LIMIT = 8
"""Times `Limits.read_bytes`: no job reads more."""


class Budget:
    """How much a job has read, and whether it may go on."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.bytes_read = 0
        self.renew()

    def renew(self, times: int = 1) -> None:
        """Lets more be read: what a scan has found must still be fetched, from many places."""
        self._deadline = time.monotonic() + self._limits.scan_s
        self._stop_bytes = self.bytes_read + times * self._limits.read_bytes

    def is_spent(self) -> bool:
        """Whether a scan should stop here and say how far it came."""
        return self.bytes_read >= self._stop_bytes or time.monotonic() > self._deadline

    def spend(self, size_bytes: int) -> None:
        """Raises `ReadError` for a read far beyond the limit, which only one huge value causes."""
        self.bytes_read += size_bytes
        if self.bytes_read > HARD_LIMIT * self._limits.read_bytes:
            limit_mb = HARD_LIMIT * self._limits.read_bytes // 1_000_000
            raise ReadError(
                "TooMuchToRead",
                f"These rows would need more than {limit_mb:,} MB of the files to be read.",
                limit_mb=limit_mb,
            )


class Files:
    """The files of a job, opened by number."""

    def __init__(self, sock: socket.socket, files: Sequence[DataFile], budget: Budget) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._numbers = range(len(files))
        self.listed = files
        self.budget = budget

    def only(self, number: int) -> Files:
        """One of the files, which is number 0 of its own."""
        alone = Files(self._sock, [self.listed[number]], self.budget)
        alone._numbers = self._numbers[number : number + 1]
        alone._lock = self._lock
        return alone

    def finish(self, kind: bytes, body: bytes) -> None:
        """Sends the last frame. Reads under way on other threads find the line taken for good."""
        self._lock.acquire()
        wire.send(self._sock, kind, body)

    def open(self, number: int, *, buffer_bytes: int = 0) -> io.BufferedIOBase | io.RawIOBase:
        """The file of that number; with `buffer_bytes` it reads ahead by so much."""
        raw = RemoteFile(self, number, self.listed[number].size_bytes)
        return io.BufferedReader(raw, buffer_bytes) if buffer_bytes else raw

    def read(self, number: int, start: int, end: int) -> bytearray:
        """The bytes [start, end). Raises `ReadError` where the hub cannot give them."""
        parts = bytearray()
        while start < end:
            stop = min(end, start + wire.MAX_READ_BYTES)
            self.budget.spend(stop - start)
            parts += self._fetch(number, start, stop)
            start = stop
        return parts

    def _fetch(self, number: int, start: int, end: int) -> bytearray:
        with self._lock:  # Arrow reads ahead on threads of its own
            wire.send(self._sock, wire.READ, wire.pack_range(self._numbers[number], start, end))
            kind, body = wire.receive(self._sock)
        if kind == wire.DATA and len(body) == end - start:
            return body
        path = self.listed[number].path
        raise ReadError("FileUnavailable", f"The content of {path} is not stored here.", path=path)


class RemoteFile(io.RawIOBase):
    """One file of a job."""

    def __init__(self, files: Files, number: int, size_bytes: int) -> None:
        super().__init__()
        self._files, self._number, self._size_bytes = files, number, size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        return self._size_bytes

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size_bytes - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._files.read(self._number, self._position, self._position + wanted)
        self._position += len(data)
        return bytes(data)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: Buffer
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
