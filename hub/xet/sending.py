"""Byte ranges of a stored xorb as an HTTP answer, without copying through Python where possible."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from hub.site import store

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


def send_ranges(key: str, ranges: list[tuple[int, int]], total_bytes: int) -> HttpResponseBase:
    """A 206 answer with the bytes [start, end) of each range."""
    if settings.ACCEL_REDIRECT_PREFIX and store().local_path(key) is not None:
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
