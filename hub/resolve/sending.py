"""Content as an HTTP answer: whole, a range, not modified, or by somebody who sends it better.

Source: RFC 9110, sections 13 (conditional requests) and 14 (ranges).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.conf import settings
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase

from hub.actions.plain_copies import note_plain_read
from hub.content import Content
from hub.xet.errors import RangeNotSatisfiable
from hub.xet.ranges import parse_ranges
from hub.xet.sending import FileSection, signed_url

BLOCK_BYTES = 1 << 20
"""Size of the pieces where the server has no `sendfile`."""


def send_content(
    request: HttpRequest, content: Content, headers: Mapping[str, str]
) -> HttpResponseBase:
    """The answer to a HEAD or GET of `content`, with `headers` on it in every case."""
    if request.method == "GET" and content.sha256 and "Range" not in request.headers:
        note_plain_read(content.sha256, has_copy=content.store_key is not None)
    if _is_known_to_client(request, headers.get("ETag")):
        response: HttpResponseBase = HttpResponseNotModified()
    elif (url := _signed_url(content)) is not None:
        response = HttpResponse(status=302)
        response["Location"] = url
    elif request.method == "HEAD":
        response = HttpResponse()
        response["Content-Length"] = str(content.size_bytes)
    else:
        response = _body(request, content, headers)
    for name, value in headers.items():
        if name != "Content-Type" or response.status_code in (200, 206):
            response[name] = value
    return response


def _body(request: HttpRequest, content: Content, headers: Mapping[str, str]) -> HttpResponseBase:
    if settings.ACCEL_REDIRECT_PREFIX and content.local_path is not None:
        response = HttpResponse()
        response["X-Accel-Redirect"] = f"{settings.ACCEL_REDIRECT_PREFIX}/{content.store_key}"
        return response
    try:
        section = _wanted_range(request, content, headers.get("ETag"))
    except RangeNotSatisfiable:
        return _not_satisfiable(content)
    start, end = section or (0, content.size_bytes)
    body = _stream(content, start, end)
    body.status_code = 206 if section else 200
    body["Content-Length"] = str(end - start)
    if section:
        body["Content-Range"] = f"bytes {start}-{end - 1}/{content.size_bytes}"
    return body


def _stream(content: Content, start: int, end: int) -> HttpResponseBase:
    if content.local_path is not None:
        section = FileSection(content.local_path, start, end)
        response = FileResponse(section, content_type="application/octet-stream")
        response.block_size = BLOCK_BYTES
        return response
    if end - start <= BLOCK_BYTES:
        return HttpResponse(b"".join(content.stream(start, end)))
    pieces = content.stream(start, end)
    first = next(pieces, b"")  # what cannot be read is told before the status has gone out
    return StreamingHttpResponse(_from_first(first, pieces))


def _from_first(
    first: bytes | bytearray, rest: Iterator[bytes | bytearray]
) -> Iterator[bytes | bytearray]:
    yield first
    yield from rest


def _wanted_range(
    request: HttpRequest, content: Content, etag: str | None
) -> tuple[int, int] | None:
    """The one range asked for; None for the whole, which also answers a request for several.

    Raises:
        RangeNotSatisfiable
    """
    condition = request.headers.get("If-Range")
    if condition is not None and condition != etag:
        return None
    ranges = parse_ranges(request.headers.get("Range", ""), content.size_bytes)
    return ranges[0] if ranges and len(ranges) == 1 else None


def _not_satisfiable(content: Content) -> HttpResponse:
    message = f"The range lies outside of the file, which has {content.size_bytes} bytes."
    response = JsonResponse({"error": message, "code": "RangeNotSatisfiable"}, status=416)
    response["Content-Range"] = f"bytes */{content.size_bytes}"
    response["X-Error-Code"], response["X-Error-Message"] = "RangeNotSatisfiable", message
    return response


def _is_known_to_client(request: HttpRequest, etag: str | None) -> bool:
    given = request.headers.get("If-None-Match")
    if given is None or etag is None:
        return False
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return "*" in known or etag in known


def _signed_url(content: Content) -> str | None:
    return signed_url(content.store_key) if content.store_key is not None else None
