"""Results that open pull requests of a model claim: the community's, until they are merged.

Source: Hub protocol, "Evaluation files": results from open pull requests count at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.actions.repos import DEFAULT_REF
from hub.cards.eval_results import ResultsFile, read_new_results
from hub.models import Repo
from hub.pull_requests import OpenPull, pull_requests
from hub.vcs import Repository
from hub.vcs.errors import VcsError

MAX_PULLS = 50
"""The newest; more open ones at once are no results but a flood."""


@dataclass(frozen=True)
class Proposal:
    """An open pull request, with the commit of the default branch that it left."""

    num: int
    head_sha: str
    since_sha: str

    def files(self, git: Repository) -> list[ResultsFile]:
        """What it claims beside what was there."""
        return read_new_results(git, self.head_sha, since_sha=self.since_sha)


def open_pulls(model: Repo) -> list[OpenPull]:
    """Those that count: open and for the default branch; newest first."""
    return list(pull_requests().open_pulls(repo=model, base_ref=DEFAULT_REF, limit=MAX_PULLS))


def proposals(git: Repository, main_sha: str, pulls: list[OpenPull]) -> Iterator[Proposal]:
    """The pull requests that bring commits; one whose commits are gone brings nothing."""
    for pull in pulls:
        try:
            since_sha = git.merge_base(main_sha, pull.head_sha)
        except VcsError:
            continue
        if since_sha is not None and since_sha != pull.head_sha:
            yield Proposal(pull.num, pull.head_sha, since_sha)
