"""Branches and tags: git first, then the database's copy under the same lock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from hub import events
from hub.actions.audit import record
from hub.actions.metadata import refresh_repo_metadata
from hub.actions.repos import DEFAULT_REF, signature_of
from hub.errors import PermissionDenied, RevisionNotFound
from hub.models import Ref, Repo, User
from hub.pull_requests import check_takes_commits, pull_requests
from hub.site import git_of
from hub.unfinished import writes_to_repo
from hub.vcs import CommitInfo, Repository
from hub.vcs import errors as vcs_errors
from hub.vcs.names import validate_ref_name
from hub.vcs.refs import BRANCHES, PULL_REQUESTS, TAGS


def branch_ref(git: Repository, revision: str) -> str:
    """Full name of the branch or pull request ref that `revision` names, as something to commit to.

    Raises:
        RevisionNotFound: it names none; a tag or a commit cannot be committed to.
    """
    is_full = revision.startswith((BRANCHES, PULL_REQUESTS))
    full_name = revision if is_full else BRANCHES + revision
    try:
        git.ref(full_name)
    except vcs_errors.VcsError:
        raise RevisionNotFound(f"There is no branch “{revision}”.", revision=revision) from None
    return full_name


@writes_to_repo
def create_branch(*, repo: Repo, branch: str, starting_point: str | None, acting_user: User) -> Ref:
    """A new branch at `starting_point` (a branch, tag or commit; the default branch if None).

    Raises:
        vcs errors: InvalidRefName, RefExists, RevisionNotFound.
    """
    git = git_of(repo)
    validate_ref_name(branch)
    target = git.resolve(starting_point or DEFAULT_REF)
    with git.lock():
        git.create_ref(BRANCHES + branch, target)
        copy_refs(repo=repo, acting_user=acting_user, names={BRANCHES + branch})
    return repo.refs.get(name=BRANCHES + branch)


@writes_to_repo
def delete_branch(*, repo: Repo, branch: str, acting_user: User) -> None:
    """Removes a branch; its commits stay reachable by id until git collects them.

    Raises:
        PermissionDenied: it is the default branch.
        RefNotFound (vcs): no such branch; a tag of that name is left alone.
    """
    if BRANCHES + branch == DEFAULT_REF:
        raise PermissionDenied(f"“{branch}” is the default branch and cannot be deleted.")
    _delete_ref(repo, BRANCHES + branch, acting_user)


@writes_to_repo
def create_tag(
    *, repo: Repo, tag: str, revision: str, message: str | None, acting_user: User
) -> Ref:
    """A new tag at `revision`, annotated where there is a message.

    Raises:
        vcs errors: InvalidRefName, RefExists, RevisionNotFound.
    """
    git = git_of(repo)
    validate_ref_name(tag)
    target = git.resolve(revision)
    with git.lock():
        if message:
            git.create_tag(tag, target, message=message, tagger=signature_of(acting_user))
        else:
            git.create_ref(TAGS + tag, target)
        copy_refs(repo=repo, acting_user=acting_user, names={TAGS + tag})
    return repo.refs.get(name=TAGS + tag)


@writes_to_repo
def delete_tag(*, repo: Repo, tag: str, acting_user: User) -> None:
    """Removes a tag. Raises: RefNotFound (vcs)."""
    _delete_ref(repo, TAGS + tag, acting_user)


@writes_to_repo
def squash_history(*, repo: Repo, revision: str, message: str, acting_user: User) -> CommitInfo:
    """Replaces the history of a branch or pull request ref by one commit with its present files.

    Raises:
        RevisionNotFound: it is neither.
        Conflict: the pull request is closed or merged.
    """
    git = git_of(repo)
    ref = branch_ref(git, revision)
    with git.lock():
        check_takes_commits(repo, ref)
        commit = git.squash(ref, message=message, author=signature_of(acting_user))
        copy_refs(repo=repo, acting_user=acting_user, names={ref})
    if ref == DEFAULT_REF:
        refresh_repo_metadata(repo, commit.sha)
    return commit


def copy_refs(
    *,
    repo: Repo,
    acting_user: User | None = None,
    names: Collection[str] | None = None,
) -> list[events.RefUpdated]:
    """Brings the rows of `names` (all refs if None) in line with git, and tells what changed.

    Call it with the repository's lock held, so that rows follow refs in the same order. The head
    of the default branch goes to `repo` as well, with its date and the size of its files; who keeps
    pull requests takes note within the same transaction. After a rewrite of history all refs are
    followed at once, and then git need not remember it any more.
    """
    git = git_of(repo)
    rewritten = git.rewritten()
    names = None if rewritten else names
    wanted = _refs_in_git(git, names)
    head = _Head.of(git, wanted.get(DEFAULT_REF), repo)
    with transaction.atomic():
        rows = repo.refs.all() if names is None else repo.refs.filter(name__in=names)
        present = dict(rows.values_list("name", "commit_sha"))
        changes = [
            events.RefUpdated(
                repo_id=repo.pk,
                ref=name,
                old_sha=present.get(name),
                new_sha=wanted.get(name),
                actor_id=acting_user.pk if acting_user else None,
            )
            for name in sorted(present.keys() | wanted.keys())
            if present.get(name) != wanted.get(name)
        ]
        _write_rows(repo, changes)
        if head:
            head.write_to(repo)
        if changes or rewritten:
            pull_requests().refs_moved(
                repo=repo, changes=changes, rewritten=rewritten, acting_user=acting_user
            )
        if rewritten:
            transaction.on_commit(git.forget_rewrite, robust=True)
        _announce(repo, changes, acting_user)
    return changes


def _announce(repo: Repo, changes: list[events.RefUpdated], user: User | None) -> None:
    for change in changes:
        _audit(repo, user, change)
        events.emit(change)
    if changes:
        actor_id = user.pk if user else None
        events.emit(events.RefsUpdated(repo.pk, tuple(changes), actor_id))


def rebuild_copy(*, repo: Repo) -> list[events.RefUpdated]:
    """Writes again all that the database copies from the repository's git: refs, head, metadata."""
    repo.head_sha, repo.size_bytes = "", 0
    with git_of(repo).lock():
        changes = copy_refs(repo=repo)
    if repo.head_sha:
        refresh_repo_metadata(repo, repo.head_sha)
    return changes


@dataclass(frozen=True)
class _Head:
    """What the row of a repository says of the head of its default branch.

    Authors date their commits as they like, but nothing was modified in the future.
    """

    commit_sha: str
    modified_at: datetime
    size_bytes: int

    @classmethod
    def of(cls, git: Repository, commit_sha: str | None, repo: Repo) -> _Head | None:
        """None where there is no head, or the row knows it already."""
        if commit_sha is None or commit_sha == repo.head_sha:
            return None
        size_bytes = _content_bytes(git, commit_sha, repo)
        when = git.commit_info(commit_sha).author.when
        return cls(commit_sha, min(when, timezone.now()), size_bytes)

    def write_to(self, repo: Repo) -> None:
        repo.head_sha, repo.last_modified = self.commit_sha, self.modified_at
        repo.size_bytes = self.size_bytes
        repo.save(update_fields=["head_sha", "last_modified", "size_bytes"])


def _content_bytes(git: Repository, commit_sha: str, repo: Repo) -> int:
    """Size of the files at `commit_sha`, counted from the head that the row knows."""
    try:
        if repo.head_sha:
            return repo.size_bytes + git.content_growth(repo.head_sha, commit_sha)
    except vcs_errors.RevisionNotFound:
        pass  # git has dropped the old head: count afresh
    return git.content_bytes(commit_sha)


def _delete_ref(repo: Repo, full_name: str, acting_user: User) -> None:
    git = git_of(repo)
    with git.lock():
        git.delete_ref(full_name)
        copy_refs(repo=repo, acting_user=acting_user, names={full_name})


def _refs_in_git(git: Repository, names: Collection[str] | None) -> dict[str, str]:
    if names is None:
        return {ref.full_name: ref.commit_sha for ref in git.refs()}
    found = {}
    for name in names:
        try:
            found[name] = git.ref(name)
        except vcs_errors.RefNotFound:
            continue
    return found


def _write_rows(repo: Repo, changes: list[events.RefUpdated]) -> None:
    gone = [change.ref for change in changes if change.new_sha is None]
    if gone:
        repo.refs.filter(name__in=gone).delete()
    for change in changes:
        if change.new_sha is not None:
            Ref.objects.update_or_create(
                repo=repo, name=change.ref, defaults={"commit_sha": change.new_sha}
            )


def _audit(repo: Repo, user: User | None, change: events.RefUpdated) -> None:
    record(
        verb="ref.updated",
        actor=user,
        target=str(repo),
        repo=repo,
        ref=change.ref,
        old=change.old_sha,
        new=change.new_sha,
    )
