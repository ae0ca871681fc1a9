"""The fields of a model, data set or Space object, and which of them an answer holds.

Source: Hub protocol, table of section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import QueryDict

from hub.access import may_read_contents
from hub.actions.metadata import read_repo_metadata, untold_metadata
from hub.auth import ANONYMOUS, Actor
from hub.cards.checks import texts
from hub.cards.eval_results import read_eval_results
from hub.errors import InvalidInput
from hub.hfapi.base import is_true
from hub.hfapi.security import repo_status
from hub.hfapi.serializers import date_text, sibling
from hub.model_config import transformers_info
from hub.model_tree import base_names, children_by_relation, spaces_using
from hub.models import Repo, RepoType
from hub.proposed_results import open_pulls, proposals
from hub.site import git_of
from hub.vcs import Repository, TreeEntry


@dataclass(frozen=True)
class RepoView:
    """A repository at one commit, as `actor` sees what is around it.

    `sized` adds sizes and ids to its list of files.
    """

    repo: Repo
    commit_sha: str
    sized: bool = False
    actor: Actor = ANONYMOUS

    @cached_property
    def described(self) -> Repo:
        """The row, saying what the files at this commit say; of another than the head, a copy.

        Whom a gate keeps out is told of the head alone, as with the card.
        """
        if self.is_head:
            return self.repo
        described = copy(self.repo)
        is_open = may_read_contents(self.actor, self.repo)
        said = read_repo_metadata(self.repo, self.commit_sha) if is_open else untold_metadata()
        for name, value in said.items():
            setattr(described, name, value)
        return described

    @property
    def is_head(self) -> bool:
        return self.commit_sha in {"", self.repo.head_sha}

    @cached_property
    def git(self) -> Repository:
        return git_of(self.repo)

    @cached_property
    def files(self) -> list[TreeEntry]:
        if not self.commit_sha:
            return []
        entries = self.git.tree(self.commit_sha, recursive=True)
        return [entry for entry in entries if entry.kind == "file"]

    def siblings(self) -> list[dict[str, Any]]:
        is_open = not self.sized or may_read_contents(self.actor, self.repo)
        return [sibling(entry, with_blobs=self.sized, with_digests=is_open) for entry in self.files]

    def eval_results(self) -> list[dict[str, Any]] | None:
        if not self.commit_sha or not (self.is_head or may_read_contents(self.actor, self.repo)):
            return None
        files = read_eval_results(self.git, self.commit_sha)
        rows = [row for file in files for row in file.rows()]
        return [*rows, *self._proposed_results()] or None

    def _proposed_results(self) -> Iterator[dict[str, Any]]:
        """What open pull requests claim, told with the head; for those who may read their files."""
        pulls = open_pulls(self.repo) if self.is_head else []
        if pulls and may_read_contents(self.actor, self.repo):
            for proposal in proposals(self.git, self.commit_sha, pulls):
                for file in proposal.files(self.git):
                    yield from file.rows(pull_request=proposal.num)

    def transformers_info(self) -> dict[str, str] | None:
        names = [entry.path for entry in self.files if "/" not in entry.path]
        return transformers_info(self.described.config, names)

    def last_modified(self) -> str:
        if self.commit_sha in {"", self.repo.head_sha}:
            return date_text(self.repo.last_modified)
        return date_text(self.git.commit_info(self.commit_sha).author.when)


Field = Callable[[RepoView], Any]

_BOTH: dict[str, Field] = {
    "author": lambda view: view.repo.namespace.name,
    "cardData": lambda view: view.described.card_data or None,
    "createdAt": lambda view: date_text(view.repo.created_at),
    "disabled": lambda view: False,
    "downloads": lambda view: view.repo.downloads,
    "downloadsAllTime": lambda view: view.repo.downloads_all_time,
    "gated": lambda view: view.repo.gated or False,
    "lastModified": RepoView.last_modified,
    "likes": lambda view: view.repo.likes,
    "private": lambda view: view.repo.is_private,
    "resourceGroup": lambda view: None,
    "sha": lambda view: view.commit_sha or None,
    "siblings": RepoView.siblings,
    "tags": lambda view: view.described.tags,
    "trendingScore": lambda view: view.repo.trending_score,
    "usedStorage": lambda view: view.repo.size_bytes,
    "xetEnabled": lambda view: False,
    "securityRepoStatus": lambda view: repo_status(view.repo, view.commit_sha),
}
"""`xetEnabled` is read by 0.30 to 0.35 only, whose uploads then go through LFS."""

_MODEL: dict[str, Field] = {
    "baseModels": lambda view: base_names(view.described) or None,
    "childrenModelCount": lambda view: sum(children_by_relation(view.actor, view.repo).values()),
    "config": lambda view: view.described.config or None,
    "evalResults": RepoView.eval_results,
    "gguf": lambda view: None,
    "inference": lambda view: None,
    "inferenceProviderMapping": lambda view: None,
    "library_name": lambda view: view.described.library_name or None,
    "mask_token": lambda view: None,
    "model-index": lambda view: view.described.card_data.get("model-index"),
    "pipeline_tag": lambda view: view.described.pipeline_tag or None,
    "safetensors": lambda view: view.described.safetensors,
    "spaces": lambda view: spaces_using(view.actor, view.repo),
    "transformersInfo": RepoView.transformers_info,
    "widgetData": lambda view: view.described.card_data.get("widget"),
}

_DATASET: dict[str, Field] = {
    "citation": lambda view: None,
    "description": lambda view: view.described.description or None,
    "mainSize": lambda view: None,
    "paperswithcode_id": lambda view: view.described.card_data.get("paperswithcode_id"),
}

_SPACE: dict[str, Field] = {
    "datasets": lambda view: texts(view.described.card_data, "datasets"),
    "models": lambda view: texts(view.described.card_data, "models"),
    "region": lambda view: None,
    "runtime": lambda view: None,
    "sdk": lambda view: next(iter(texts(view.described.card_data, "sdk")), None),
    "subdomain": lambda view: None,
}
"""Spaces are files here and never run: they have neither a runtime nor a host."""

FIELDS: dict[str, dict[str, Field]] = {
    RepoType.MODEL: _BOTH | _MODEL,
    RepoType.DATASET: _BOTH | _DATASET,
    RepoType.SPACE: _BOTH | _SPACE,
}

COSTLY = frozenset({"siblings", "childrenModelCount", "evalResults", "spaces"})
"""Each costs a look elsewhere for each repository."""

_IN_LISTS = frozenset(
    "createdAt downloads library_name likes pipeline_tag private sdk tags trendingScore".split()
)
"""Few, so that a table of them fits a terminal; `full` adds the rest."""
_IN_FULL_LISTS = _IN_LISTS | frozenset(
    "author description disabled gated lastModified sha siblings".split()
)
_IN_INFO = _IN_FULL_LISTS | frozenset(
    "cardData config datasets model-index models safetensors spaces transformersInfo usedStorage"
    " widgetData".split()
)


def info_fields(repo_type: str, query: QueryDict) -> Collection[str]:
    """The fields an info call asks for. Raises `InvalidInput` for an unknown `expand`."""
    wanted = _expanded(repo_type, query) or set(_IN_INFO)
    if is_true(query.get("securityStatus")):
        wanted = wanted | {"securityRepoStatus"}
    return wanted


def list_fields(repo_type: str, query: QueryDict) -> Collection[str]:
    """The fields a list call asks for. Raises `InvalidInput` for an unknown `expand`."""
    if expanded := _expanded(repo_type, query):
        return expanded
    wanted = set(_IN_FULL_LISTS if is_true(query.get("full")) else _IN_LISTS)
    has_card = repo_type != RepoType.MODEL and "siblings" in wanted
    if is_true(query.get("cardData")) or has_card:
        wanted |= {"cardData"}
    if is_true(query.get("config")):
        wanted |= {"config"}
    return wanted


def describe_repo(view: RepoView, wanted: Collection[str]) -> dict[str, Any]:
    """The object with `id` and the wanted fields that this repository has."""
    repo = view.repo
    answer: dict[str, Any] = {"_id": f"{repo.pk:024x}", "id": repo.full_name}
    if repo.repo_type == RepoType.MODEL:
        answer["modelId"] = repo.full_name
    for name, field in FIELDS[repo.repo_type].items():
        if name in wanted and (value := field(view)) is not None:
            answer[name] = value
    return answer


def _expanded(repo_type: str, query: QueryDict) -> set[str]:
    names = {*query.getlist("expand"), *query.getlist("expand[]")}
    unknown = names - FIELDS[repo_type].keys()
    if unknown:
        known = ", ".join(sorted(FIELDS[repo_type]))
        raise InvalidInput(f"Cannot expand “{min(unknown)[:60]}”. It must be one of: {known}.")
    return names
