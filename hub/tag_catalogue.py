"""The tags by which public repositories can be found, sorted by what they speak of.

Source: Hub protocol S17, S18, S48. A tag is listed where a public repository bears it, or the
vocabulary of cards knows it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.conf.locale import LANG_INFO
from django.core.cache import cache
from django.db.models import Count

from hub.cards.vocabulary import LICENSES, PIPELINE_TAGS, SIZE_CATEGORIES
from hub.models import Repo, RepoTag, RepoType

CACHE_S = 600
MOST_TAGS = 5_000
MOST_RANKED_MODELS = 1_000
MODELS_PER_TASK = 5

Answer = TypeVar("Answer")
_Tags = dict[str, list[dict[str, str]]]
_MODEL_PAIRS = frozenset({"dataset", "license"})
_UNLISTED_PAIRS = frozenset({"arxiv", "base_model", "doi", "region"})
_VOCABULARY: dict[str, list[str]] = {
    RepoType.MODEL: [*PIPELINE_TAGS, *(f"license:{name}" for name in LICENSES)],
    RepoType.DATASET: [
        *(f"task_categories:{name}" for name in PIPELINE_TAGS),
        *(f"license:{name}" for name in LICENSES),
        *(f"size_categories:{name}" for name in SIZE_CATEGORIES),
    ],
}


def tags_by_type(repo_type: str) -> _Tags:
    """Lists of `{id, label, type}` by type of tag, each by id; the same for every reader."""
    return _cached(f"tags-by-type:{repo_type}", lambda: _tags_by_type(repo_type))


def tasks() -> dict[str, dict[str, Any]]:
    """Tasks that models are made for, each with its most downloaded public models here."""
    return _cached("tasks", _tasks)


def _cached(key: str, make: Callable[[], Answer]) -> Answer:
    found: Answer | None = cache.get(key)
    if found is None:
        found = make()
        cache.set(key, found, CACHE_S)
    return found


def _tags_by_type(repo_type: str) -> _Tags:
    public = {"repo__is_private": False, "repo__repo_type": repo_type}
    rows = RepoTag.objects.filter(**public).values("tag").annotate(count=Count("pk"))
    borne = rows.order_by("-count", "tag").values_list("tag", flat=True)[:MOST_TAGS]
    libraries = _libraries(repo_type)
    found: _Tags = defaultdict(list)
    for tag in sorted({*borne, *libraries, *_VOCABULARY[repo_type]}):
        kind = _kind_of(repo_type, tag, libraries)
        if kind not in _UNLISTED_PAIRS:
            found[kind].append({"id": tag, "label": _label(kind, tag), "type": kind})
    return dict(found)


def _libraries(repo_type: str) -> set[str]:
    named = Repo.objects.filter(repo_type=repo_type, is_private=False).exclude(library_name="")
    return set(named.values_list("library_name", flat=True).distinct()[:MOST_TAGS])


def _kind_of(repo_type: str, tag: str, libraries: Iterable[str]) -> str:
    prefix, colon, _ = tag.partition(":")
    if colon and (prefix in _MODEL_PAIRS | _UNLISTED_PAIRS or repo_type == RepoType.DATASET):
        return prefix
    if repo_type == RepoType.MODEL and tag in PIPELINE_TAGS:
        return "pipeline_tag"
    if tag in libraries:
        return "library"
    return "language" if tag in LANG_INFO else "other"


def _label(kind: str, tag: str) -> str:
    value = tag.removeprefix(f"{kind}:")
    if kind == "language":
        return str(LANG_INFO.get(value, {}).get("name", value))
    if kind in {"pipeline_tag", "task_categories"}:
        return value.replace("-", " ").title()
    return value


def _tasks() -> dict[str, dict[str, Any]]:
    ranked = Repo.objects.filter(repo_type=RepoType.MODEL, is_private=False)
    ranked = ranked.select_related("namespace").order_by("-downloads", "-pk")
    models: dict[str, list[str]] = defaultdict(list)
    for repo in ranked[:MOST_RANKED_MODELS]:
        if len(models[repo.pipeline_tag]) < MODELS_PER_TASK:
            models[repo.pipeline_tag].append(repo.full_name)
    return {
        task: {
            "id": task,
            "label": _label("pipeline_tag", task),
            "models": [{"id": name} for name in models[task]],
            "widgetModels": models[task],
            "datasets": [],
            "spaces": [],
        }
        for task in sorted(PIPELINE_TAGS)
    }
