"""Which large files the history of a repository names."""

from collections.abc import Iterable, Iterator

import pygit2

from hub.vcs.rawtree import SUBMODULE, Row, TreeComparer, iter_rows
from hub.vcs.trees import describe
from hub.vcs.values import Ref


def large_paths(repo: pygit2.Repository) -> dict[str, str]:
    """One path by SHA-256, of each large file in any commit that a ref leads to.

    Each commit is compared with its first parent, so that the cost follows what has changed.
    """
    walk = _Walk(repo)
    for commit in _commits(repo):
        parent = commit.parents[0].tree_id.raw if commit.parent_ids else None
        walk.note(parent, commit.tree_id.raw)
    return walk.found


def refs_by_large_oid(repo: pygit2.Repository, heads: Iterable[Ref]) -> dict[str, str]:
    """Full name of the first of `heads` at which a large file is, by its SHA-256.

    Each folder is looked into once, at however many of them it is.
    """
    found: dict[str, str] = {}
    seen: set[bytes] = set()
    for ref in heads:
        root = repo[ref.commit_sha].peel(pygit2.Commit).tree_id.raw
        for oid in _unseen_large_oids(repo, root, seen):
            found.setdefault(oid, ref.full_name)
    return found


def _unseen_large_oids(repo: pygit2.Repository, tree: bytes, seen: set[bytes]) -> Iterator[str]:
    if tree in seen:
        return
    seen.add(tree)
    for row in iter_rows(repo, tree):
        if row.is_folder:
            yield from _unseen_large_oids(repo, row.oid, seen)
        elif row.mode != SUBMODULE and row.oid not in seen:
            seen.add(row.oid)
            entry = describe(repo, row, "")
            if entry is not None and entry.lfs is not None:
                yield entry.lfs.oid


def _commits(repo: pygit2.Repository) -> pygit2.Walker | list[pygit2.Commit]:
    heads = []
    for name in repo.references:
        try:
            heads.append(repo.references[name].peel(pygit2.Commit).id)
        except (KeyError, ValueError, pygit2.GitError):
            continue
    if not heads:
        return []
    walker = repo.walk(heads[0])
    for head in heads[1:]:
        walker.push(head)
    return walker


class _Walk:
    """Collects the pointers among files that differ; looks at each file once."""

    def __init__(self, repo: pygit2.Repository) -> None:
        self.found: dict[str, str] = {}
        self._repo = repo
        self._comparer = TreeComparer(repo)
        self._seen: set[bytes] = set()

    def note(self, old: bytes | None, new: bytes | None, prefix: str = "") -> None:
        """Looks at what the tree `new`, whose path is `prefix`, has and `old` has not."""
        for before, after in self._comparer.changed(old, new).values():
            if after is not None and after.is_folder:
                below = f"{prefix}{after.name.decode('utf-8', 'replace')}/"
                self.note(before.oid if before and before.is_folder else None, after.oid, below)
            elif after is not None and after.mode != SUBMODULE:
                self._note_file(after, prefix)

    def _note_file(self, row: Row, prefix: str) -> None:
        if row.oid in self._seen:
            return
        self._seen.add(row.oid)
        entry = describe(self._repo, row, prefix + row.name.decode("utf-8", "replace"))
        if entry is not None and entry.lfs is not None:
            self.found.setdefault(entry.lfs.oid, entry.path)
