"""Bringing one line of commits into another without a work tree.

Large files take part by their LFS pointers, which conflict as wholes: two pointers differ in the
line of their digest. Renames are not looked for, since pointers of different files look alike.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pygit2
from pygit2.enums import MergeFlag, SortMode

from hub.vcs.errors import MergeConflict
from hub.vcs.pack import no_space_as_domain_error

MAX_CONFLICTS = 1_000
"""How many conflicting paths are named."""


def merge_base(repo: pygit2.Repository, one: pygit2.Oid, other: pygit2.Oid) -> pygit2.Oid | None:
    """The best common ancestor; None where the histories have nothing in common."""
    return repo.merge_base(one, other)


def is_ancestor(repo: pygit2.Repository, ancestor: pygit2.Oid, commit: pygit2.Oid) -> bool:
    """Whether `commit` contains `ancestor`, or is it."""
    return ancestor == commit or repo.descendant_of(commit, ancestor)


def new_commits(
    repo: pygit2.Repository, tip: pygit2.Oid, hidden: Iterable[pygit2.Oid]
) -> Iterator[pygit2.Commit]:
    """Commits that `tip` contains and none of `hidden` does, newest first."""
    walker = repo.walk(tip, SortMode.TOPOLOGICAL)
    for oid in hidden:
        walker.hide(oid)
    return iter(walker)


@dataclass(frozen=True, slots=True)
class Sides:
    """Two commits to be joined.

    `origin` is where they once parted, for when their histories have nothing in common any more:
    one of them was squashed.
    """

    ours: pygit2.Oid
    theirs: pygit2.Oid
    origin: pygit2.Oid | None = None


def conflicting_paths(repo: pygit2.Repository, sides: Sides) -> list[str]:
    """Paths that both sides changed in ways that cannot be joined, in order."""
    return _conflicts_of(_merged_index(repo, sides))


def merged_tree(repo: pygit2.Repository, sides: Sides) -> pygit2.Oid:
    """The tree with the changes of both sides, written to the repository.

    Raises:
        MergeConflict
    """
    index = _merged_index(repo, sides)
    conflicts = _conflicts_of(index)
    if conflicts:
        raise MergeConflict(conflicts)
    with no_space_as_domain_error():
        try:
            return index.write_tree(repo)
        except pygit2.GitError:  # repacking has removed an emptied folder just now
            return index.write_tree(repo)


def _merged_index(repo: pygit2.Repository, sides: Sides) -> pygit2.Index:
    is_parted = merge_base(repo, sides.ours, sides.theirs) is None
    if sides.origin is None or not is_parted:
        return repo.merge_commits(sides.ours, sides.theirs, flags=MergeFlag.NO_RECURSIVE)
    origin, ours, theirs = (
        repo[oid].peel(pygit2.Tree) for oid in (sides.origin, sides.ours, sides.theirs)
    )
    return repo.merge_trees(origin, ours, theirs, flags=MergeFlag(0))


def _conflicts_of(index: pygit2.Index) -> list[str]:
    if index.conflicts is None:
        return []
    paths: set[str] = set()
    for sides in index.conflicts:
        paths.update(side.path for side in sides if side is not None)
        if len(paths) >= MAX_CONFLICTS:
            break
    return sorted(paths)
