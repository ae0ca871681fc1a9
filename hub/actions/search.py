"""Keeping what the search knows in step with the repositories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import transaction

from hub.cards.checks import texts
from hub.models import Repo, RepoSearch, RepoType
from hub.search.terms import GATED, LINKED, document_terms

SWEEP_LIMIT = 500


def index_repo(repo: Repo, card_body: str) -> None:
    """Stores the terms by which `repo` is found; part of the caller's transaction.

    Args:
        card_body: the text of its card below the front matter (`hub.actions.metadata.card_body`).
    """
    terms = document_terms(
        repo.repo_type,
        namespace=repo.namespace.name,
        name=repo.name,
        tags=repo.tags,
        values=_values(repo),
        texts=[repo.description, card_body],
    )
    RepoSearch.objects.update_or_create(repo=repo, defaults={"terms": " ".join(terms)})


def rebuild_search(repos: Iterable[Repo]) -> int:
    """Reads the cards of `repos` and stores their terms anew; gives how many."""
    n_repos = 0
    for repo in repos:
        _reindex(repo)
        n_repos += 1
    return n_repos


def sweep_search() -> int:
    """Stores the terms of some repositories that have none, as after an upgrade; gives how many."""
    missing = Repo.objects.filter(search_row=None).select_related("namespace").order_by("-pk")
    return rebuild_search(missing[:SWEEP_LIMIT])


def _reindex(repo: Repo) -> None:
    from hub.actions.metadata import card_body

    body = card_body(repo)
    with transaction.atomic():
        current = Repo.objects.select_for_update(of=("self",)).select_related("namespace")
        fresh = current.filter(pk=repo.pk).first()
        if fresh is not None and fresh.head_sha == repo.head_sha:
            index_repo(fresh, body)


def _values(repo: Repo) -> Iterator[str]:
    """Values that lists filter by, besides the tags."""
    if repo.pipeline_tag:
        yield f"pipeline_tag:{repo.pipeline_tag}"
    if repo.library_name:
        yield f"library:{repo.library_name}"
    if repo.repo_type == RepoType.MODEL:
        yield from (f"language:{language}" for language in texts(repo.card_data, "language"))
    if any(tag.startswith(("model:", "dataset:")) for tag in repo.tags):
        yield LINKED
    if repo.gated:
        yield GATED
