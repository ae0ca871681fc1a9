"""Paging as Hub clients read it: a `Link` header with the absolute address of the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from django.db.models import Model, QuerySet
from django.http import HttpRequest, JsonResponse

from hub.errors import InvalidInput
from hub.site import base_url

PAGE_ROWS = 100
MAX_PAGE_ROWS = 1000
Row = TypeVar("Row", bound=Model)


def page_answer(
    request: HttpRequest, rows: list[dict[str, Any]], *, path: str, next_cursor: str | None
) -> JsonResponse:
    """A JSON array; where more follows, `Link` names `path` with the same query and the cursor.

    Args:
        path: quoted path of the list, which may pin what the first call left open.
    """
    answer = JsonResponse(rows, safe=False)
    if next_cursor is not None:
        query = request.GET.copy()
        query["cursor"] = next_cursor
        answer["Link"] = f'<{base_url(request)}{path}?{query.urlencode()}>; rel="next"'
    return answer


def answer_in_pages(
    request: HttpRequest,
    rows: QuerySet[Row],
    describe: Callable[[Row], dict[str, Any]],
    *,
    default: int = PAGE_ROWS,
) -> JsonResponse:
    """A page of `rows` in the order they were made; its cost does not grow with its number."""
    limit = limit_of(request, default=default, maximum=MAX_PAGE_ROWS)
    after = decode_cursor(request.GET.get("cursor"))
    if after is not None:
        if not after.isdecimal():
            raise InvalidInput("This page address is not valid: start again from the first.")
        rows = rows.filter(pk__gt=int(after[:18]))
    found = list(rows.order_by("pk")[: limit + 1])
    cursor = encode_cursor(str(found[limit - 1].pk)) if len(found) > limit else None
    shown = [describe(row) for row in found[:limit]]
    return page_answer(request, shown, path=quote(request.path), next_cursor=cursor)


def limit_of(request: HttpRequest, *, default: int, maximum: int) -> int:
    """The page size asked for, brought within bounds. Raises `InvalidInput` for no number."""
    text = request.GET.get("limit", "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidInput("“limit” must be a whole number.")
    return max(1, min(int(text), maximum))


def encode_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogateescape")).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """The text in `cursor`; None where there is none. Raises `InvalidInput`."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return raw.decode("utf-8")
    except (binascii.Error, UnicodeError, ValueError):
        raise InvalidInput("This page address is not valid: start again from the first.") from None
