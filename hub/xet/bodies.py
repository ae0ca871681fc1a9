"""Request bodies of the CAS as streams."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from hub.errors import InvalidInput
from hub.hfapi.bodies import input_of


class RequestBody:
    """Reads the body of a request piece by piece, with a stated length or chunked."""

    def __init__(self, request: HttpRequest) -> None:
        length = request.META.get("CONTENT_LENGTH") or ""
        self.announced_bytes = int(length) if length.isdigit() else 0
        self._source = input_of(request)

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end. Raises `InvalidInput` if the client is gone."""
        try:
            return self._source.read(size)
        except UnreadablePostError:
            raise InvalidInput("The upload was cut short.") from None
