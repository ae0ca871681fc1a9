"""Committing files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from hub.actions.metadata import refresh_repo_metadata
from hub.actions.refs import branch_ref, copy_refs
from hub.actions.repos import DEFAULT_REF, signature_of
from hub.batches import in_batches
from hub.errors import InvalidInput, RevisionNotFound
from hub.lfs.pointer import POINTER_MAX_BYTES, LfsPointer, parse_pointer
from hub.models import Blob, Repo, RepoBlob, User
from hub.pull_requests import check_takes_commits, is_pull_ref, pull_requests
from hub.quotas import require_room
from hub.site import git_of
from hub.unfinished import writes_to_repo
from hub.vcs import AddFile, AddPointer, CommitInfo, Operation, Repository
from hub.vcs.errors import ParentMoved
from hub.vcs.errors import RevisionNotFound as NoSuchRevision
from hub.vcs.refs import PULL_REQUESTS

_OIDS_PER_QUERY = 500
_SHOWN_FAULTS = 10


@dataclass(frozen=True, slots=True)
class AddLarge:
    """A pointer to content that the repository was sent before.

    `size_bytes` None takes the stored size.
    """

    path: str
    oid: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class AddWaiting:
    """A regular file whose content lies elsewhere until it is written.

    `pointer` is what the content says if it is the text of an LFS pointer.
    """

    path: str
    read: Callable[[], bytes]
    size_bytes: int
    pointer: LfsPointer | None = None


Change = Operation | AddLarge | AddWaiting


@dataclass(frozen=True)
class CommitResult:
    """What a commit has made."""

    commit_sha: str
    parent_sha: str | None
    ref: str
    commit: CommitInfo
    pull_number: int | None = None
    """Where the commit opened a pull request."""


@writes_to_repo
def commit_files(
    *,
    repo: Repo,
    ref: str,
    operations: Iterable[Change],
    message: str,
    acting_user: User,
    parent: str | None = None,
) -> CommitResult:
    """One commit with `operations`, in their order, on top of a branch.

    Large content must be linked to this very repository (`RepoBlob`) with the size the pointer
    states, also where a regular file happens to be the text of a pointer.

    Args:
        ref: branch, or full name of a branch or pull request ref.
        message: title, and after an empty line the description.
        parent: commit the caller built on, in full or its first digits (5 or more).

    Raises:
        RevisionNotFound: no such branch.
        Conflict: the pull request is closed or merged.
        InvalidInput: content that the repository does not have, or of another size.
        QuotaExceeded: the owner of the repository has no room for the regular files.
        vcs errors: ParentMoved, InvalidPath, PathConflict, EntryNotFound, RepositoryBusy, ...
    """
    git = git_of(repo)
    full_ref = branch_ref(git, ref)
    asked = list(operations)
    with git.lock():
        check_takes_commits(repo, full_ref)
        # Under the lock: large files are deleted for good under it, too.
        changes = _with_checked_content(repo, asked)
        commit = git.commit(
            full_ref,
            _as_operations(changes),
            message=message,
            author=signature_of(acting_user),
            expected_parent=parent,
        )
        copy_refs(repo=repo, acting_user=acting_user, names={full_ref})
    if full_ref == DEFAULT_REF:
        refresh_repo_metadata(repo, commit.sha)
    return CommitResult(
        commit_sha=commit.sha,
        parent_sha=commit.parents[0] if commit.parents else None,
        ref=full_ref,
        commit=commit,
    )


@writes_to_repo
def propose_files(
    *,
    repo: Repo,
    base: str,
    operations: Iterable[Change],
    message: str,
    acting_user: User,
    parent: str | None = None,
) -> CommitResult:
    """One commit with `operations` as a new pull request: all of it, or nothing.

    The title of the pull request is that of the commit.

    Args:
        base: branch to merge into.
        parent: commit of that branch to build on, in full or its first digits; its newest if None.

    Raises: as `commit_files`; `ParentMoved` (vcs) where `parent` is no commit of the branch.
    """
    git = git_of(repo)
    base_ref = branch_ref(git, base)
    if is_pull_ref(base_ref):
        raise RevisionNotFound(f"There is no branch “{base}”.", revision=base)
    changes = _with_checked_content(repo, list(operations))
    base_sha = _commit_of(git, base_ref, parent)
    commit = git.write_commit(
        base_sha, _as_operations(changes), message=message, author=signature_of(acting_user)
    )
    num = pull_requests().open_for_commit(
        repo=repo,
        base_ref=base_ref,
        base_sha=base_sha,
        head_sha=commit.sha,
        title=commit.title,
        description=commit.message,
        acting_user=acting_user,
    )
    return CommitResult(commit.sha, base_sha, f"{PULL_REQUESTS}{num}", commit, pull_number=num)


def _commit_of(git: Repository, branch: str, parent: str | None) -> str:
    """The commit of `branch` that `parent` names."""
    head = git.ref(branch)
    if parent is None or head.startswith(parent):
        return head
    try:
        commit_sha = git.commit_info(parent).sha
        if git.contains(head, commit_sha):
            return commit_sha
    except NoSuchRevision:
        pass
    raise ParentMoved(parent, head)


def linked_sizes(repo: Repo, oids: Iterable[str], *, with_damaged: bool = False) -> dict[str, int]:
    """Size by SHA-256 of those `oids` that `repo` has been sent; damaged ones are left out.

    Whoever asks is about to rely on them: marks of the collection are taken off.
    """
    sizes: dict[str, int] = {}
    for some in in_batches(sorted(set(oids)), _OIDS_PER_QUERY):
        links = RepoBlob.objects.filter(repo=repo, blob__sha256__in=some)
        links = links if with_damaged else links.filter(blob__quarantined_at=None)
        _take_marks_off(links)
        sizes.update(links.values_list("blob__sha256", "blob__size_bytes"))
    return sizes


def _take_marks_off(links: QuerySet[RepoBlob]) -> None:
    """A content with a right to it is never deleted, so the order of these matters."""
    if links.exclude(condemned_at=None, blob__condemned_at=None).exists():
        links.update(condemned_at=None)
        Blob.objects.filter(pk__in=links.values("blob_id")).update(condemned_at=None)


def _with_checked_content(repo: Repo, changes: list[Change]) -> list[Change]:
    """The changes with every pointer completed. Raises `InvalidInput`, `QuotaExceeded`."""
    require_room(repo.namespace, _regular_bytes(changes))
    claims = [(change, claim) for change in changes if (claim := _claim_of(change))]
    if not claims:
        return changes
    sizes = linked_sizes(repo, [claim.oid for _, claim in claims])
    faults = [fault for _, claim in claims if (fault := _fault(claim, sizes))]
    if faults:
        more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
        raise InvalidInput("; ".join(faults[:_SHOWN_FAULTS]) + more)
    return [
        AddPointer(change.path, change.oid, sizes[change.oid])
        if isinstance(change, AddLarge)
        else change
        for change in changes
    ]


def _regular_bytes(changes: Iterable[Change]) -> int:
    """Size of the files that git itself is to hold."""
    return sum(
        change.size_bytes if isinstance(change, AddWaiting) else len(change.content)
        for change in changes
        if isinstance(change, AddWaiting | AddFile)
    )


def _claim_of(change: Change) -> AddLarge | None:
    """What the change says of large content; None if it says nothing of it."""
    match change:
        case AddLarge():
            return change
        case AddPointer(path, oid, size_bytes):
            return AddLarge(path, oid, size_bytes)
        case AddWaiting(path, _, _, LfsPointer(oid, size_bytes)):
            return AddLarge(path, oid, size_bytes)
        case AddFile(path, content) if len(content) <= POINTER_MAX_BYTES:
            pointer = parse_pointer(content)
            return AddLarge(path, pointer.oid, pointer.size_bytes) if pointer else None
    return None


def _fault(claim: AddLarge, sizes: dict[str, int]) -> str | None:
    size_bytes = sizes.get(claim.oid)
    if size_bytes is None:
        return (
            f"{claim.path}: this repository has no content with SHA-256 {claim.oid}; "
            "upload it before the commit"
        )
    if claim.size_bytes is not None and claim.size_bytes != size_bytes:
        return f"{claim.path}: the content has {size_bytes} bytes, not {claim.size_bytes}"
    return None


def _as_operations(changes: Sequence[Change]) -> Iterator[Operation]:
    for change in changes:
        if isinstance(change, AddWaiting):
            yield AddFile(change.path, change.read())
        else:
            assert not isinstance(change, AddLarge)
            yield change
