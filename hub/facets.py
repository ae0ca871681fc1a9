"""The values that lists can be narrowed to, with how many public repositories have each.

A site of a few thousand repositories counts them for each page, in one query. Beyond `LARGE_SITE`
a periodic task counts them (`hub.actions.facets`), and pages show what it last found: the numbers
are then up to `CACHE_S` and one period old. They count the whole site, whatever is filtered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.conf.locale import LANG_INFO
from django.core.cache import cache
from django.db.models import Count, F, QuerySet, Value

from hub.models import FacetCount, Repo, RepoTag, RepoType

LARGE_SITE = 20_000
"""Public repositories of one type."""
CACHE_S = 300
MOST_VALUES = 50

LANGUAGES = frozenset({*LANG_INFO, *(code.partition("-")[0] for code in LANG_INFO), "multilingual"})
"""Tags of models that name a language."""

COLUMNS = {
    RepoType.MODEL: {"task": "pipeline_tag", "library": "library_name", "license": "license"},
    RepoType.DATASET: {"license": "license"},
}
"""Facet → field of `Repo`."""
PREFIXES = {
    RepoType.MODEL: {},
    RepoType.DATASET: {
        "task": "task_categories:",
        "language": "language:",
        "size": "size_categories:",
    },
}
"""Facet → how its tags begin."""


class FacetValue(NamedTuple):
    value: str
    n_repos: int


Facets = dict[str, list[FacetValue]]


def facets_of(repo_type: str) -> Facets:
    """Per facet its values, most used first."""
    stored: Facets | None = cache.get(f"facets:{repo_type}")
    if stored is None:
        rows = FacetCount.objects.filter(repo_type=repo_type).order_by("-count", "value")
        stored = _grouped(rows.values_list("facet", "value", "count"))
        cache.set(f"facets:{repo_type}", stored, CACHE_S)
    return stored or count_facets(repo_type)


def count_facets(repo_type: str) -> Facets:
    """The same, counted now."""
    kind = RepoType(repo_type)
    public = Repo.objects.filter(repo_type=repo_type, is_private=False)
    parts = [
        _counted(public.exclude(**{field: ""}), facet, field)
        for facet, field in COLUMNS.get(kind, {}).items()
    ]
    tags = RepoTag.objects.filter(repo__repo_type=repo_type, repo__is_private=False)
    if kind == RepoType.MODEL:
        parts.append(_counted(tags.filter(tag__in=LANGUAGES), "language", "tag"))
    prefixes = PREFIXES.get(kind, {})
    for facet, prefix in prefixes.items():
        parts.append(_counted(tags.filter(tag__startswith=prefix), facet, "tag"))
    if not parts:
        return {}
    rows = parts[0].union(*parts[1:], all=True)
    return _grouped(
        (row["facet"], row["value"].removeprefix(prefixes.get(row["facet"], "")), row["count"])
        for row in rows
    )


def _counted(rows: QuerySet, facet: str, field: str) -> QuerySet:
    named = rows.order_by().values(facet=Value(facet), value=F(field))
    counted: QuerySet = named.annotate(count=Count("pk"))
    return counted


def _grouped(rows: Iterable[tuple[str, str, int]]) -> Facets:
    found: dict[str, list[FacetValue]] = defaultdict(list)
    for facet, value, count in rows:
        found[facet].append(FacetValue(value, count))
    for values in found.values():
        values.sort(key=lambda each: (-each.n_repos, each.value))
    return {facet: values[:MOST_VALUES] for facet, values in found.items()}
