"""Lists of repositories and the search over everything."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from hub.models import RepoType
from hub.portal.kinds import KINDS
from hub.portal.list_filters import ListFilters
from hub.portal.search_kinds import find_others
from hub.queries import RepoFilter, list_repos, paginate, search_namespaces

PAGE_SIZE = 30
INSTANT_LIMIT = 5


@require_GET
def models(request: HttpRequest) -> HttpResponse:
    return _list_page(request, RepoType.MODEL)


@require_GET
def datasets(request: HttpRequest) -> HttpResponse:
    return _list_page(request, RepoType.DATASET)


@require_GET
def spaces(request: HttpRequest) -> HttpResponse:
    return _list_page(request, RepoType.SPACE)


def _list_page(request: HttpRequest, repo_type: RepoType) -> HttpResponse:
    filters = ListFilters(request, repo_type)
    repos = list_repos(request.user, repo_type, filters.conditions())
    page = paginate(repos, sort=filters.sort, cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    context: dict[str, Any] = {"repos": page.rows, "next_url": _next_url(request, page.next_cursor)}
    if request.htmx and "cursor" in request.GET:  # type: ignore[attr-defined]
        return render(request, "hub/components/repo_list.html", context)
    context |= {
        "repo_type": repo_type.value,
        "kind": KINDS[repo_type],
        "filters": filters,
        "sort": page.sort,
        "facets": filters.facets(),
    }
    return render(request, "hub/repo_list.html", context)


def _next_url(request: HttpRequest, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"{request.path}?{query.urlencode()}"


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Everything that matches, by kind: a page, or for htmx the list under the search box."""
    query = request.GET.get("q", "").strip()[:200]
    is_instant = request.htmx  # type: ignore[attr-defined]
    limit = INSTANT_LIMIT if is_instant else PAGE_SIZE
    context: dict[str, Any] = {"query": query}
    if query:
        for repo_type, kind in KINDS.items():
            found = list_repos(request.user, repo_type, RepoFilter(search=[query]))
            context[kind.key] = paginate(found, cursor=None, limit=limit).rows
        context["others"] = find_others(request, query, limit)
        context["namespaces"] = search_namespaces(query, limit=limit)
    context["is_empty"] = not any(found for key, found in context.items() if key != "query")
    template = "hub/components/search_results.html" if is_instant else "hub/search.html"
    return render(request, template, context)
