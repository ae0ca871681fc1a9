"""Lists of repositories and the search over everything."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from hub.models import Repo, RepoTag, RepoType
from hub.portal.search_kinds import find_others
from hub.queries import DEFAULT_SORT, RepoFilter, list_repos, paginate, search_namespaces

PAGE_SIZE = 30
INSTANT_LIMIT = 5
SORTS = [
    ("lastModified", _("Recently updated")),
    ("createdAt", _("Newest")),
    ("downloads", _("Most downloads")),
]
FACETS = [
    ("task", _("Tasks"), "pipeline_tag"),
    ("library", _("Libraries"), "library_name"),
    ("license", _("Licences"), "license"),
]


@require_GET
def models(request: HttpRequest) -> HttpResponse:
    return _list_page(request, RepoType.MODEL)


@require_GET
def datasets(request: HttpRequest) -> HttpResponse:
    return _list_page(request, RepoType.DATASET)


def _list_page(request: HttpRequest, repo_type: RepoType) -> HttpResponse:
    query = request.GET.get("search", "").strip()[:200]
    sort = request.GET.get("sort", DEFAULT_SORT)
    chosen = {key: request.GET.get(key, "")[:128] for key, _title, _field in FACETS}
    repos = list_repos(
        request.user,
        repo_type,
        RepoFilter(
            search=[query] if query else [],
            tags=_tags(request, repo_type, chosen),
            pipeline_tag=chosen["task"] if repo_type == RepoType.MODEL else "",
            library=chosen["library"],
        ),
    )
    page = paginate(repos, sort=sort, cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    context = {
        "repo_type": repo_type.value,
        "repos": page.rows,
        "next_url": _next_url(request, page.next_cursor),
        "query": query,
        "sort": sort,
        "sorts": SORTS,
        "facets": _facets(request, repo_type),
        "is_filtered": bool(query or any(chosen.values()) or request.GET.getlist("tag")),
    }
    is_more = request.htmx and "cursor" in request.GET  # type: ignore[attr-defined]
    template = "hub/components/repo_list.html" if is_more else "hub/repo_list.html"
    return render(request, template, context)


def _tags(request: HttpRequest, repo_type: RepoType, chosen: dict[str, str]) -> list[str]:
    tags = request.GET.getlist("tag")[:10]
    if chosen["license"]:
        tags.append(f"license:{chosen['license']}")
    if chosen["task"] and repo_type == RepoType.DATASET:
        tags.append(chosen["task"])
    return tags


def _facets(request: HttpRequest, repo_type: RepoType) -> list[dict[str, Any]]:
    """The values that visible repositories have, most used first, each with its address."""
    shown = []
    for key, title, field in FACETS:
        if repo_type == RepoType.DATASET and key == "library":
            continue
        current = request.GET.get(key, "")
        rows = _facet_values(request, repo_type, key, field)
        values = [
            {"value": value, "count": count, "url": _with(request, key, value, current)}
            for value, count in rows
        ]
        shown.append({"key": key, "title": title, "current": current, "values": values})
    return [facet for facet in shown if facet["values"]]


def _facet_values(
    request: HttpRequest, repo_type: RepoType, key: str, field: str
) -> list[tuple[str, int]]:
    repos = Repo.objects.visible_to(request.user).filter(repo_type=repo_type)
    if key == "task" and repo_type == RepoType.DATASET:
        prefix = "task_categories:"
        rows = RepoTag.objects.filter(repo__in=repos, tag__startswith=prefix)
        counted = rows.values_list("tag").annotate(count=Count("pk")).order_by("-count", "tag")
        return [(tag, count) for tag, count in counted[:12]]
    values = repos.exclude(**{field: ""}).values_list(field).annotate(count=Count("pk"))
    return list(values.order_by("-count", field)[:12])


def _with(request: HttpRequest, key: str, value: str, current: str) -> str:
    """This page's address with the facet set, or cleared if it is set already."""
    query = request.GET.copy()
    query.pop("cursor", None)
    if value == current:
        query.pop(key, None)
    else:
        query[key] = value
    return f"?{query.urlencode()}"


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
        for key, repo_type in (("models", RepoType.MODEL), ("datasets", RepoType.DATASET)):
            found = list_repos(request.user, repo_type, RepoFilter(search=[query]))
            context[key] = paginate(found, sort=DEFAULT_SORT, cursor=None, limit=limit).rows
        context["others"] = find_others(request, query, limit)
        context["namespaces"] = search_namespaces(query, limit=limit)
    context["is_empty"] = not any(found for key, found in context.items() if key != "query")
    template = "hub/components/search_results.html" if is_instant else "hub/search.html"
    return render(request, template, context)
