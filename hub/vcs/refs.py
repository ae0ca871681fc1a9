"""Branches, tags and pull request refs: reading, and moving them by compare and swap."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from hub.vcs.errors import ParentMoved, RefExists, RefNotFound, RepositoryBusy, RevisionNotFound
from hub.vcs.names import validate_full_ref_name
from hub.vcs.pack import no_space_as_domain_error
from hub.vcs.values import Ref

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
PULL_REQUESTS = "refs/pr/"

_FULL_SHA = re.compile(r"[0-9a-fA-F]{40}")
_SHORT_SHA = re.compile(r"[0-9a-f]{7,39}")


def list_refs(repo: pygit2.Repository, prefix: str) -> list[Ref]:
    """The refs below the prefix, by name; a ref that leads to no commit is left out."""
    found = (_describe(repo, name, prefix) for name in repo.references if name.startswith(prefix))
    return sorted((ref for ref in found if ref is not None), key=lambda ref: ref.full_name)


def _describe(repo: pygit2.Repository, full_name: str, prefix: str) -> Ref | None:
    commit_sha = ref_commit(repo, full_name)
    if commit_sha is None:
        return None
    short = re.sub(r"^refs/(heads|tags|pr)/", "", full_name)
    return Ref(short, full_name, commit_sha)


def ref_commit(repo: pygit2.Repository, full_name: str) -> str | None:
    """The commit the ref leads to, through an annotated tag if it is one; None if there is none."""
    try:
        return str(repo.references[full_name].peel(pygit2.Commit).id)
    except (KeyError, ValueError, pygit2.GitError):
        return None


def resolve(repo: pygit2.Repository, revision: str) -> str:
    """The commit a user means: commit id, full ref name, branch, tag, HEAD, shortened id.

    A branch goes before a tag of the same name.

    Raises:
        RevisionNotFound
    """
    for found in _candidates(repo, revision):
        if found is not None:
            return found
    raise RevisionNotFound(revision)


def _candidates(repo: pygit2.Repository, revision: str) -> Iterator[str | None]:
    if _FULL_SHA.fullmatch(revision):
        yield _commit_by_id(repo, revision.lower())
    elif revision.startswith("refs/"):
        yield ref_commit(repo, revision)
    elif revision == "HEAD":
        yield _head(repo)
    elif revision:
        yield ref_commit(repo, BRANCHES + revision)
        yield ref_commit(repo, TAGS + revision)
        if _SHORT_SHA.fullmatch(revision):
            yield _commit_by_id(repo, revision)


def _commit_by_id(repo: pygit2.Repository, sha: str) -> str | None:
    try:
        item = repo[sha]
    except (KeyError, ValueError, pygit2.GitError):
        return None
    return str(item.id) if isinstance(item, pygit2.Commit) else None


def _head(repo: pygit2.Repository) -> str | None:
    try:
        return str(repo.head.peel(pygit2.Commit).id)
    except pygit2.GitError:
        return None


@dataclass(frozen=True, slots=True)
class RefMove:
    """Where a ref is and where it shall be: ids of commits or tag objects.

    None stands for "does not exist", on either side.
    """

    full_name: str
    old: str | None
    new: str | None


def compare_and_swap(
    repo: pygit2.Repository, full_name: str, new: str | None, expected: str | None
) -> None:
    """Move one ref from `expected` to `new` in one atomic step. Raises as `move_all`."""
    move_all(repo, [RefMove(full_name, expected, new)])


def move_all(repo: pygit2.Repository, moves: Sequence[RefMove]) -> None:
    """Move refs together or not at all, under git's own ref locks.

    Call it with the repository's lock held: lock files that lie about are then of the dead.

    Raises:
        ParentMoved: a ref is somewhere else.
        RefExists: another ref's name stands in the way (`a` and `a/b`).
        RepositoryBusy: someone who does not heed the repository's lock has locked a ref.
    """
    for move in moves:
        validate_full_ref_name(move.full_name)
    _check_no_name_in_the_way(repo, [move.full_name for move in moves if move.old is None])
    _remove_dead_locks(repo, moves)
    with no_space_as_domain_error(), _locked_as_busy(), repo.transaction() as transaction:
        for move in moves:
            transaction.lock_ref(move.full_name)
            actual = _raw_target(repo, move.full_name)
            if actual != move.old:
                raise ParentMoved(move.old, actual)
        for move in moves:
            if move.new is None:
                transaction.remove(move.full_name)
            else:
                transaction.set_target(move.full_name, pygit2.Oid(hex=move.new))


def _remove_dead_locks(repo: pygit2.Repository, moves: Sequence[RefMove]) -> None:
    """Unlink the lock files of git that a killed writer left; nothing else would."""
    for name in ("packed-refs", *(move.full_name for move in moves)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            Path(repo.path, f"{name}.lock").unlink()


@contextlib.contextmanager
def _locked_as_busy() -> Iterator[None]:
    try:
        yield
    except pygit2.GitError as error:
        if "failed to lock file" in str(error):
            raise RepositoryBusy(0) from error
        raise


def raw_targets(repo: pygit2.Repository) -> dict[str, str]:
    """What each branch, tag and pull request ref names itself, by full name in git's order."""
    prefixes = (BRANCHES, TAGS, PULL_REQUESTS)
    names = sorted(name for name in repo.references if name.startswith(prefixes))
    found = ((name, _raw_target(repo, name)) for name in names)
    return {name: target for name, target in found if target is not None}


def raw_target(repo: pygit2.Repository, full_name: str) -> str:
    """What the ref names itself: for an annotated tag the tag object.

    Raises:
        RefNotFound
    """
    target = _raw_target(repo, full_name)
    if target is None:
        raise RefNotFound(full_name)
    return target


def _raw_target(repo: pygit2.Repository, full_name: str) -> str | None:
    try:
        return str(repo.references[full_name].target)
    except (KeyError, ValueError):
        return None


def _check_no_name_in_the_way(repo: pygit2.Repository, new_names: Sequence[str]) -> None:
    if not new_names:
        return
    names = {*repo.references, *new_names}
    folders = {folder: name for name in names for folder in _folders_of(name)}
    for name in new_names:
        if name in folders:
            raise RefExists(folders[name])
        for folder in _folders_of(name):
            if folder in names:
                raise RefExists(folder)


def _folders_of(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))
