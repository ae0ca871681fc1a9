"""Which large files the history of a repository names."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pygit2

from hub.vcs.errors import RepositoryDamaged
from hub.vcs.rawtree import SUBMODULE, Row, TreeComparer, iter_rows
from hub.vcs.trees import describe
from hub.vcs.values import Ref


def large_paths(repo: pygit2.Repository) -> dict[str, str]:
    """One path by SHA-256, of each large file in any commit that a ref leads to.

    Each commit is compared with its first parent, so that the cost follows what has changed.

    Raises:
        RepositoryDamaged: some of it cannot be read, so nobody knows what is named there.
    """
    with unreadable_as_domain_error():
        return _walked(repo)


def heads(repo: pygit2.Repository) -> list[pygit2.Oid]:
    """The commits that refs lead to; a tag of something else leads to none.

    Raises:
        RepositoryDamaged: what a ref names is not there.
    """
    with unreadable_as_domain_error():
        names = set(repo.references)
        if lost := _loose_names(repo) - names:
            raise RepositoryDamaged(f"nothing can be read from {min(lost)}")
        targets = [repo.references[name].resolve().target for name in sorted(names)]
        found = [_commit_of(repo[oid]) for oid in targets]
    return [oid for oid in found if oid is not None]


def _loose_names(repo: pygit2.Repository) -> set[str]:
    """Names of refs by their files, of which libgit2 leaves out those that it cannot read."""
    root = Path(repo.path)
    files = (path for path in (root / "refs").rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in files if path.suffix != ".lock"}


def _commit_of(named: pygit2.Object) -> pygit2.Oid | None:
    while isinstance(named, pygit2.Tag):
        named = named.get_object()
    return named.id if isinstance(named, pygit2.Commit) else None


@contextlib.contextmanager
def unreadable_as_domain_error() -> Iterator[None]:
    """Turn what libgit2 says of lost and broken objects into RepositoryDamaged."""
    try:
        yield
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise RepositoryDamaged(str(error)) from error


def _walked(repo: pygit2.Repository) -> dict[str, str]:
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
    starts = heads(repo)
    if not starts:
        return []
    walker = repo.walk(starts[0])
    for head in starts[1:]:
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
