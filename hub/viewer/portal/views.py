"""The viewer's page, its parts that load by themselves, and the bytes of pictures and sounds."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_safe

from hub.access import get_repo_for_contents
from hub.auth import actor_of
from hub.errors import HubError, InvalidInput
from hub.portal.repo_page import RepoPage, open_contents_page
from hub.site import base_url
from hub.viewer.errors import ConfigNotFound, DataError, NoData, SplitNotFound, ViewerBusy
from hub.viewer.media import medium_of
from hub.viewer.portal.cells import column_kind, shown_rows, summaries
from hub.viewer.portal.forms import COLUMNS_SHOWN, OPERATORS, PAGE_ROWS, Wish
from hub.viewer.portal.words import explain
from hub.viewer.queries import DataSet, Part, open_data_set
from hub.viewer.reader.filters import quote_column
from hub.viewer.reader.jobs import Limits
from hub.xet.errors import RangeNotSatisfiable
from hub.xet.ranges import parse_ranges

PAGE_LIMITS = Limits(cell_chars=4_000, answer_bytes=3_000_000)
PREVIEW_ROWS = 10
PREVIEW_COLUMNS = 12
_SHOWN_ERRORS = (DataError, NoData, ConfigNotFound, SplitNotFound, ViewerBusy)
_MEDIA_POLICY = "sandbox; default-src 'none'"


@require_GET
def viewer(
    request: HttpRequest,
    namespace: str,
    name: str,
    config: str | None = None,
    split: str | None = None,
) -> HttpResponse:
    """Rows of a split, or why there are none to show."""
    wish = Wish.of(request.GET)
    page = open_contents_page(request, "dataset", namespace, name, revision=wish.revision)
    data = DataSet(page.repo, page.commit_sha)
    chosen = request.GET.get("go", "")
    if chosen or "column" in request.GET:
        return redirect(_canonical(data, chosen, config, split, wish))
    context = {"data": data, "wish": wish, "operators": OPERATORS, "api": _api_address(page)}
    status = 200
    try:
        context |= _table(data, data.part(config, split), wish)
    except _SHOWN_ERRORS as error:
        status = error.status
        context |= {"error": explain(error), "is_empty": isinstance(error, NoData)}
        context |= _where_we_are(data, config, split)
    response = page.render("hub/viewer.html", "viewer", context)
    response.status_code = 200 if context.get("is_empty") else status
    return response


@require_GET
def column_statistics(
    request: HttpRequest, namespace: str, name: str, config: str, split: str
) -> HttpResponse:
    """The line of a table's head that shows what the columns hold, for htmx."""
    part, wish = _part(request, namespace, name, config, split)
    context: dict[str, Any] = {"wish": wish, "part_url": _part_url(part)}
    try:
        first = part.rows(limits=PAGE_LIMITS, columns=None, length=1)
        names = _shown_names(first["columns"], wish)
        context |= _described(names, part.statistics(names))
    except _SHOWN_ERRORS as error:
        context["error"] = explain(error)
    return render(request, "hub/components/viewer_statistics.html", context)


@require_GET
def preview(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """The first rows, for the card page. Nothing where there are none to show."""
    repo = get_repo_for_contents(actor_of(request), "dataset", namespace, name)
    data = open_data_set(repo, "main")
    context: dict[str, Any] = {"repo": repo}
    try:
        part = data.part(None, None)
        columns = part.rows(length=1, limits=PAGE_LIMITS)["columns"][:PREVIEW_COLUMNS]
        found = part.rows(length=PREVIEW_ROWS, columns=columns, limits=PAGE_LIMITS)
        context |= {
            "rows": shown_rows(part, found),
            "columns": _columns(found, Wish(), part),
            "part": part,
            "total": found["num_rows_total"],
            "part_url": _part_url(part),
        }
    except _SHOWN_ERRORS as error:
        context["error"] = explain(error)
    return render(request, "hub/components/viewer_preview.html", context)


@require_safe
def media(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """The bytes of a picture or sound that lies in a row, labelled as what they begin like."""
    repo = get_repo_for_contents(actor_of(request), "dataset", namespace, name)
    query = request.GET
    row = query.get("row", "")
    if not row.isdecimal() or len(row) > 15:
        raise InvalidInput("“row” must be the number of a row.")
    data = open_data_set(repo, query.get("revision", "main"))
    part = data.part(query.get("config"), query.get("split"))
    medium = medium_of(part, column=query.get("column", ""), row=int(row))
    response = _bytes(request, medium.data, medium.content_type)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _MEDIA_POLICY
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    is_pinned = query.get("revision") == data.commit_sha
    response["Cache-Control"] = "private, max-age=86400" if is_pinned else "private, no-cache"
    return response


def _bytes(request: HttpRequest, data: bytes, content_type: str) -> HttpResponse:
    """All bytes, or the one range that a player asks for."""
    try:
        ranges = parse_ranges(request.headers.get("Range", ""), len(data))
    except RangeNotSatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    if not ranges or len(ranges) > 1:
        return HttpResponse(data, content_type=content_type, headers={"Accept-Ranges": "bytes"})
    start, end = ranges[0]
    response = HttpResponse(data[start:end], content_type=content_type, status=206)
    response["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return response


def _part(
    request: HttpRequest, namespace: str, name: str, config: str, split: str
) -> tuple[Part, Wish]:
    wish = Wish.of(request.GET)
    repo = get_repo_for_contents(actor_of(request), "dataset", namespace, name)
    return open_data_set(repo, wish.revision).part(config, split), wish


def _table(data: DataSet, part: Part, wish: Wish) -> dict[str, Any]:
    """All that the page shows of the rows that `wish` asks for."""
    everything = part.rows(length=1, limits=PAGE_LIMITS)["columns"]
    names = _shown_names(everything, wish)
    found = part.rows(
        offset=wish.page * PAGE_ROWS,
        length=PAGE_ROWS,
        query=wish.query,
        where=wish.where,
        order_by=wish.order_by,
        columns=names,
        limits=PAGE_LIMITS,
    )
    kept = part.kept_statistics(names)
    return {
        "part": part,
        "part_url": _part_url(part),
        "columns": _columns(found, wish, part),
        "all_columns": everything,
        "rows": shown_rows(part, found),
        "found": found,
        **_pages(found, everything, wish),
        **(_described(names, kept) if kept else {}),
    }


def _shown_names(columns: list[str], wish: Wish) -> list[str]:
    first = wish.column_page * COLUMNS_SHOWN
    return columns[first : first + COLUMNS_SHOWN] or columns[:COLUMNS_SHOWN]


def _described(names: list[str], statistics: dict[str, Any]) -> dict[str, Any]:
    by_name = summaries(statistics)
    return {
        "described": [by_name[name] for name in names],
        "described_rows": statistics["num_examples"],
        "described_is_partial": statistics["partial"],
    }


def _columns(found: dict[str, Any], wish: Wish, part: Part) -> list[dict[str, Any]]:
    shown = []
    for feature in found["features"]:
        up = quote_column(feature["name"])
        down = f"{up} DESC"
        order = {up: "ascending", down: "descending"}.get(wish.order_by, "none")
        following = {"none": up, "ascending": down, "descending": ""}[order]
        is_sortable = feature["type"].get("_type") in ("Value", "ClassLabel")
        shown.append(
            {
                "name": feature["name"],
                "kind": column_kind(feature["type"]),
                "order": order,
                "url": wish.address(orderby=following) if is_sortable else "",
            }
        )
    return shown


def _pages(found: dict[str, Any], columns: list[str], wish: Wish) -> dict[str, Any]:
    first, n = wish.page * PAGE_ROWS, len(found["rows"])
    total = found["num_rows_total"]
    has_next = n == PAGE_ROWS and (total is None or first + n < total)
    more_columns = len(columns) > (wish.column_page + 1) * COLUMNS_SHOWN
    return {
        "first_row": first + 1 if n else 0,
        "last_row": first + n,
        "total": total,
        "previous_url": wish.address(p=wish.page - 1) if wish.page else "",
        "next_url": wish.address(p=wish.page + 1) if has_next else "",
        "previous_columns_url": wish.address(c=wish.column_page - 1) if wish.column_page else "",
        "next_columns_url": wish.address(c=wish.column_page + 1) if more_columns else "",
        "clear_query_url": wish.address(q=""),
        "clear_where_url": wish.address(where=""),
        "clear_order_url": wish.address(orderby=""),
        "statistics_query": wish.address(q="", where="", orderby="", p=0),
    }


def _where_we_are(data: DataSet, config: str | None, split: str | None) -> dict[str, Any]:
    """The split that the address names, where there is one, so that its controls stay."""
    try:
        part = data.part(config, split)
    except DataError:  # there are too many configs to choose from
        return {"data": None}
    except HubError:
        return {}
    return {"part": part, "part_url": _part_url(part)}


def _canonical(
    data: DataSet, chosen: str, config: str | None, split: str | None, wish: Wish
) -> str:
    """Where the forms lead: another split ("config split" by their places), or a condition."""
    if chosen:
        places = chosen.split("-")
        for c, each in enumerate(data.configs):
            for s, one in enumerate(each.splits):
                if places == [str(c), str(s)]:
                    here = Wish(revision=wish.revision)
                    return _part_url(Part(data, each, one)) + here.address().rstrip("?")
    return _part_url(data.part(config, split)) + wish.address(p=0)


def _part_url(part: Part) -> str:
    repo = part.data.repo
    return reverse(
        "dataset_viewer_split",
        kwargs={
            "namespace": repo.namespace.name,
            "name": repo.name,
            "config": part.config.name,
            "split": part.split.name,
        },
    )


def _api_address(page: RepoPage) -> str:
    return f"{base_url(page.request)}/api/v1{page.repo.url_path}"
