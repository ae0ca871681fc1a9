"""What happens around every request."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from urllib.parse import unquote

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from config.errors import render_error, to_hub_error
from config.logs import request_id
from hub.converters import QUOTED_SLASH

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives each request an id, for logs and error pages; a caller's own is kept and echoed."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id") or request.headers.get("X-Amzn-Trace-Id", "")
        ident = given if re.fullmatch(r"[\w.:=;-]{1,128}", given) else uuid.uuid4().hex
        mark = request_id.set(ident)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(mark)
        response["X-Request-Id"] = ident
        return response


class QuotedSlashMiddleware:
    """Keeps `%2F` apart from `/` while routing.

    Clients send a revision as one quoted segment (`refs%2Fpr%2F3`), but WSGI hands us the path
    decoded. The server's raw target tells the two apart.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        target = request.META.get("RAW_URI") or request.META.get("REQUEST_URI") or ""
        path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0]
        if "%2f" in path.lower():
            segments = (unquote(segment).replace("/", QUOTED_SLASH) for segment in path.split("/"))
            request.path_info = "/".join(segments)
        return self.get_response(request)


class CompressedPagesMiddleware(GZipMiddleware):
    """Compresses pages, and nothing that a Hub client reads: it compares lengths and ranges.

    Django pads compressed answers at random, so that their length gives no secret away.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        is_page = response.get("Content-Type", "").startswith("text/html")
        if response.streaming or not is_page:
            return response
        return super().process_response(request, response)


class DomainErrorMiddleware:
    """Turns a domain error of a plain Django view into the answer its client understands."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = to_hub_error(exception)
        return render_error(request, error) if error else None
