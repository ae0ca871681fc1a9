"""Looking at commits that have just arrived, file by file, before any ref leads to them.

What is visited is what the commits change: a folder that a parent has too is not looked into, for
the parent is either in the repository or looked at itself. So the cost follows the push, and all
that the new commits need is known to be there.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import ObjectType

from hub.lfs.pointer import POINTER_MAX_BYTES, LfsPointer, parse_pointer
from hub.vcs.edits import validate_content
from hub.vcs.errors import InvalidContent, InvalidPath, PackRefused
from hub.vcs.history import LAST_MOMENT_S
from hub.vcs.names import validate_path
from hub.vcs.quarantine import NOT_HERE
from hub.vcs.rawtree import EXECUTABLE, FILE, SUBMODULE, Row, read_rows

MAX_TREE_BYTES = 16 * 1024**2
MAX_COMMIT_BYTES = 1024**2
_KEPT_ROWS = 200_000
MAX_FAULTS = 10
"""So many faults are told; the rest of the push is not looked at."""


@dataclass(frozen=True, slots=True)
class IncomingLimits:
    """What a push may hold; `entries` bounds the changed files and folders of all its commits."""

    file_bytes: int
    entries: int
    deadline: float


@dataclass(slots=True)
class Findings:
    """What was found: large files that the commits name, each with one path, and faults."""

    pointers: dict[LfsPointer, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def inspect(
    repo: pygit2.Repository, arrived: pygit2.Odb, tips: Iterable[str], limits: IncomingLimits
) -> Findings:
    """What is to be known of the commits and tags that `tips` add to the repository.

    Args:
        repo: the repository, with what has arrived visible.
        arrived: what has arrived, alone.

    Raises:
        PackRefused: something is missing, oversized, or belongs to nothing that was pushed.
    """
    _check_sizes(arrived)
    inspector = _Inspector(repo, limits)
    try:
        for tip in tips:
            inspector.take_tip(tip)
        inspector.take_commits()
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise PackRefused(NOT_HERE) from error
    except _Enough:
        return inspector.findings
    if not inspector.findings.faults:
        _check_no_strays(repo, arrived, inspector.seen)
    return inspector.findings


class _Enough(Exception):
    """So many faults that looking further helps nobody."""


@dataclass(slots=True)
class _Walk:
    """A folder that was walked whole: how long and deep the path to it was, and what it holds."""

    prefix_bytes: int
    levels: int
    entries: int = 0

    def covers(self, other: _Walk) -> bool:
        """Whether what is right about the paths here is right at the other place too."""
        return self.prefix_bytes >= other.prefix_bytes and self.levels >= other.levels


class _Inspector:
    def __init__(self, repo: pygit2.Repository, limits: IncomingLimits) -> None:
        self._repo = repo
        self._limits = limits
        self._folders = _Folders(repo)
        self._entries = 0
        self._walked: dict[bytes, _Walk] = {}
        self._tips: list[pygit2.Oid] = []
        self.seen: set[bytes] = set()
        self.findings = Findings()

    def take_tip(self, sha: str) -> None:
        """Note where a ref will lead: to a commit, through an annotated tag if it is one."""
        item = self._repo[sha]
        while isinstance(item, pygit2.Tag):
            self.seen.add(item.id.raw)
            item = self._repo[item.target]
        if not isinstance(item, pygit2.Commit):
            self._fault(f"{sha} leads to no commit")
        else:
            self._tips.append(item.id)

    def take_commits(self) -> None:
        """Look at every commit that no ref leads to so far."""
        for commit in self._new_commits():
            self.seen.add(commit.id.raw)
            if max(commit.author.time, commit.commit_time) > LAST_MOMENT_S:
                self._fault(f"{commit.id}: no calendar has its date")
            old = commit.parents[0].tree_id.raw if commit.parent_ids else None
            for parent in commit.parent_ids[1:]:
                self._repo[parent]
            self._take_folder(old, commit.tree_id.raw, "")

    def _new_commits(self) -> Iterator[pygit2.Commit]:
        walker = self._repo.walk(None)
        for tip in self._tips:
            walker.push(tip)
        for name in self._repo.references:
            target = self._repo.references[name].peel()
            if isinstance(target, pygit2.Commit):
                walker.hide(target.id)
        yield from walker

    def _take_folder(self, old: bytes | None, new: bytes, prefix: str) -> None:
        """Look at what a folder has that its predecessor has not.

        The same folder at many places is walked once, and counted every time: a few small objects
        can stand for more files than there are atoms.
        """
        self.seen.add(new)
        here, known = _Walk(_bytes_in(prefix), prefix.count("/")), self._walked.get(new)
        if known and known.covers(here):
            self._count(known.entries)
            return
        start = self._entries
        before = self._folders.rows(old) if old else {}
        for name, row in self._folders.rows(new).items():
            old_row = before.get(name)
            if row != old_row:
                self._take_row(old_row.oid if old_row and old_row.is_folder else None, row, prefix)
        if old is None:
            here.entries = self._entries - start
            self._walked[new] = here

    def _count(self, entries: int) -> None:
        self._entries += entries
        if self._entries > self._limits.entries:
            raise PackRefused(f"more than {self._limits.entries} files change; push in steps")
        if time.monotonic() > self._limits.deadline:
            raise PackRefused("looking at them takes too long; push in steps")

    def _take_row(self, old_tree: bytes | None, row: Row, prefix: str) -> None:
        self._count(1)
        path = prefix + row.name.decode("utf-8", "surrogateescape")
        if not self._is_path_fine(path):
            return
        if row.is_folder:
            self._take_folder(old_tree, row.oid, path + "/")
        elif row.mode == SUBMODULE:
            self._fault(f"{_shown(path)}: submodules are not supported")
        elif row.mode not in (FILE, EXECUTABLE):
            self._fault(f"{_shown(path)}: only files and folders are supported, no links")
        else:
            self._take_file(path, row.oid)

    def _is_path_fine(self, path: str) -> bool:
        try:
            validate_path(path)
        except InvalidPath as error:
            self._fault(f"{_shown(path)}: {error.message}")
            return False
        return True

    def _take_file(self, path: str, raw_oid: bytes) -> None:
        self.seen.add(raw_oid)
        oid = pygit2.Oid(raw=raw_oid)
        kind, size_bytes = self._repo.odb.read_header(oid)
        if kind != ObjectType.BLOB:
            self._fault(f"{_shown(path)}: this is no file")
        elif size_bytes > self._limits.file_bytes:
            self._fault(
                f"{_shown(path)} has {size_bytes} bytes; files above {self._limits.file_bytes} go "
                f'through git-lfs: git lfs migrate import --include="{_shown(path)}"'
            )
        elif size_bytes <= POINTER_MAX_BYTES or path.endswith(".gitattributes"):
            self._take_content(path, self._repo.odb.read(oid)[1])

    def _take_content(self, path: str, data: bytes) -> None:
        pointer = parse_pointer(data)
        if pointer is not None:
            self.findings.pointers.setdefault(pointer, path)
        try:
            validate_content(path, data)
        except InvalidContent as error:
            self._fault(error.message)

    def _fault(self, text: str) -> None:
        self.findings.faults.append(text)
        if len(self.findings.faults) >= MAX_FAULTS:
            raise _Enough


class _Folders:
    """Rows of trees by name; the last ones are kept, for the next commit compares with them.

    Rows are read from the first to the last: what looks for a boundary in the middle, as the
    comparison for histories does, could be led astray by names and ids made for it.
    """

    def __init__(self, repo: pygit2.Repository) -> None:
        self._repo = repo
        self._kept: OrderedDict[bytes, dict[bytes, Row]] = OrderedDict()
        self._kept_rows = 0

    def rows(self, oid: bytes) -> dict[bytes, Row]:
        found = self._kept.get(oid)
        if found is None:
            found = self._kept[oid] = {row.name: row for row in read_rows(self._repo, oid)}
            self._kept_rows += len(found)
            while self._kept_rows > _KEPT_ROWS and len(self._kept) > 1:
                self._kept_rows -= len(self._kept.popitem(last=False)[1])
        else:
            self._kept.move_to_end(oid)
        return found


def _check_sizes(arrived: pygit2.Odb) -> None:
    """Commits, tags and trees are read whole, so none may be huge."""
    most = {ObjectType.COMMIT: MAX_COMMIT_BYTES, ObjectType.TAG: MAX_COMMIT_BYTES}
    most[ObjectType.TREE] = MAX_TREE_BYTES
    for oid in arrived:
        kind, size_bytes = arrived.read_header(oid)
        if size_bytes > most.get(kind, size_bytes):
            raise PackRefused(f"the {kind.name.lower()} {oid} has {size_bytes} bytes")


def _check_no_strays(repo: pygit2.Repository, arrived: pygit2.Odb, seen: set[bytes]) -> None:
    """What nobody looked at must be nothing new: git sends only what the pushed refs lead to."""
    known = pygit2.Odb(f"{repo.path}objects")
    for oid in arrived:
        if oid.raw not in seen and not known.exists(oid):
            raise PackRefused(f"{oid} was sent, and none of the pushed refs leads to it")


def _shown(path: str) -> str:
    text = path.encode("utf-8", "replace").decode()[:200]
    return "".join(char if char.isprintable() else "?" for char in text)


def _bytes_in(path: str) -> int:
    return len(path.encode("utf-8", "surrogateescape"))
