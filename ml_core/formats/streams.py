"""Small streams over other streams: a window of a file, and decompression with a ceiling."""

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from ml_core.formats.errors import FormatError, LimitExceeded

CHUNK_SIZE = 1 << 16


class Decompressor(Protocol):
    """What `bz2` and `lzma` decompressors have in common."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...


def stream_size(stream: BinaryIO) -> int:
    """The size of a seekable stream in bytes; its position is left at the start."""
    size_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    return size_bytes


def read_exactly(stream: BinaryIO, n_bytes: int, what: str) -> bytes:
    """`n_bytes` bytes from the current position.

    Raises:
        FormatError: `truncated`, where the stream ends before.
    """
    data = stream.read(n_bytes)
    if len(data) != n_bytes:
        raise FormatError("truncated", f"The file ends inside {what}.", what=what)
    return data


class RangeStream(io.RawIOBase):
    """A seekable stream over a function that reads ranges."""

    def __init__(self, read_range: Callable[[int, int], bytes], size_bytes: int) -> None:
        super().__init__()
        self._read_range = read_range
        self._size_bytes = size_bytes
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

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: Buffer
        end = min(self._position + len(buffer), self._size_bytes)
        if end <= self._position:
            return 0
        data = self._read_range(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class Window(RangeStream):
    """The bytes `start` to `end` (exclusive) of a seekable stream, as a stream of its own."""

    def __init__(self, stream: BinaryIO, start: int, end: int) -> None:
        def read(first: int, last: int) -> bytes:
            stream.seek(start + first)
            return stream.read(last - first)

        super().__init__(read, end - start)


class ChunkStream(io.RawIOBase):
    """A forward-only stream over an iterator of chunks, with a ceiling on its length.

    Args:
        chunks: what to read; no chunk may be larger than memory allows.
        max_bytes: the stream fails with `LimitExceeded` once it would give more.
        on_bytes: told the size of every chunk taken.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        *,
        max_bytes: int,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._max_bytes = max_bytes
        self._taken = 0
        self._on_bytes = on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: Buffer
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._count(len(chunk))
            self._rest = memoryview(chunk)
        n_bytes = min(len(buffer), len(self._rest))
        buffer[:n_bytes] = self._rest[:n_bytes]
        self._rest = self._rest[n_bytes:]
        return n_bytes

    def _count(self, n_bytes: int) -> None:
        self._taken += n_bytes
        if self._taken > self._max_bytes:
            raise LimitExceeded(
                "expands-too-far",
                f"Decompressing gives more than {self._max_bytes:,} bytes.",
                max_bytes=self._max_bytes,
            )
        if self._on_bytes is not None:
            self._on_bytes(n_bytes)


def decompressed(stream: BinaryIO, decompressor: Decompressor) -> Iterator[bytes]:
    """The decompressed bytes of one compressed stream, in chunks of at most `CHUNK_SIZE`.

    Raises:
        FormatError: `bad-compression`, where the data is damaged or ends early.
    """
    while not decompressor.eof:
        data = stream.read(CHUNK_SIZE) if decompressor.needs_input else b""
        if not data and decompressor.needs_input:
            raise FormatError("bad-compression", "The compressed data ends early.")
        try:
            chunk = decompressor.decompress(data, CHUNK_SIZE)
        except Exception as error:  # zlib, bz2 and lzma share no error class
            raise FormatError("bad-compression", f"The compressed data is damaged: {error}.") from (
                error
            )
        if chunk:
            yield chunk


class ZlibDecompressor:
    """zlib's decompressor with the interface of the other two.

    Args:
        window_bits: -15 for raw deflate, 15 for zlib, 31 for gzip.
    """

    def __init__(self, window_bits: int) -> None:
        import zlib

        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(0, max_length))
