"""The searchable copy of what a repository's files say about it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from django.db import transaction
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hub.actions.search import index_repo
from hub.cards import Card, CardError, dataset_tags, model_tags, parse_card, space_tags
from hub.cards.checks import texts
from hub.cards.front_matter import split_body
from hub.errors import HubError
from hub.model_config import (
    dataset_format_tags,
    format_tags,
    guess_library,
    guess_relation,
    summarize_config,
    transformers_info,
)
from hub.models import Repo, RepoTag, RepoType
from hub.site import git_of
from hub.storable import storable, storable_text
from hub.storage.errors import StorageError
from hub.tensors import header_of
from hub.told_tags import told_tags
from hub.vcs import Repository, TreeEntry
from hub.vcs.errors import EntryNotFound, EntryTooLarge, VcsError
from hub.xet.errors import XetError
from ml_core.formats.errors import FormatError
from ml_core.formats.safetensors import ParameterSummary, summarize

logger = logging.getLogger(__name__)

MAX_CARD_BYTES = 2 * 1024**2
MAX_CONFIG_BYTES = 4 * 1024**2
MAX_HEADER_BYTES = 32 * 1024**2
MAX_WEIGHT_FILES = 256
MAX_LISTED_FILES = 5_000
_DESCRIPTION_SOURCE_CHARS = 20_000
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors\Z")
_ADAPTER = re.compile(r"(?:^|/)(?:adapter_|optimizer|training_)")


def refresh_repo_metadata(repo: Repo, commit_sha: str) -> None:
    """Reads card, configs and weight headers at `commit_sha` and stores what lists need of them.

    What cannot be read counts as absent. Nothing is stored if the default branch has moved on:
    whoever moved it stores the newer state.
    """
    facts = _read_facts(repo, commit_sha)
    values = _values_of(facts)
    with transaction.atomic():
        is_newest = Repo.objects.select_for_update().filter(pk=repo.pk, head_sha=commit_sha)
        if not is_newest.update(**values):
            return
        _write_tags(repo, values["tags"])
        repo.refresh_from_db()
        index_repo(repo, facts.card.body)


def read_repo_metadata(repo: Repo, commit_sha: str) -> dict[str, Any]:
    """Values of the fields of `Repo` that its files at `commit_sha` decide; nothing is stored."""
    return _values_of(_read_facts(repo, commit_sha))


def untold_metadata() -> dict[str, Any]:
    """The same fields for who may not know what the files say."""
    return _values_of(_Facts(Card(), []))


def card_body(repo: Repo) -> str:
    """The text of the card at the head, below the front matter; empty where there is none."""
    try:
        return _card_at(git_of(repo), repo.head_sha).body if repo.head_sha else ""
    except VcsError as error:
        logger.warning("no card of %s: %s", repo, error)
        return ""


def _read_facts(repo: Repo, commit_sha: str) -> _Facts:
    return _READERS[repo.repo_type](repo, commit_sha)


def _values_of(facts: _Facts) -> dict[str, Any]:
    return {
        "card_data": facts.card.data,
        "tags": facts.tags,
        "pipeline_tag": facts.pipeline_tag[:64],
        "library_name": facts.library_name[:64],
        "license": _first(facts.card.data, "license"),
        "description": _first_paragraph(facts.card.body),
        "config": facts.config,
        "safetensors": facts.weights.to_json() if facts.weights else None,
        "parameter_count": facts.weights.total if facts.weights else None,
    }


@dataclass(frozen=True)
class _Facts:
    card: Card
    tags: list[str]
    pipeline_tag: str = ""
    library_name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    weights: ParameterSummary | None = None


def _dataset_facts(repo: Repo, commit_sha: str) -> _Facts:
    git = git_of(repo)
    card = _card_at(git, commit_sha)
    paths = [entry.path for entry in _files(git, commit_sha)]
    extra = [*dataset_format_tags(paths), *told_tags(repo)]
    return _Facts(card, dataset_tags(card.data, card.body, extra=extra))


def _model_facts(repo: Repo, commit_sha: str) -> _Facts:
    """What the card says counts; what it leaves out is told from configs and file names."""
    git = git_of(repo)
    card = _card_at(git, commit_sha)
    files = _files(git, commit_sha)
    names = [entry.path for entry in files if "/" not in entry.path]
    config = storable(
        summarize_config(
            _json_at(git, commit_sha, "config.json"),
            _json_at(git, commit_sha, "tokenizer_config.json"),
        )
    )
    info = transformers_info(config, names) or {}
    pipeline_tag = _first(card.data, "pipeline_tag") or info.get("pipeline_tag", "")
    library = _first(card.data, "library_name") or guess_library(config, names)
    extra = [*format_tags(names), config.get("model_type", "")]
    if "auto_map" in config:
        extra.append("custom_code")
    n_bases = len(texts(card.data, "base_model"))
    tags = model_tags(
        card.data,
        card.body,
        library=library,
        pipeline_tag=pipeline_tag,
        relation=guess_relation(config, names, library=library, n_bases=n_bases),
        extra=extra,
    )
    return _Facts(card, tags, pipeline_tag, library, config, _weights(repo, files))


def _space_facts(repo: Repo, commit_sha: str) -> _Facts:
    card = _card_at(git_of(repo), commit_sha)
    return _Facts(card, space_tags(card.data, card.body))


_READERS = {
    RepoType.MODEL.value: _model_facts,
    RepoType.DATASET.value: _dataset_facts,
    RepoType.SPACE.value: _space_facts,
}


def _files(git: Repository, commit_sha: str) -> list[TreeEntry]:
    """The first files of the commit; enough to tell what kind of repository it is."""
    found: list[TreeEntry] = []
    for entry in git.tree(commit_sha, recursive=True):
        if entry.kind == "file":
            found.append(entry)
        if len(found) >= MAX_LISTED_FILES:
            break
    return found


def _card_at(git: Repository, commit_sha: str) -> Card:
    try:
        raw = git.read(commit_sha, "README.md", max_bytes=MAX_CARD_BYTES)
    except (EntryNotFound, EntryTooLarge):
        return Card()
    text = storable_text(raw.decode("utf-8", "replace"))
    try:
        card = parse_card(text)
    except CardError:
        return Card(body=split_body(text))
    return replace(card, data=storable(card.data))


def _json_at(git: Repository, commit_sha: str, path: str) -> dict[str, Any]:
    try:
        value = json.loads(git.read(commit_sha, path, max_bytes=MAX_CONFIG_BYTES))
    except (EntryNotFound, EntryTooLarge, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# Weights


def _weights(repo: Repo, files: Sequence[TreeEntry]) -> ParameterSummary | None:
    """Parameters by dtype of the model's safetensors; None without any, or if one is damaged."""
    chosen = weight_files(files)
    if not chosen or len(chosen) > MAX_WEIGHT_FILES:
        return None
    try:
        headers = [header_of(repo, entry, max_bytes=MAX_HEADER_BYTES) for entry in chosen]
        return summarize(headers)
    except (FormatError, HubError, StorageError, XetError, OSError) as error:
        logger.info("no weights summary of %s: %s", repo, error)
        return None


def weight_files(files: Sequence[TreeEntry]) -> list[TreeEntry]:
    """The files that together are the model.

    The shards of one model, else `model.safetensors`, else all at the top that are no adapter or
    training state, else the adapter.
    """
    top = [f for f in files if f.path.endswith(".safetensors") and "/" not in f.path]
    shards = [f for f in top if _SHARD.search(f.path)]
    if shards:
        stems = {_SHARD.sub("", f.path) for f in shards}
        stem = "model" if "model" in stems else min(stems)
        return [f for f in shards if _SHARD.sub("", f.path) == stem]
    single = [f for f in top if f.path == "model.safetensors"]
    main = [f for f in top if not _ADAPTER.search(f.path)]
    return single or main or top


# Words


def _first(data: dict[str, Any], key: str) -> str:
    return next(iter(texts(data, key)), "")[:64]


def _first_paragraph(body: str) -> str:
    """The first paragraph with words in it as plain text, for lists; badges are passed over."""
    tokens = MarkdownIt("commonmark").parse(body[:_DESCRIPTION_SOURCE_CHARS])
    for before, token in pairwise(tokens):
        if before.type == "paragraph_open" and before.level == 0:
            text = " ".join("".join(_plain(child) for child in token.children or ()).split())
            if any(character.isalnum() for character in text):
                return text[:500]
    return ""


def _plain(token: Token) -> str:
    if token.type in {"text", "code_inline"}:
        return token.content
    return " " if token.type in {"softbreak", "hardbreak"} else ""


def _write_tags(repo: Repo, tags: list[str]) -> None:
    present = set(repo.tag_rows.values_list("tag", flat=True))
    repo.tag_rows.filter(tag__in=present - set(tags)).delete()
    RepoTag.objects.bulk_create(RepoTag(repo=repo, tag=tag) for tag in set(tags) - present)
