"""The bytes of a request's body, also where they come in chunks without a stated length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, cast

from django.http import HttpRequest

from hub.errors import TooLarge

_BLOCK_BYTES = 1 << 16


def input_of(request: HttpRequest) -> IO[bytes]:
    """Stream over the body.

    Django trusts `Content-Length` alone and finds a chunked body empty; a WSGI server that ends
    the stream itself says so (`wsgi.input_terminated`).
    """
    is_chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if is_chunked and request.META.get("wsgi.input_terminated"):
        return cast("IO[bytes]", request.META["wsgi.input"])
    return cast("IO[bytes]", request)


def lines_of(stream: IO[bytes], *, max_line_bytes: int, max_total_bytes: int) -> Iterator[bytes]:
    """The lines of `stream`, without their ends, read as they are asked for.

    Raises:
        TooLarge: a line, or all of them, exceed the limit; no more than the limit is held.
    """
    rest = bytearray()
    total_bytes = 0
    while block := stream.read(_BLOCK_BYTES):
        total_bytes += len(block)
        if total_bytes > max_total_bytes:
            raise TooLarge(f"The body may have at most {max_total_bytes} bytes.")
        *complete, last = block.split(b"\n")
        for piece in complete:
            rest += piece
            _check_line(rest, max_line_bytes)
            yield bytes(rest)
            rest.clear()
        rest += last
        _check_line(rest, max_line_bytes)
    if rest:
        yield bytes(rest)


def _check_line(line: bytearray, max_line_bytes: int) -> None:
    if len(line) > max_line_bytes:
        raise TooLarge(f"A line of the body may have at most {max_line_bytes} bytes.")
