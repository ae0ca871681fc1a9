"""Port to whoever keeps pull requests: what the hub must ask when a `refs/pr/N` is to move.

The application that keeps them fills the port when it starts (`keep_pull_requests`). Git holds
the refs; numbers, titles and states are that application's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.auth import Actor
from hub.errors import RevisionNotFound
from hub.events import RefUpdated
from hub.models import Repo, User
from hub.vcs.refs import PULL_REQUESTS

_REF = re.compile(rf"{PULL_REQUESTS}([1-9][0-9]{{0,8}})")


@dataclass(frozen=True, slots=True)
class OpenPull:
    """A pull request that waits for an answer, and the commit it would bring."""

    num: int
    head_sha: str


class PullRequests(Protocol):
    def open_pulls(self, *, repo: Repo, base_ref: str, limit: int) -> Sequence[OpenPull]:
        """The newest that are open, not draft, and go to branch `base_ref`; newest first."""

    def check_may_push(self, *, actor: Actor, repo: Repo, num: int) -> None:
        """Raises a domain error unless `actor` may add commits to pull request `num` now."""

    def check_takes_commits(self, *, repo: Repo, num: int) -> None:
        """Raises a domain error unless pull request `num` is under way.

        Asked with the repository's lock held, so that no merge comes between.
        """

    def refs_moved(
        self,
        *,
        repo: Repo,
        changes: Sequence[RefUpdated],
        rewritten: Mapping[str, str],
        acting_user: User | None,
    ) -> None:
        """Takes note that the database's copy of refs follows git, in the same transaction.

        Args:
            rewritten: commits that stand in for others, by the old ids, where history was made
                anew. It may be told again, and `changes` may be empty then.
        """

    def open_for_commit(
        self,
        *,
        repo: Repo,
        base_ref: str,
        base_sha: str,
        head_sha: str,
        title: str,
        description: str,
        acting_user: User,
    ) -> int:
        """Opens a pull request whose ref starts at the finished commit `head_sha`; its number."""


_keepers: list[PullRequests] = []


def keep_pull_requests(keeper: PullRequests) -> None:
    """Fills the port; called while the process starts."""
    _keepers[:] = [keeper]


def pull_requests() -> PullRequests:
    """Who keeps pull requests."""
    if not _keepers:
        raise RuntimeError("no application keeps pull requests: is it in INSTALLED_APPS?")
    return _keepers[0]


def is_pull_ref(full_name: str) -> bool:
    return full_name.startswith(PULL_REQUESTS)


def pull_number(full_name: str) -> int:
    """N of `refs/pr/N`. Raises `RevisionNotFound` for a name that no pull request can have."""
    match = _REF.fullmatch(full_name)
    if match is None:
        raise RevisionNotFound(f"There is no pull request “{full_name}”.", revision=full_name)
    return int(match[1])


def check_takes_commits(repo: Repo, full_name: str) -> None:
    """Raises where the ref is that of a pull request that is closed or merged, or of none.

    Call it with the repository's lock held, before the ref moves.
    """
    if is_pull_ref(full_name):
        pull_requests().check_takes_commits(repo=repo, num=pull_number(full_name))
