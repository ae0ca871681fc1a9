"""Claims follow the files on a model's default branch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from evaluation.models import Claim
from hub.actions.repos import DEFAULT_BRANCH
from hub.cards import CardError, parse_card
from hub.cards.eval_results import IndexedResult, read_eval_results, results_of_index
from hub.models import Repo
from hub.site import git_of
from hub.vcs import Repository
from hub.vcs.errors import EntryNotFound, EntryTooLarge, RevisionNotFound

CARD = "README.md"
MAX_CARD_BYTES = 1024 * 1024
MAX_CLAIMS = 1000


def refresh_claims(*, model: Repo) -> None:
    """Makes the model's claims say what its default branch says.

    A file that cannot be read claims nothing; its reason is told with `evalResults`. Safe to call
    twice, and for any order of commits: it looks at the branch as it is, and where that moves on
    meanwhile, the news of that move brings it here again.
    """
    git = git_of(model)
    commit_sha = _head_of(git)
    claims: list[Claim] = []
    if commit_sha is not None:
        claims += [*_of_files(model, git, commit_sha), *_of_card(model, git, commit_sha)]
    with transaction.atomic():
        Repo.objects.select_for_update().get(pk=model.pk)
        if _head_of(git) == commit_sha:
            model.claims.all().delete()
            Claim.objects.bulk_create(claims[:MAX_CLAIMS])


def _head_of(git: Repository) -> str | None:
    try:
        return git.resolve(DEFAULT_BRANCH)
    except RevisionNotFound:
        return None


def _of_files(model: Repo, git: Repository, commit_sha: str) -> Iterator[Claim]:
    for file in read_eval_results(git, commit_sha):
        for entry in file.entries:
            yield _of_entry(model, file.filename, entry)


def _of_entry(model: Repo, filename: str, entry: dict[str, Any]) -> Claim:
    dataset = entry["dataset"]
    return Claim(
        model_repo=model,
        filename=filename,
        dataset_name=dataset["id"].lower(),
        task_id=dataset["task_id"],
        value=entry["value"],
        source=entry.get("source", {}),
        notes=entry.get("notes", ""),
        claimed_at=entry.get("date", ""),
    )


def _of_card(model: Repo, git: Repository, commit_sha: str) -> Iterator[Claim]:
    try:
        text = git.read(commit_sha, CARD, max_bytes=MAX_CARD_BYTES).decode("utf-8", "replace")
        index = parse_card(text).data.get("model-index")
    except (EntryNotFound, EntryTooLarge, CardError):
        return
    for result in results_of_index(index):
        yield _of_index(model, result)


def _of_index(model: Repo, result: IndexedResult) -> Claim:
    return Claim(
        model_repo=model,
        filename=CARD,
        dataset_name=result.dataset_id.lower(),
        config=result.config,
        split=result.split,
        metric=result.metric,
        value=result.value,
        source={"url": result.source_url} if result.source_url else {},
    )
