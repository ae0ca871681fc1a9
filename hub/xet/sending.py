"""Byte ranges of a stored xorb as an HTTP answer, without copying through Python where possible."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from hub.site import store

SIGNED_URL_LIFETIME_S = 3600
CONTENT_TYPE = "application/octet-stream"


class FileSection:
    """The bytes [start, end) of a file, with the file number that `sendfile` needs.

    It has no `seek` on purpose: servers and Django would use it to go beyond the section.
    """

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(start)
        self._left = end - start

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def signed_url(key: str) -> str | None:
    """Where the store itself hands out an object; None where it cannot, or is not to."""
    if not settings.SIGNED_DOWNLOADS:
        return None
    return store().signed_url(key, expires_s=SIGNED_URL_LIFETIME_S)


def send_ranges(
    key: str, ranges: list[tuple[int, int]], total_bytes: int, *, by_proxy: bool
) -> HttpResponseBase:
    """A 206 answer with the bytes [start, end) of each range.

    Args:
        by_proxy: let the proxy send them, by its own reading of the request, which may be another
            than ours: only where the reader may have the whole object.
    """
    if by_proxy and settings.ACCEL_REDIRECT_PREFIX and store().local_path(key) is not None:
        response: HttpResponseBase = HttpResponse(content_type=CONTENT_TYPE)
        response["X-Accel-Redirect"] = f"{settings.ACCEL_REDIRECT_PREFIX}/{key}"
    elif len(ranges) == 1:
        response = _one_range(key, *ranges[0], total_bytes)
    else:
        response = _several_ranges(key, ranges, total_bytes)
    response["Cache-Control"] = "private, max-age=3600"
    response["Accept-Ranges"] = "bytes"
    return response


def _one_range(key: str, start: int, end: int, total_bytes: int) -> HttpResponseBase:
    path = store().local_path(key)
    response: HttpResponseBase
    if path is not None:
        response = FileResponse(
            FileSection(path, start, end), status=206, content_type=CONTENT_TYPE
        )
    else:
        pieces = store().stream(key, start, end)
        response = StreamingHttpResponse(pieces, status=206, content_type=CONTENT_TYPE)
    response["Content-Length"] = str(end - start)
    response["Content-Range"] = f"bytes {start}-{end - 1}/{total_bytes}"
    return response


def _several_ranges(
    key: str, ranges: list[tuple[int, int]], total_bytes: int
) -> StreamingHttpResponse:
    boundary = secrets.token_hex(16)
    heads = [
        (
            f"\r\n--{boundary}\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"Content-Range: bytes {start}-{end - 1}/{total_bytes}\r\n\r\n"
        ).encode("ascii")
        for start, end in ranges
    ]
    tail = f"\r\n--{boundary}--\r\n".encode("ascii")

    def parts() -> Iterator[bytes]:
        for head, (start, end) in zip(heads, ranges, strict=True):
            yield head
            yield from store().stream(key, start, end)
        yield tail

    response = StreamingHttpResponse(
        parts(), status=206, content_type=f"multipart/byteranges; boundary={boundary}"
    )
    length = sum(map(len, heads)) + sum(end - start for start, end in ranges) + len(tail)
    response["Content-Length"] = str(length)
    return response
