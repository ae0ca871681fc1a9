"""C7, C8: lists of models and data sets."""

from __future__ import annotations

import re
from urllib.parse import quote

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict

from hub.auth import Actor
from hub.errors import InvalidInput
from hub.hfapi.base import HubView, is_true, proper_text
from hub.hfapi.pagination import limit_of, page_answer
from hub.hfapi.repo_info import RepoView, describe_repo, list_fields
from hub.models import Repo, TokenScope
from hub.queries import DEFAULT_SORT, RepoFilter, list_repos, paginate

PAGE_ROWS = 200
MAX_PAGE_ROWS = 1000
MAX_PAGE_ROWS_WITH_FILES = 100
"""Where each row lists its files, each costs a look into git."""

_SORT_NAMES = {
    "last_modified": "lastModified",
    "created_at": "createdAt",
    "trending_score": "trendingScore",
}
_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([KMBT]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class ListRepos(HubView):
    def get(self, request: HttpRequest, repo_type: str) -> HttpResponse:
        query = request.GET
        wanted = list_fields(repo_type, query)
        maximum = MAX_PAGE_ROWS_WITH_FILES if "siblings" in wanted else MAX_PAGE_ROWS
        repos = _narrow(list_repos(self.actor.user, repo_type, _filter_of(query)), query)
        page = paginate(
            _reachable(repos, self.actor),
            sort=_sort_of(query),
            cursor=query.get("cursor"),
            limit=limit_of(request, default=min(PAGE_ROWS, maximum), maximum=maximum),
        )
        rows = [describe_repo(RepoView(repo, repo.head_sha), wanted) for repo in page.rows]
        return page_answer(request, rows, path=quote(request.path), next_cursor=page.next_cursor)


def _filter_of(query: QueryDict) -> RepoFilter:
    for key, values in query.lists():
        for value in values:
            proper_text(value, key)
    return RepoFilter(
        search=query.getlist("search"),
        author=query.get("author", ""),
        tags=[tag for text in query.getlist("filter") for tag in text.split(",") if tag],
        pipeline_tag=query.get("pipeline_tag", ""),
        library=query.get("library", ""),
    )


def _sort_of(query: QueryDict) -> str:
    if query.get("direction", "-1") not in {"-1", ""}:
        raise InvalidInput("Lists are sorted from newest or most to least only.")
    sort = query.get("sort") or DEFAULT_SORT
    return _SORT_NAMES.get(sort, sort)


def _narrow(repos: QuerySet[Repo], query: QueryDict) -> QuerySet[Repo]:
    """Conditions of the Hub that no repository here can meet, and the range of sizes."""
    unmet = ("apps", "inference", "inference_provider")
    if any(query.get(name) for name in unmet) or is_true(query.get("gated")):
        return repos.none()
    for key, value in _size_range(query.get("num_parameters", "")).items():
        repos = repos.filter(**{f"parameter_count__{key}": value})
    return repos


def _size_range(text: str) -> dict[str, int]:
    """`min:1B,max:7B` as lookups on the number of parameters."""
    found = {}
    for part in filter(None, text.split(",")):
        bound, _, value = part.strip().partition(":")
        match = _SIZE.fullmatch(value)
        if bound not in {"min", "max"} or match is None:
            raise InvalidInput("“num_parameters” must look like min:1B,max:7B.")
        lookup = "gte" if bound == "min" else "lte"
        found[lookup] = int(float(match[1]) * _UNITS[match[2].upper()])
    return found


def _reachable(repos: QuerySet[Repo], actor: Actor) -> QuerySet[Repo]:
    """A fine-grained token lists public repositories and those it was made for."""
    if actor.token is None or actor.token.scope != TokenScope.FINE_GRAINED:
        return repos
    return repos.filter(Q(is_private=False) | Q(pk__in=actor.token.grants.values("repo_id")))
