"""Reading trees: listings that are lazy, start anywhere, and tell LFS pointers from content."""

from collections.abc import Iterable, Iterator

import pygit2

from hub.lfs.pointer import POINTER_MAX_BYTES, LfsPointer, parse_pointer
from hub.vcs.rawtree import SUBMODULE, Change, Row, TreeComparer, iter_rows, read_rows
from hub.vcs.values import TreeEntry


def walk_tree(
    repo: pygit2.Repository,
    tree_oid: bytes,
    prefix: str,
    *,
    recursive: bool,
    after: list[str],
) -> Iterator[TreeEntry]:
    """Entries below the tree in git's order, a folder before what it holds.

    Args:
        prefix: path of the tree with a final slash, or empty.
        after: segments, below the tree, of the last path already seen; empty to start at the top.
    """
    rows: Iterable[Row] = iter_rows(repo, tree_oid)
    seen = b""
    if after:
        rows = read_rows(repo, tree_oid)
        seen = _seen_key(rows, after[0])
    for row in rows:
        path = prefix + row.name.decode("utf-8", "replace")
        if row.sort_key < seen:
            continue
        is_seen = row.sort_key == seen
        if not is_seen and (entry := describe(repo, row, path)) is not None:
            yield entry
        if recursive and row.is_folder:
            below = after[1:] if is_seen else []
            yield from walk_tree(repo, row.oid, path + "/", recursive=True, after=below)


def describe(repo: pygit2.Repository, row: Row, path: str) -> TreeEntry | None:
    """The entry for one row; None for what is neither file nor folder (a submodule).

    Only the header of a large blob is read; a small one is read to see whether it is a pointer.
    """
    if row.is_folder:
        return TreeEntry(path, "directory", row.oid.hex(), 0)
    if row.mode == SUBMODULE:
        return None
    oid = pygit2.Oid(raw=row.oid)
    size_bytes = repo.odb.read_header(oid)[1]
    pointer = _pointer(repo, oid, size_bytes)
    if pointer is None:
        return TreeEntry(path, "file", row.oid.hex(), size_bytes)
    return TreeEntry(path, "file", row.oid.hex(), pointer.size_bytes, pointer, size_bytes)


def size_change(comparer: TreeComparer, repo: pygit2.Repository, change: Change) -> int:
    """By how many bytes the files at or below a row have grown, true sizes counted.

    Folders that stayed the same are not looked into.
    """
    old, new = change
    grown = _file_size(repo, new) - _file_size(repo, old)
    folders = [row.oid if row and row.is_folder else None for row in change]
    below = comparer.changed(*folders).values()
    return grown + sum(size_change(comparer, repo, inner) for inner in below)


def _file_size(repo: pygit2.Repository, row: Row | None) -> int:
    entry = describe(repo, row, "") if row else None
    return entry.size_bytes if entry else 0


def _pointer(repo: pygit2.Repository, oid: pygit2.Oid, size_bytes: int) -> LfsPointer | None:
    if size_bytes > POINTER_MAX_BYTES:
        return None
    return parse_pointer(repo.odb.read(oid)[1])


def _seen_key(rows: list[Row], name: str) -> bytes:
    wanted = name.encode("utf-8", "surrogatepass")
    return next((row.sort_key for row in rows if row.name == wanted), wanted)
