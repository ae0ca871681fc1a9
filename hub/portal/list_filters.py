"""What the address of a list page narrows the list to, and the links that change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from django.conf.locale import LANG_INFO
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hub.facets import facets_of
from hub.models import RepoType
from hub.queries import RELEVANCE, RepoFilter
from hub.sizes import parse_sizes

MAX_QUERY_CHARS = 200
MAX_VALUE_CHARS = 128
MAX_TAGS = 10
FIRST_VALUES = 8
SORTS = {
    "trendingScore": _("Trending"),
    "likes": _("Most likes"),
    "downloads": _("Most downloads"),
    "lastModified": _("Recently updated"),
    "createdAt": _("Newest"),
}
TITLES = {
    "task": _("Tasks"),
    "library": _("Libraries"),
    "language": _("Languages"),
    "license": _("Licences"),
    "size": _("Sizes"),
}
MODEL_SIZES = {
    "max:100M": _("up to 100 M parameters"),
    "min:100M,max:1B": _("100 M to 1 B"),
    "min:1B,max:7B": _("1 B to 7 B"),
    "min:7B,max:30B": _("7 B to 30 B"),
    "min:30B": _("30 B and more"),
}
_AS_TAGS = {
    RepoType.MODEL: {
        "task": "pipeline_tag", "library": "library", "language": "language", "license": "license",
    },
    RepoType.DATASET: {
        "task": "task_categories", "language": "language", "license": "license",
        "size": "size_categories",
    },
    RepoType.SPACE: {"license": "license"},
}  # fmt: skip
"""Which tags a facet's values are, by type."""


@dataclass(frozen=True)
class Link:
    """A value of a facet: its address sets it, or clears it where it `is_active`."""

    value: str
    label: str | Promise
    count: int | None
    url: str
    is_active: bool


@dataclass(frozen=True)
class Facet:
    key: str
    title: str | Promise
    links: list[Link]

    @property
    def first(self) -> list[Link]:
        """Those that are always shown: the most used, and what is active."""
        return [link for at, link in enumerate(self.links) if at < FIRST_VALUES or link.is_active]

    @property
    def rest(self) -> list[Link]:
        shown = self.first
        return [link for link in self.links if link not in shown]


class ListFilters:
    """The filters of one request for a list page."""

    def __init__(self, request: HttpRequest, repo_type: RepoType) -> None:
        self._request, self._repo_type = request, repo_type
        self.query = request.GET.get("search", "").strip()[:MAX_QUERY_CHARS]
        self._tags = [tag[:MAX_VALUE_CHARS] for tag in request.GET.getlist("tag")[:MAX_TAGS] if tag]
        self._chosen = {
            key: value
            for key in TITLES
            if (value := request.GET.get(key, "")[:MAX_VALUE_CHARS]) and self._knows(key)
        }

    @property
    def sorts(self) -> dict[str, str | Promise]:
        return {RELEVANCE: _("Best match"), **SORTS} if self.query else {**SORTS}

    @cached_property
    def sort(self) -> str:
        """The order asked for; one that is not ours counts as none."""
        sort = self._request.GET.get("sort", "")
        return sort if sort in self.sorts else ""

    @property
    def is_active(self) -> bool:
        return bool(self.query or self._chosen or self._tags)

    def conditions(self) -> RepoFilter:
        """Raises `InvalidInput` for a size that cannot be read."""
        as_tags = _AS_TAGS[self._repo_type]
        values = [
            f"{as_tags[key]}:{value}" for key, value in self._chosen.items() if key in as_tags
        ]
        is_range = "size" not in as_tags
        sizes = parse_sizes(self._chosen.get("size", "") if is_range else "")
        return RepoFilter(
            search=[self.query] if self.query else [],
            tags=[*self._tags, *values],
            min_parameters=sizes.least,
            max_parameters=sizes.most,
        )

    def hidden(self) -> list[tuple[str, str]]:
        """What the form with words and order must keep, as names and values."""
        return [*self._chosen.items(), *(("tag", tag) for tag in self._tags)]

    def active(self) -> list[Link]:
        """What the list is narrowed to, each with the address without it."""
        links = [
            Link(value, self._label(key, value), None, self._with(key, None), is_active=True)
            for key, value in self._chosen.items()
        ]
        if self.query:
            links.insert(0, Link("", f"“{self.query}”", None, self._with("search", None), True))
        return links + [Link(tag, tag, None, self._without_tag(tag), True) for tag in self._tags]

    def facets(self) -> list[Facet]:
        """Values to narrow the list by, those most used first."""
        return [
            facet for key in TITLES if (facet := Facet(key, TITLES[key], [*self._links(key)])).links
        ]

    def _links(self, key: str) -> Iterator[Link]:
        chosen = self._chosen.get(key, "")
        for value, count in self._values(key):
            is_active = value == chosen
            url = self._with(key, None if is_active else value)
            yield Link(value, self._label(key, value), count, url, is_active)

    def _values(self, key: str) -> list[tuple[str, int | None]]:
        if key == "size" and self._repo_type == RepoType.MODEL:
            return [(value, None) for value in MODEL_SIZES]
        return [(each.value, each.n_repos) for each in self._counted.get(key, [])]

    @cached_property
    def _counted(self) -> dict[str, list]:
        return facets_of(self._repo_type)

    def _knows(self, key: str) -> bool:
        return key in _AS_TAGS[self._repo_type] or (
            key == "size" and self._repo_type == RepoType.MODEL
        )

    def _label(self, key: str, value: str) -> str | Promise:
        if key == "size":
            return MODEL_SIZES.get(value, value)
        if key == "language":
            return (
                "中文" if value == "zh" else str(LANG_INFO.get(value, {}).get("name_local", value))
            )
        return value

    def _with(self, key: str, value: str | None) -> str:
        query = self._request.GET.copy()
        query.pop("cursor", None)
        query.pop(key, None)
        if value is not None:
            query[key] = value
        return f"?{query.urlencode()}"

    def _without_tag(self, tag: str) -> str:
        query = self._request.GET.copy()
        query.pop("cursor", None)
        query.setlist("tag", [each for each in query.getlist("tag") if each != tag])
        return f"?{query.urlencode()}"
