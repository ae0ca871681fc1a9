"""Claims follow the files on a model's default branch and in its open pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db import transaction

from evaluation.models import Claim
from hub.actions.repos import DEFAULT_BRANCH
from hub.cards import CardError, parse_card
from hub.cards.eval_results import IndexedResult, read_eval_results, results_of_index
from hub.models import Repo
from hub.proposed_results import Proposal, open_pulls, proposals
from hub.site import git_of
from hub.vcs import Repository
from hub.vcs.errors import EntryNotFound, EntryTooLarge, RevisionNotFound

CARD = "README.md"
MAX_CARD_BYTES = 1024 * 1024
MAX_CLAIMS = 1000
MAX_CLAIMS_OF_PULL = 100


def refresh_claims(*, model: Repo) -> None:
    """Makes the model's claims say what its default branch and its open pull requests say.

    A file that cannot be read claims nothing; its reason is told with `evalResults`. Safe to call
    twice, and for any order of commits: it looks at things as they are, and where those change
    meanwhile, the news of that brings it here again.
    """
    git = git_of(model)
    commit_sha, pulls = _head_of(git), open_pulls(model)
    claims: list[Claim] = []
    if commit_sha is not None:
        own = [*_of_files(model, git, commit_sha), *_of_card(model, git, commit_sha)]
        claims += own[:MAX_CLAIMS]
        for proposal in proposals(git, commit_sha, pulls):
            claims += islice(_of_proposal(model, git, proposal), MAX_CLAIMS_OF_PULL)
    with transaction.atomic():
        Repo.objects.select_for_update().get(pk=model.pk)
        if (_head_of(git), open_pulls(model)) == (commit_sha, pulls):
            model.claims.filter(imported=None).delete()
            Claim.objects.bulk_create(claims, batch_size=500)


def _of_proposal(model: Repo, git: Repository, proposal: Proposal) -> Iterator[Claim]:
    """What a pull request claims and the branch it left did not."""
    for file in proposal.files(git):
        for entry in file.entries:
            yield _of_entry(model, file.filename, entry, pull_request=proposal.num)
    known = _index_of(git, proposal.since_sha)
    for result in _index_of(git, proposal.head_sha):
        if result not in known:
            yield _of_index(model, result, pull_request=proposal.num)


def _head_of(git: Repository) -> str | None:
    try:
        return git.resolve(DEFAULT_BRANCH)
    except RevisionNotFound:
        return None


def _of_files(model: Repo, git: Repository, commit_sha: str) -> Iterator[Claim]:
    for file in read_eval_results(git, commit_sha):
        for entry in file.entries:
            yield _of_entry(model, file.filename, entry)


def _of_entry(
    model: Repo, filename: str, entry: dict[str, Any], *, pull_request: int | None = None
) -> Claim:
    dataset = entry["dataset"]
    return Claim(
        model_repo=model,
        pull_request=pull_request,
        filename=filename,
        dataset_name=dataset["id"].lower(),
        task_id=dataset["task_id"],
        value=entry["value"],
        source=entry.get("source", {}),
        notes=entry.get("notes", ""),
        claimed_at=entry.get("date", ""),
    )


def _of_card(model: Repo, git: Repository, commit_sha: str) -> Iterator[Claim]:
    for result in _index_of(git, commit_sha):
        yield _of_index(model, result)


def _index_of(git: Repository, commit_sha: str) -> list[IndexedResult]:
    try:
        text = git.read(commit_sha, CARD, max_bytes=MAX_CARD_BYTES).decode("utf-8", "replace")
        return results_of_index(parse_card(text).data.get("model-index"))
    except (EntryNotFound, EntryTooLarge, CardError):
        return []


def _of_index(model: Repo, result: IndexedResult, *, pull_request: int | None = None) -> Claim:
    return Claim(
        model_repo=model,
        pull_request=pull_request,
        filename=CARD,
        dataset_name=result.dataset_id.lower(),
        config=result.config,
        split=result.split,
        metric=result.metric,
        value=result.value,
        source={"url": result.source_url} if result.source_url else {},
    )
