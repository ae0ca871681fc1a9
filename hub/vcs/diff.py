"""What changed between two commits, file by file, with limits on what is shown."""

from collections.abc import Iterator
from typing import Literal

import pygit2
from pygit2.enums import DeltaStatus, DiffFind, FileMode

from hub.vcs.values import FileDiff

MAX_DIFF_FILE_BYTES = 512 * 1024
"""Files above this size are listed without a patch."""
MAX_RENAME_FILES = 500
"""With more files than this renames are not looked for: it costs the square of the number."""

_Status = Literal["added", "deleted", "modified", "renamed", "copied", "typechange"]
_STATUS: dict[DeltaStatus, _Status] = {
    DeltaStatus.ADDED: "added",
    DeltaStatus.DELETED: "deleted",
    DeltaStatus.MODIFIED: "modified",
    DeltaStatus.RENAMED: "renamed",
    DeltaStatus.COPIED: "copied",
    DeltaStatus.TYPECHANGE: "typechange",
}


def diff_commits(
    repo: pygit2.Repository, old: pygit2.Commit | None, new: pygit2.Commit, *, max_files: int | None
) -> list[FileDiff]:
    """The files that differ; `old` None compares with nothing, as for a first commit."""
    diff = new.tree.diff_to_tree(swap=True) if old is None else old.tree.diff_to_tree(new.tree)
    if len(diff) <= MAX_RENAME_FILES:
        diff.find_similar(flags=DiffFind.FIND_RENAMES)
    return list(_describe_all(repo, diff, len(diff) if max_files is None else max_files))


def _describe_all(repo: pygit2.Repository, diff: pygit2.Diff, max_files: int) -> Iterator[FileDiff]:
    for index, delta in enumerate(diff.deltas):
        if index >= max_files:
            return
        if _largest_side_bytes(repo, delta) > MAX_DIFF_FILE_BYTES:
            yield _without_patch(delta, is_binary=False, too_large=True)
        else:
            yield _with_patch(delta, diff[index])


def _largest_side_bytes(repo: pygit2.Repository, delta: pygit2.DiffDelta) -> int:
    sides = [
        side.id
        for side in (delta.old_file, delta.new_file)
        if side.id.raw != bytes(20) and side.mode != FileMode.COMMIT
    ]
    return max((repo.odb.read_header(oid)[1] for oid in sides), default=0)


def _with_patch(delta: pygit2.DiffDelta, patch: pygit2.Patch | None) -> FileDiff:
    if patch is None or patch.delta.is_binary:
        return _without_patch(delta, is_binary=patch is not None, too_large=False)
    _, additions, deletions = patch.line_stats
    return FileDiff(
        path=_path(delta.new_file) or _path(delta.old_file),
        old_path=_old_path(delta),
        status=_STATUS.get(delta.status, "modified"),
        additions=additions,
        deletions=deletions,
        patch=patch.data.decode("utf-8", "replace"),
        is_binary=False,
        too_large=False,
    )


def _without_patch(delta: pygit2.DiffDelta, *, is_binary: bool, too_large: bool) -> FileDiff:
    return FileDiff(
        path=_path(delta.new_file) or _path(delta.old_file),
        old_path=_old_path(delta),
        status=_STATUS.get(delta.status, "modified"),
        additions=None,
        deletions=None,
        patch=None,
        is_binary=is_binary,
        too_large=too_large,
    )


def _path(side: pygit2.DiffFile) -> str:
    return (side.raw_path or b"").decode("utf-8", "replace")


def _old_path(delta: pygit2.DiffDelta) -> str | None:
    old = _path(delta.old_file)
    return old if old != _path(delta.new_file) else None
