"""What two commits of a repository are to each other: the half of it that merges ask."""

from collections.abc import Iterable, Iterator

import pygit2

from hub.vcs import history, merging
from hub.vcs.errors import RevisionNotFound
from hub.vcs.values import CommitInfo


class CommitPairs:
    """Base of `Repository`; commits are given by their ids and must exist (`RevisionNotFound`)."""

    _repo: pygit2.Repository

    def merge_base(self, one_sha: str, other_sha: str) -> str | None:
        """The best common ancestor of two commits; None where there is none."""
        found = merging.merge_base(self._repo, self._commit(one_sha).id, self._commit(other_sha).id)
        return str(found) if found is not None else None

    def contains(self, commit_sha: str, ancestor_sha: str) -> bool:
        """Whether a commit has another among its ancestors, or is it."""
        ancestor, commit = self._commit(ancestor_sha).id, self._commit(commit_sha).id
        return merging.is_ancestor(self._repo, ancestor, commit)

    def new_commits(self, tip_sha: str, *, hidden: Iterable[str]) -> Iterator[CommitInfo]:
        """Commits in `tip_sha` and in none of `hidden`, newest first.

        A hidden commit that git has dropped hides nothing.
        """
        known = [oid for sha in hidden if (oid := self._known(sha)) is not None]
        walk = merging.new_commits(self._repo, self._commit(tip_sha).id, known)
        return (history.describe_commit(commit) for commit in walk)

    def conflicts(
        self, ours_sha: str, theirs_sha: str, *, origin_sha: str | None = None
    ) -> list[str]:
        """Paths that stand in the way of such a merge as `write_merge` makes, in order."""
        sides = self._sides(ours_sha, theirs_sha, origin_sha)
        return merging.conflicting_paths(self._repo, sides)

    def _sides(self, ours_sha: str, theirs_sha: str, origin_sha: str | None) -> merging.Sides:
        origin = self._known(origin_sha) if origin_sha else None
        return merging.Sides(self._commit(ours_sha).id, self._commit(theirs_sha).id, origin)

    def _commit(self, commit_sha: str) -> pygit2.Commit:
        try:
            return self._repo[commit_sha].peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError):
            raise RevisionNotFound(commit_sha) from None

    def _known(self, commit_sha: str) -> pygit2.Oid | None:
        try:
            return self._commit(commit_sha).id
        except RevisionNotFound:
            return None
