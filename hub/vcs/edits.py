"""Applying operations to a tree in memory and writing the trees that changed."""

from dataclasses import dataclass

import pygit2
from pygit2.enums import ObjectType

from hub.lfs.pointer import format_pointer
from hub.vcs.errors import EntryNotFound, InvalidContent, PathConflict
from hub.vcs.names import validate_path
from hub.vcs.operations import (
    AddFile,
    AddPointer,
    CopyFile,
    DeleteFile,
    DeleteFolder,
    Operation,
)
from hub.vcs.pack import ObjectBatch
from hub.vcs.rawtree import EXECUTABLE, FILE, find_row, read_rows

_MAX_ATTRIBUTES_LINE_BYTES = 2048


@dataclass(frozen=True, slots=True)
class _Leaf:
    mode: bytes
    oid: bytes


class _Folder:
    """A tree that is read when first looked into, and written only if it was changed."""

    __slots__ = ("_children", "_repo", "oid")

    def __init__(self, repo: pygit2.Repository, oid: bytes | None) -> None:
        self._repo = repo
        self.oid = oid
        self._children: dict[bytes, _Leaf | _Folder] | None = {} if oid is None else None

    @property
    def children(self) -> "dict[bytes, _Leaf | _Folder]":
        if self._children is None:
            assert self.oid is not None
            self._children = {
                row.name: _Folder(self._repo, row.oid)
                if row.is_folder
                else _Leaf(row.mode, row.oid)
                for row in read_rows(self._repo, self.oid)
            }
        return self._children

    def set(self, name: bytes, child: "_Leaf | _Folder") -> None:
        self.children[name] = child
        self.oid = None

    def remove(self, name: bytes) -> None:
        del self.children[name]
        self.oid = None

    def touch(self) -> None:
        """Read the children, then forget the stored id, because something below will change."""
        _ = self.children
        self.oid = None

    def write(self, batch: ObjectBatch) -> bytes | None:
        """The id of the tree with everything below it; None when nothing is left in it."""
        if self.oid is not None:
            return self.oid
        rows: list[tuple[bytes, bytes]] = []
        for name, child in self.children.items():
            if isinstance(child, _Leaf):
                rows.append((name, b"%s %s\0%s" % (child.mode, name, child.oid)))
            elif (oid := child.write(batch)) is not None:
                rows.append((name + b"/", b"40000 %s\0%s" % (name, oid)))
        if not rows:
            return None
        self.oid = batch.add(ObjectType.TREE, b"".join(row for _, row in sorted(rows)))
        return self.oid


class TreeEditor:
    """Takes a tree through a list of operations, in their order."""

    def __init__(self, repo: pygit2.Repository, batch: ObjectBatch, tree_oid: bytes | None) -> None:
        self._repo = repo
        self._batch = batch
        self._root = _Folder(repo, tree_oid)

    def apply(self, operation: Operation) -> None:
        """Make one change.

        Raises:
            InvalidPath, InvalidContent, PathConflict, EntryNotFound: what the operation asks
                for cannot be done.
        """
        match operation:
            case AddFile(path, content):
                validate_content(path, content)
                self._put_blob(path, content)
            case AddPointer(path, oid, size_bytes):
                self._put_blob(path, format_pointer(oid, size_bytes))
            case CopyFile(path, source_path, source_sha):
                self._put(path, self._source(source_path, source_sha))
            case DeleteFile(path):
                self._delete(path.removesuffix("/"), folder_only=False)
            case DeleteFolder(path):
                self._delete(path.removesuffix("/"), folder_only=True)

    def write(self) -> bytes:
        """The id of the resulting root tree, added to the batch with all it needs."""
        return self._root.write(self._batch) or self._batch.add(ObjectType.TREE, b"")

    def _put_blob(self, path: str, content: bytes) -> None:
        validate_path(path)
        self._put(path, _Leaf(FILE, self._batch.add(ObjectType.BLOB, content)))

    def _put(self, path: str, leaf: _Leaf) -> None:
        *folders, name = validate_path(path).encode("utf-8").split(b"/")
        folder = self._root
        for part in folders:
            folder = self._open_or_make(folder, part, path)
        present = folder.children.get(name)
        if isinstance(present, _Folder) and not _is_empty(present):
            raise PathConflict(path, "there is a folder of that name")
        if isinstance(present, _Leaf) and present.mode == EXECUTABLE:
            leaf = _Leaf(present.mode, leaf.oid)
        folder.set(name, leaf)

    def _open_or_make(self, folder: _Folder, name: bytes, path: str) -> _Folder:
        child = folder.children.get(name)
        if isinstance(child, _Leaf):
            raise PathConflict(path, f"{name.decode('utf-8', 'replace')} is a file, not a folder")
        if child is None:
            child = _Folder(self._repo, None)
        child.touch()
        folder.set(name, child)
        return child

    def _source(self, path: str, commit_sha: str) -> _Leaf:
        try:
            tree_oid = self._repo[commit_sha].peel(pygit2.Commit).tree_id.raw
        except (KeyError, ValueError, pygit2.GitError):
            raise EntryNotFound(path, commit_sha) from None
        row = find_row(self._repo, tree_oid, path)
        if row is None or row.mode not in (FILE, EXECUTABLE):
            raise EntryNotFound(path, commit_sha)
        return _Leaf(row.mode, row.oid)

    def _delete(self, path: str, *, folder_only: bool) -> None:
        *folders, name = validate_path(path).encode("utf-8").split(b"/")
        trail = [self._root]
        for part in folders:
            child = trail[-1].children.get(part)
            if not isinstance(child, _Folder):
                raise EntryNotFound(path)
            trail.append(child)
        present = trail[-1].children.get(name)
        if present is None or (folder_only and isinstance(present, _Leaf)) or _is_empty(present):
            raise EntryNotFound(path)
        for folder in trail:
            folder.touch()
        trail[-1].remove(name)


def _is_empty(child: _Leaf | _Folder) -> bool:
    """Whether nothing but emptied folders is left below."""
    return isinstance(child, _Folder) and all(_is_empty(below) for below in child.children.values())


def validate_content(path: str, content: bytes) -> None:
    """Raises `InvalidContent` where git would refuse a file of that name with this content."""
    if path.rsplit("/", 1)[-1] != ".gitattributes":
        return
    if any(len(line) >= _MAX_ATTRIBUTES_LINE_BYTES for line in content.split(b"\n")):
        raise InvalidContent(path, f"a line is longer than {_MAX_ATTRIBUTES_LINE_BYTES - 1} bytes")
