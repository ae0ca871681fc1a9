"""The searchable copy of what a repository's files say about it."""

from __future__ import annotations

import re

from django.db import transaction

from hub.cards import Card, CardError, dataset_tags, model_tags, parse_card
from hub.cards.checks import texts
from hub.models import Repo, RepoTag, RepoType
from hub.site import git_of
from hub.vcs.errors import EntryNotFound, EntryTooLarge

MAX_CARD_BYTES = 2 * 1024**2


def refresh_repo_metadata(repo: Repo, commit_sha: str) -> None:
    """Reads the card at `commit_sha` and stores what lists and filters need of it.

    A card that cannot be read counts as one without metadata. Nothing is stored if the default
    branch has moved on: whoever moved it stores the newer state.
    """
    card = _card_at(repo, commit_sha)
    data = card.data
    pipeline_tag = _first(data, "pipeline_tag", 64)
    library_name = _first(data, "library_name", 64)
    if repo.repo_type == RepoType.DATASET:
        tags = dataset_tags(data, card.body)
    else:
        tags = model_tags(data, card.body, library=library_name, pipeline_tag=pipeline_tag)
    with transaction.atomic():
        is_newest = Repo.objects.select_for_update().filter(pk=repo.pk, head_sha=commit_sha)
        if not is_newest.update(
            card_data=data,
            tags=tags,
            pipeline_tag=pipeline_tag,
            library_name=library_name,
            license=_first(data, "license", 64),
            description=_first_paragraph(card.body),
        ):
            return
        _write_tags(repo, tags)
    repo.refresh_from_db()


def _card_at(repo: Repo, commit_sha: str) -> Card:
    try:
        text = git_of(repo).read(commit_sha, "README.md", max_bytes=MAX_CARD_BYTES)
        return parse_card(text.decode("utf-8", "replace"))
    except (EntryNotFound, EntryTooLarge, CardError):
        return Card()


def _first(data: dict[str, object], key: str, length: int) -> str:
    return next(iter(texts(data, key)), "")[:length]


def _first_paragraph(body: str) -> str:
    """The first lines that are text, for lists."""
    for block in re.split(r"\n\s*\n", body):
        if block.strip() and block.lstrip()[0] not in "#<!|`-*>[":
            return " ".join(block.split())[:500]
    return ""


def _write_tags(repo: Repo, tags: list[str]) -> None:
    present = set(repo.tag_rows.values_list("tag", flat=True))
    repo.tag_rows.filter(tag__in=present - set(tags)).delete()
    RepoTag.objects.bulk_create(RepoTag(repo=repo, tag=tag) for tag in set(tags) - present)
