"""C7, C8, S1: lists of models, data sets and Spaces."""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, QueryDict

from hub.errors import InvalidInput
from hub.hfapi.base import HubView, is_true, proper_text
from hub.hfapi.pagination import limit_of, page_answer
from hub.hfapi.repo_info import COSTLY, RepoView, describe_repo, list_fields
from hub.queries import NOTHING, RepoFilter, list_repos, paginate
from hub.search.terms import LINKED
from hub.sizes import parse_sizes

PAGE_ROWS = 200
MAX_PAGE_ROWS = 1000
MAX_PAGE_ROWS_COSTLY = 100
"""Where each row costs a look of its own, into git or at other repositories."""

_SORT_NAMES = {
    "last_modified": "lastModified",
    "created_at": "createdAt",
    "trending_score": "trendingScore",
    "trending": "trendingScore",
}
_APPS = {
    "gguf": "llama.cpp ollama lmstudio jan koboldcpp text-generation-webui llamafile msty".split(),
    "mlx": ["mlx-lm"],
    "transformers": ["vllm", "sglang", "tgi"],
    "diffusers": ["diffusers", "drawthings", "invoke"],
}
"""The tag of the models that local applications open."""
_APPS_BY_NAME = {app: tag for tag, apps in _APPS.items() for app in apps}


class ListRepos(HubView):
    def get(self, request: HttpRequest, repo_type: str) -> HttpResponse:
        query = request.GET
        wanted = list_fields(repo_type, query)
        maximum = MAX_PAGE_ROWS_COSTLY if COSTLY & set(wanted) else MAX_PAGE_ROWS
        page = paginate(
            list_repos(self.actor.user, repo_type, _filter_of(query), granted=self.granted()),
            sort=_sort_of(query),
            cursor=query.get("cursor"),
            limit=limit_of(request, default=min(PAGE_ROWS, maximum), maximum=maximum),
        )
        rows = [
            describe_repo(RepoView(repo, repo.head_sha, actor=self.actor), wanted)
            for repo in page.rows
        ]
        return page_answer(request, rows, path=quote(request.path), next_cursor=page.next_cursor)


def _filter_of(query: QueryDict) -> RepoFilter:
    for key, values in query.lists():
        for value in values:
            proper_text(value, key)
    sizes = parse_sizes(query.get("num_parameters", ""))
    if _is_unmet(query):
        return NOTHING
    return RepoFilter(
        search=query.getlist("search"),
        author=query.get("author", ""),
        tags=[*_tags(query), *(_APPS_BY_NAME[app] for app in _apps(query))],
        pipeline_tag=query.get("pipeline_tag", ""),
        library=query.get("library", ""),
        min_parameters=sizes.least,
        max_parameters=sizes.most,
        is_gated=is_true(query["gated"]) if query.get("gated") else None,
    )


def _tags(query: QueryDict) -> list[str]:
    """What `filter` names; and for spaces, what they are made from."""
    tags = [tag for text in query.getlist("filter") for tag in text.split(",") if tag]
    for kind in ("model", "dataset"):
        tags += [f"{kind}:{name}" for name in query.getlist(f"{kind}s")]
    return [*tags, LINKED] if is_true(query.get("linked")) else tags


def _apps(query: QueryDict) -> list[str]:
    return [app for text in query.getlist("apps") for app in text.lower().split(",") if app]


def _is_unmet(query: QueryDict) -> bool:
    """Whether a condition is one that no repository here can meet."""
    if any(query.get(name) for name in ("inference", "inference_provider")):
        return True
    return any(app not in _APPS_BY_NAME for app in _apps(query))


def _sort_of(query: QueryDict) -> str:
    if query.get("direction", "-1") not in {"-1", ""}:
        raise InvalidInput("Lists are sorted from newest or most to least only.")
    sort = query.get("sort", "")
    return _SORT_NAMES.get(sort, sort)
