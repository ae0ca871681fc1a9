"""Branches, tags and pull request refs: reading, and moving them by compare and swap."""

import re
from collections.abc import Iterator

import pygit2

from hub.vcs.errors import ParentMoved, RefExists, RefNotFound, RevisionNotFound
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


def compare_and_swap(
    repo: pygit2.Repository, full_name: str, new: str | None, expected: str | None
) -> None:
    """Move the ref from `expected` to `new` in one atomic step, under git's own ref lock.

    None stands for "does not exist", on either side.

    Raises:
        ParentMoved: the ref is somewhere else.
        RefExists: another ref's name stands in the way (`a` and `a/b`).
    """
    validate_full_ref_name(full_name)
    if expected is None:
        _check_no_name_in_the_way(repo, full_name)
    with no_space_as_domain_error(), repo.transaction() as transaction:
        transaction.lock_ref(full_name)
        actual = _raw_target(repo, full_name)
        if actual != expected:
            raise ParentMoved(expected, actual)
        if new is None:
            transaction.remove(full_name)
        else:
            transaction.set_target(full_name, pygit2.Oid(hex=new))


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


def _check_no_name_in_the_way(repo: pygit2.Repository, full_name: str) -> None:
    for name in repo.references:
        if name.startswith(full_name + "/") or full_name.startswith(name + "/"):
            raise RefExists(name)
