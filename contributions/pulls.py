"""What a pull request would bring: commits, differences, and whether it can be merged.

Read from git, with answers that never change for a pair of commits kept in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.core.cache import cache

from contributions.merging import PullState
from contributions.models import Discussion
from hub.site import git_of
from hub.vcs import CommitInfo, FileDiff, Repository
from hub.vcs.errors import VcsError
from hub.vcs.values import Comparison

MAX_DIFF_FILES = 1_000
MAX_DIFF_CHARS = 5_000_000
"""A longer difference is cut, with a line that says so."""
CACHE_S = 24 * 3600


def merge_state(pull: Discussion) -> PullState:
    """What the rules of `contributions.merging` look at, by the refs as they are now."""
    git = git_of(pull.repo)
    base_sha, head_sha = _commit(git, pull.base_ref), _commit(git, pull.head_ref)
    if base_sha is None or head_sha is None:
        return PullState(pull.status, has_base=base_sha is not None, has_changes=False)
    has_changes = not git.contains(base_sha, head_sha)
    conflicts: Sequence[str] = ()
    if pull.is_under_way and has_changes:
        conflicts = _remembered(
            ["conflicts", base_sha, head_sha, pull.base_sha],
            lambda: git.conflicts(base_sha, head_sha, origin_sha=pull.base_sha),
        )
    return PullState(pull.status, True, has_changes, conflicts)


def changed_range(pull: Discussion) -> tuple[str, str]:
    """The two commits whose difference the pull request is: where it left its branch, and its head.

    Of a merged one, what it brought when it was merged.
    """
    if pull.merge_commit_sha:
        return pull.base_sha, pull.head_sha
    git = git_of(pull.repo)
    branch_sha = _commit(git, pull.base_ref) or pull.base_sha
    return git.merge_base(branch_sha, pull.head_sha) or pull.base_sha, pull.head_sha


def pull_files(pull: Discussion, *, max_files: int = MAX_DIFF_FILES) -> Comparison:
    """The first files that the pull request changes, and how many it changes in all.

    Behind the file with which the patches go beyond `MAX_DIFF_CHARS` no more is read.
    """
    old_sha, new_sha = changed_range(pull)
    return git_of(pull.repo).compare(
        old_sha, new_sha, max_files=max_files, max_chars=MAX_DIFF_CHARS
    )


def count_files(git: Repository, old_sha: str, new_sha: str) -> int:
    """How many files differ between two commits."""
    count: int = _remembered(
        ["n_files", old_sha, new_sha], lambda: git.compare(old_sha, new_sha, max_files=0).n_files
    )
    return count


def pull_commits(pull: Discussion, *, limit: int) -> list[CommitInfo]:
    """The commits that the pull request brings, newest first."""
    git = git_of(pull.repo)
    branch_sha = None if pull.merge_commit_sha else _commit(git, pull.base_ref)
    hidden = [sha for sha in (branch_sha, pull.base_sha) if sha]
    return list(islice(git.new_commits(pull.head_sha, hidden=hidden), limit))


def pull_diff(pull: Discussion) -> str:
    """The difference as one unified text; what is left out of a large one is said at its end."""
    changed = pull_files(pull)
    parts: list[str] = []
    size = 0
    for text in _patches(changed.files):
        size += len(text)
        if size > MAX_DIFF_CHARS:
            break
        parts.append(text)
    if len(parts) < changed.n_files:
        parts.append(
            f"# {changed.n_files - len(parts)} more files differ; there is no room here.\n"
        )
    return "".join(parts)


def _patches(files: Sequence[FileDiff]) -> Iterator[str]:
    """One text a file."""
    for file in files:
        yield _without_lines(file) if file.patch is None else file.patch


def _without_lines(file: FileDiff) -> str:
    old, new = f"a/{file.old_path or file.path}", f"b/{file.path}"
    before = "/dev/null" if file.status == "added" else old
    after = "/dev/null" if file.status == "deleted" else new
    kind = "Binary files" if file.is_binary else "Large files"
    return f"diff --git {old} {new}\n{kind} {before} and {after} differ\n"


def _commit(git: Repository, ref: str) -> str | None:
    try:
        return git.ref(ref)
    except VcsError:
        return None


def _remembered(key: list[str], find: Callable[[], Any]) -> Any:
    """Any: whatever `find` gives; it depends on the key alone."""
    digest = hashlib.sha256(" ".join(key).encode()).hexdigest()
    return cache.get_or_set(f"pulls:{digest}", find, CACHE_S)
