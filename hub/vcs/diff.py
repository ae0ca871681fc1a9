"""What changed between two commits, file by file, with limits on what is shown."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Literal, TypedDict

import pygit2
from pygit2.enums import DeltaStatus, DiffFind, FileMode

from hub.vcs.values import Comparison, FileDiff

MAX_DIFF_FILE_BYTES = 512 * 1024
"""Files above this size are listed without a patch."""
MAX_RENAME_FILES = 500
"""With more files than this renames are not looked for: it costs the square of the number."""
MAX_RENAME_BYTES = 16 * 1024 * 1024
"""With more to read than this only files of equal content count as renamed."""

_Status = Literal["added", "deleted", "modified", "renamed", "copied", "typechange"]
_STATUS: dict[DeltaStatus, _Status] = {
    DeltaStatus.ADDED: "added",
    DeltaStatus.DELETED: "deleted",
    DeltaStatus.MODIFIED: "modified",
    DeltaStatus.RENAMED: "renamed",
    DeltaStatus.COPIED: "copied",
    DeltaStatus.TYPECHANGE: "typechange",
}


class Bounds(TypedDict, total=False):
    """How much of a difference is read: `max_files` files after the first `skip`.

    No file is read once the patches before it have more than `max_chars` characters; a patch with
    more than `max_patch_chars` is left out.
    """

    skip: int
    max_files: int | None
    max_chars: int | None
    max_patch_chars: int | None


def compare_commits(
    repo: pygit2.Repository,
    old: pygit2.Commit | None,
    new: pygit2.Commit,
    *,
    skip: int = 0,
    max_files: int | None = None,
    max_chars: int | None = None,
    max_patch_chars: int | None = None,
) -> Comparison:
    """The files that differ; `old` None compares with nothing, as for a first commit."""
    diff = new.tree.diff_to_tree(swap=True) if old is None else old.tree.diff_to_tree(new.tree)
    if len(diff) <= MAX_RENAME_FILES:
        diff.find_similar(flags=_rename_flags(repo, diff))
    n_files = len(diff)
    stop = n_files if max_files is None else min(skip + max_files, n_files)
    files = _describe_all(repo, diff, skip, stop)
    if max_patch_chars is not None:
        files = (_shortened(file, max_patch_chars) for file in files)
    return Comparison(tuple(files if max_chars is None else _first(files, max_chars)), n_files)


def _rename_flags(repo: pygit2.Repository, diff: pygit2.Diff) -> DiffFind:
    """How renames are to be looked for; to find similar files git reads all that came or went."""
    moved = (DeltaStatus.ADDED, DeltaStatus.DELETED)
    size_bytes = sum(
        _largest_side_bytes(repo, delta) for delta in diff.deltas if delta.status in moved
    )
    if size_bytes > MAX_RENAME_BYTES:
        return DiffFind.FIND_RENAMES | DiffFind.FIND_EXACT_MATCH_ONLY
    return DiffFind.FIND_RENAMES


def _first(files: Iterable[FileDiff], max_chars: int) -> Iterator[FileDiff]:
    """The files up to the one whose patch goes beyond `max_chars` of all patches together."""
    left_chars = max_chars
    for file in files:
        yield file
        left_chars -= len(file.patch or "")
        if left_chars < 0:
            return


def _shortened(file: FileDiff, max_chars: int) -> FileDiff:
    """The file without a patch that is longer than that, so that few long ones are held at once."""
    is_long = len(file.patch or "") > max_chars
    return replace(file, patch=None, too_large=True) if is_long else file


def _describe_all(
    repo: pygit2.Repository, diff: pygit2.Diff, start: int, stop: int
) -> Iterator[FileDiff]:
    for index, delta in islice(enumerate(diff.deltas), start, stop):
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
