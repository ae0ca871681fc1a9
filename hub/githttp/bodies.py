"""Bodies of git requests: bounded, and unpacked where the client has compressed them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from django.http import HttpRequest

from hub.errors import InvalidInput, TooLarge
from hub.githttp.pktline import Readable
from hub.hfapi.bodies import input_of

_BLOCK_BYTES = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS


def body_of(request: HttpRequest, *, media_type: str) -> Readable:
    """Stream over the body as the client meant it.

    Raises:
        InvalidInput: it is of another type, or compressed in a way that git does not use.
    """
    if request.content_type != media_type:
        error = InvalidInput(f"The body must be of the type {media_type}.")
        error.status = 415
        raise error
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return GzipReader(input_of(request))
    if encoding != "identity":
        raise InvalidInput(f"The content encoding {encoding} is not supported.")
    return input_of(request)


class GzipReader:
    """Unpacks a gzip stream piece by piece, never more at once than was asked for."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._unpacker = zlib.decompressobj(_GZIP)

    def read(self, size: int = _BLOCK_BYTES, /) -> bytes:
        """Up to `size` bytes; none at the end. Raises `InvalidInput` for what is no gzip."""
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._stream.read(_BLOCK_BYTES)
            try:
                data = self._unpacker.decompress(packed, size)
            except zlib.error:
                raise InvalidInput("The body is not what gzip makes.") from None
            if data or not packed:
                return data
        return b""


def blocks_of(stream: Readable, *, max_bytes: int) -> Iterator[bytes]:
    """The stream piece by piece.

    Raises:
        TooLarge: it is longer than `max_bytes`.
        InvalidInput: it broke off.
    """
    total_bytes = 0
    while block := _read_block(stream):
        total_bytes += len(block)
        if total_bytes > max_bytes:
            raise TooLarge(f"The request may have at most {max_bytes} bytes.")
        yield block


def _read_block(stream: Readable) -> bytes:
    try:
        return stream.read(_BLOCK_BYTES)
    except OSError as error:
        raise InvalidInput("The connection was lost.") from error


def drain(stream: Readable, *, max_bytes: int) -> None:
    """Read over what a client still sends, so that it gets to the answer."""
    try:
        for _ in blocks_of(stream, max_bytes=max_bytes):
            pass
    except (InvalidInput, TooLarge):
        return
