"""Which large files a repository names, and taking some out of its history for good."""

import contextlib
from collections.abc import Collection
from pathlib import Path

import pygit2

from hub.vcs import references, refs, rewriting


class LargeFiles:
    """Base of `Repository`; what cannot be read whole raises `RepositoryDamaged`."""

    path: Path
    _repo: pygit2.Repository

    def lock(self) -> contextlib.AbstractContextManager[None]:
        raise NotImplementedError

    def large_oids(self) -> set[str]:
        """SHA-256 of each large file in any commit that a ref leads to."""
        return set(references.large_paths(self._repo))

    def large_paths(self) -> dict[str, str]:
        """One path by SHA-256, of each large file in any commit that a ref leads to."""
        return references.large_paths(self._repo)

    def refs_by_large_oid(self) -> dict[str, str]:
        """A ref at whose head each large file is, by SHA-256; branches come first."""
        prefixes = (refs.BRANCHES, refs.TAGS, refs.PULL_REQUESTS)
        heads = [ref for prefix in prefixes for ref in refs.list_refs(self._repo, prefix)]
        return references.refs_by_large_oid(self._repo, heads)

    def check_heads(self) -> None:
        """Raises `RepositoryDamaged` where a ref names something that is not there."""
        references.heads(self._repo)

    def drop_large_files(self, oids: Collection[str]) -> list[str]:
        """Rewrite all history without the pointers to `oids`; names of the refs that moved.

        Commits that never named one keep their ids. What is to move is noted before the first ref
        does: after an interruption the next holder of the lock moves the rest, and `rewritten`
        tells which commits stand in for which until `forget_rewrite`.
        """
        with self.lock():
            new = rewriting.without_large_files(self._repo, oids)
            if new.moves:
                rewriting.note(self.path, new.after(rewriting.noted(self.path)))
                self._finish_rewrite()
            return sorted(new.moves)

    def rewritten(self) -> dict[str, str]:
        """Commits that were made anew, by their old ids, until somebody has followed."""
        rewrite = rewriting.noted(self.path)
        return rewrite.commits if rewrite else {}

    def forget_rewrite(self) -> None:
        """Everybody who keeps ids of commits has followed. Call it with the lock held."""
        rewriting.forget(self.path)

    def _finish_rewrite(self) -> None:
        rewrite = rewriting.noted(self.path)
        here = refs.raw_targets(self._repo) if rewrite else {}
        for name, (old, new) in rewrite.moves.items() if rewrite else ():
            if here.get(name) == old:
                refs.compare_and_swap(self._repo, name, new, old)
