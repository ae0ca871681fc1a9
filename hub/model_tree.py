"""Where a model comes from and what was made from it, as the cards of models say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Q

from hub.access import visible_repos
from hub.auth import Actor
from hub.cards.checks import texts
from hub.cards.vocabulary import BASE_MODEL_RELATIONS
from hub.models import Repo, RepoTag, RepoType

MOST_BASES = 20
MOST_SPACES = 100


@dataclass(frozen=True)
class BaseModel:
    """A model that another was made from; `repo` where it lies here and the reader may see it."""

    name: str
    relation: str
    repo: Repo | None


@dataclass(frozen=True)
class ModelTree:
    """The bases of a model, and how many were made from it by each relation."""

    bases: list[BaseModel]
    children: Mapping[str, int]

    @property
    def is_empty(self) -> bool:
        return not self.bases and not self.children


def model_tree(actor: Actor, repo: Repo) -> ModelTree:
    """The tree around `repo`, with those models alone that `actor` may see."""
    return ModelTree(_bases(actor, repo), children_by_relation(actor, repo))


def base_names(repo: Repo) -> list[str]:
    """Ids of the models that the card says it was made from."""
    return texts(repo.card_data, "base_model")[:MOST_BASES]


def children_by_relation(actor: Actor, repo: Repo) -> dict[str, int]:
    """How many visible models were made from `repo`, by relation; none are left out."""
    tags = {
        f"base_model:{relation}:{name}": relation
        for relation in sorted(BASE_MODEL_RELATIONS)
        for name in _names_of(repo)
    }
    visible = visible_repos(actor).filter(repo_type=RepoType.MODEL)
    rows = RepoTag.objects.filter(tag__in=tags, repo__in=visible).exclude(repo=repo)
    counts: dict[str, int] = {}
    for tag, count in rows.values_list("tag").annotate(n=Count("pk")).order_by("tag"):
        counts[tags[tag]] = counts.get(tags[tag], 0) + count
    return counts


def spaces_using(actor: Actor, repo: Repo) -> list[str]:
    """Ids of visible Spaces whose cards name the model as it is called now, the newest first."""
    tag = f"model:{repo.full_name}"
    spaces = visible_repos(actor).filter(repo_type=RepoType.SPACE, tag_rows__tag=tag)
    newest = spaces.select_related("namespace").order_by("-last_modified")
    return [space.full_name for space in newest[:MOST_SPACES]]


def _names_of(repo: Repo) -> list[str]:
    """Its id, and those it once had: cards of others may still say them."""
    old = repo.redirects.values_list("namespace_name", "name")
    return [repo.full_name, *(f"{namespace}/{name}" for namespace, name in old)]


def _bases(actor: Actor, repo: Repo) -> list[BaseModel]:
    names = base_names(repo)
    relation = next((_relation_in(tag) for tag in repo.tags if _relation_in(tag)), "finetune")
    if not names:
        return []
    wanted = Q()
    for name in names:
        owner, _, short = name.partition("/")
        wanted |= Q(namespace__name__iexact=owner, name__iexact=short)
    found = visible_repos(actor).filter(wanted, repo_type=RepoType.MODEL)
    known = {one.full_name.lower(): one for one in found.select_related("namespace")}
    return [BaseModel(name, relation, known.get(name.lower())) for name in names]


def _relation_in(tag: str) -> str:
    """The relation that a tag `base_model:<relation>:<id>` states; else nothing."""
    prefix, _, rest = tag.partition(":")
    relation = rest.partition(":")[0]
    return relation if prefix == "base_model" and relation in BASE_MODEL_RELATIONS else ""
