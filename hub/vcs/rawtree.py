"""Git tree objects as rows: read in one pass, without an object for each row.

Source: git tree format, `<octal mode> <name>\\0<20 byte id>` repeated, sorted as if the name of a
folder ended with a slash.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import pygit2
from pygit2.enums import ObjectType

FILE = b"100644"
EXECUTABLE = b"100755"
FOLDER = b"40000"
SUBMODULE = b"160000"
EMPTY_TREE = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

_ROW = re.compile(rb"0*([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_MAX_ROW_BYTES = 8192
"""No row is longer: mode, the longest name a system can check out, and the id."""


class Row(NamedTuple):
    """One entry of a tree; `mode` is octal text without leading zeros, `oid` 20 bytes."""

    mode: bytes
    name: bytes
    oid: bytes

    @property
    def is_folder(self) -> bool:
        return self.mode == FOLDER

    @property
    def sort_key(self) -> bytes:
        return self.name + b"/" if self.mode == FOLDER else self.name


def read_rows(repo: pygit2.Repository, oid: bytes) -> list[Row]:
    """The rows of the tree, in git's order.

    Raises:
        KeyError: there is no such tree.
    """
    return list(iter_rows(repo, oid))


def iter_rows(repo: pygit2.Repository, oid: bytes) -> Iterator[Row]:
    """As `read_rows`, parsed as they are asked for: a first page costs what it holds."""
    if oid == EMPTY_TREE:
        return
    kind, data = repo.odb.read(pygit2.Oid(raw=oid))
    if kind != ObjectType.TREE:
        raise KeyError(oid.hex())
    for match in _ROW.finditer(data):
        yield Row(*match.groups())


class PathFinder:
    """Looks up many paths below one tree and keeps the folders it has opened."""

    def __init__(self, repo: pygit2.Repository, tree_oid: bytes, *, remembered: int = 64) -> None:
        self._repo = repo
        self._root = tree_oid
        self._remembered = remembered
        self._open: OrderedDict[str, pygit2.Tree | None] = OrderedDict()

    def find(self, path: str) -> Row | None:
        """The row at the path; None when there is nothing."""
        folder, _, name = path.rpartition("/")
        tree = self._folder(folder)
        try:
            item = tree[name] if tree is not None and name else None
        except (KeyError, ValueError, TypeError):  # a name that is not UTF-8 is a TypeError
            return None
        if item is None:
            return None
        return Row(b"%o" % int(item.filemode), item.raw_name or b"", item.id.raw)

    def _folder(self, folder: str) -> pygit2.Tree | None:
        if folder not in self._open:
            self._open[folder] = self._read(folder)
            if len(self._open) > self._remembered:
                self._open.popitem(last=False)
        return self._open[folder]

    def _read(self, folder: str) -> pygit2.Tree | None:
        try:
            root = self._repo[pygit2.Oid(raw=self._root)].peel(pygit2.Tree)
            item = root[folder] if folder else root
        except (KeyError, ValueError, TypeError, pygit2.GitError):
            return None
        return item if isinstance(item, pygit2.Tree) else None


def find_row(repo: pygit2.Repository, tree_oid: bytes, path: str) -> Row | None:
    """The row at a path below the tree; None when there is nothing."""
    return PathFinder(repo, tree_oid).find(path)


def find_folder(repo: pygit2.Repository, tree_oid: bytes, path: str) -> bytes | None:
    """The id of the tree at a path, the tree itself for the empty path; None if no folder."""
    if not path:
        return tree_oid
    row = find_row(repo, tree_oid, path)
    return row.oid if row is not None and row.is_folder else None


Change = tuple[Row | None, Row | None]


class TreeComparer:
    """Tells which names differ between two trees, looking only at the stretch that differs.

    Versions of a folder mostly share a long head and tail. Those are found by comparing memory,
    and rows are parsed only in between, which keeps a walk over the history of a folder of many
    thousand files fast.
    """

    def __init__(self, repo: pygit2.Repository, *, remembered: int = 16) -> None:
        self._repo = repo
        self._remembered = remembered
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()

    def changed(self, old: bytes | None, new: bytes | None) -> dict[bytes, Change]:
        """The rows that differ, by name, as (old, new)."""
        if old == new:
            return {}
        old_data, new_data = self._data(old), self._data(new)
        head = max(0, _common_head(old_data, new_data) - _MAX_ROW_BYTES)
        tail = max(0, _common_tail(old_data, new_data) - _MAX_ROW_BYTES)
        old_rows = _rows_between(old_data, head, len(old_data) - tail)
        new_rows = _rows_between(new_data, head, len(new_data) - tail)
        return {
            name: (old_rows.get(name), new_rows.get(name))
            for name in old_rows.keys() | new_rows.keys()
            if old_rows.get(name) != new_rows.get(name)
        }

    def changed_below(
        self, old: bytes | None, new: bytes | None, folder: str
    ) -> dict[bytes, Change]:
        """As `changed`, for the folder at a path below both trees."""
        for part in folder.split("/") if folder else ():
            name = part.encode("utf-8", "surrogatepass")
            change = self.changed(old, new).get(name)
            if change is None:
                return {}
            old, new = (row.oid if row and row.is_folder else None for row in change)
        return self.changed(old, new)

    def _data(self, oid: bytes | None) -> bytes:
        if oid is None or oid == EMPTY_TREE:
            return b""
        data = self._cache.get(oid)
        if data is None:
            data = self._cache[oid] = self._repo.odb.read(pygit2.Oid(raw=oid))[1]
            if len(self._cache) > self._remembered:
                self._cache.popitem(last=False)
        return data


def _rows_between(data: bytes, start: int, end: int) -> dict[bytes, Row]:
    return {match[2]: Row(*match.groups()) for match in _ROW.finditer(data, start, end)}


def _common_head(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_tail(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        same = (
            one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]
        )
        low, high = (middle, high) if same else (low, middle - 1)
    return low
