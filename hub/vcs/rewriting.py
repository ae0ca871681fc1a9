"""Taking large files out of all history: every commit that named one is made anew without it.

Authors, dates and messages stay; signatures of changed commits and tags go, as they would be false.
"""

import contextlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType, SortMode

from hub.vcs.pack import ObjectBatch, no_space_as_domain_error, sync_folder
from hub.vcs.rawtree import EMPTY_TREE, SUBMODULE, Row, read_rows
from hub.vcs.references import heads, unreadable_as_domain_error
from hub.vcs.trees import describe

_NOTE = "modelguild.rewrite"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What each ref whose history changes names and is to name, and commits by their old ids."""

    moves: dict[str, tuple[str, str]]
    commits: dict[str, str]

    def after(self, earlier: "Rewrite | None") -> "Rewrite":
        """This one, done on top of another that not everybody has followed yet."""
        if earlier is None:
            return self
        through = {old: self.commits.get(new, new) for old, new in earlier.commits.items()}
        return Rewrite(self.moves, through | self.commits)


def without_large_files(repo: pygit2.Repository, oids: Collection[str]) -> Rewrite:
    """Writes the history of all refs without the pointers to `oids`; no ref is moved.

    Raises:
        RepositoryDamaged: not all of it can be read; nothing is claimed to be gone.
    """
    batch = ObjectBatch(repo)
    rewriter = _Rewriter(repo, batch, frozenset(oids))
    targets = {name: repo.references[name].raw_target for name in repo.references}
    ids = {name: oid for name, oid in targets.items() if isinstance(oid, pygit2.Oid)}
    with unreadable_as_domain_error():
        rewriter.rewrite_commits(heads(repo))
    moves = {}
    for name, oid in ids.items():
        new = rewriter.target(oid)
        if new != oid.raw:
            moves[name] = (str(oid), new.hex())
    batch.write()
    return Rewrite(moves, rewriter.changed_commits())


def note(folder: Path, rewrite: Rewrite) -> None:
    """Keeps it in the repository's folder, whole or not at all."""
    temporary = folder / f"{_NOTE}.new"
    with no_space_as_domain_error():
        with temporary.open("w", encoding="ascii") as file:
            json.dump(asdict(rewrite), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / _NOTE)
        sync_folder(folder)


def noted(folder: Path) -> Rewrite | None:
    """What `note` kept; None where all is done."""
    try:
        kept = json.loads((folder / _NOTE).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    return Rewrite(
        {name: (old, new) for name, (old, new) in kept["moves"].items()}, kept["commits"]
    )


def forget(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (folder / _NOTE).unlink()


class _Rewriter:
    def __init__(
        self, repo: pygit2.Repository, batch: ObjectBatch, unwanted: frozenset[str]
    ) -> None:
        self._repo = repo
        self._batch = batch
        self._unwanted = unwanted
        self._trees: dict[bytes, bytes | None] = {}
        self._is_unwanted: dict[bytes, bool] = {}
        self._commits: dict[bytes, bytes] = {}

    def rewrite_commits(self, starts: list[pygit2.Oid]) -> None:
        """All commits that lead to `starts`, parents first."""
        if not starts:
            return
        walker = self._repo.walk(starts[0], SortMode.TOPOLOGICAL | SortMode.REVERSE)
        for head in starts[1:]:
            walker.push(head)
        for commit in walker:
            self._commits[commit.id.raw] = self._rewritten(commit)

    def changed_commits(self) -> dict[str, str]:
        """Commits that were made anew, by their old ids."""
        return {old.hex(): new.hex() for old, new in self._commits.items() if old != new}

    def target(self, oid: pygit2.Oid) -> bytes:
        """What stands in for the commit or annotated tag `oid`."""
        if oid.raw in self._commits:
            return self._commits[oid.raw]
        kind, data = self._repo.odb.read(oid)
        if kind != ObjectType.TAG:
            return oid.raw
        head, _, rest = data.partition(b"\n")
        old = pygit2.Oid(hex=head.removeprefix(b"object ").decode())
        new = self.target(old)
        if new == old.raw:
            return oid.raw
        text = b"object " + new.hex().encode() + b"\n" + rest.partition(b"-----BEGIN PGP")[0]
        return self._batch.add(ObjectType.TAG, text)

    def _rewritten(self, commit: pygit2.Commit) -> bytes:
        tree = self._tree(commit.tree_id.raw) or self._batch.add(ObjectType.TREE, b"")
        parents = [self._commits[oid.raw] for oid in commit.parent_ids]
        if tree == commit.tree_id.raw and parents == [oid.raw for oid in commit.parent_ids]:
            return commit.id.raw
        data: bytes = self._repo.odb.read(commit.id)[1]
        headers, _, message = data.partition(b"\n\n")
        kept = _identity_lines(headers)
        lines = [b"tree " + tree.hex().encode()]
        lines += [b"parent " + parent.hex().encode() for parent in parents]
        return self._batch.add(ObjectType.COMMIT, b"\n".join([*lines, *kept]) + b"\n\n" + message)

    def _tree(self, oid: bytes) -> bytes | None:
        """The tree without unwanted files; None where nothing is left of it."""
        if oid == EMPTY_TREE:
            return oid
        if oid not in self._trees:
            rows = read_rows(self._repo, oid)
            kept = [new for row in rows if (new := self._row(row)) is not None]
            self._trees[oid] = oid if kept == rows else self._written(kept)
        return self._trees[oid]

    def _written(self, rows: list[Row]) -> bytes | None:
        if not rows:
            return None
        data = b"".join(b"%s %s\0%s" % (row.mode, row.name, row.oid) for row in rows)
        return self._batch.add(ObjectType.TREE, data)

    def _row(self, row: Row) -> Row | None:
        if row.is_folder:
            oid = self._tree(row.oid)
            return None if oid is None else row._replace(oid=oid)
        if row.mode == SUBMODULE:
            return row
        if row.oid not in self._is_unwanted:
            entry = describe(self._repo, row, "")
            is_large = entry is not None and entry.lfs is not None
            self._is_unwanted[row.oid] = is_large and entry.lfs.oid in self._unwanted  # type: ignore[union-attr]
        return None if self._is_unwanted[row.oid] else row


def _identity_lines(headers: bytes) -> list[bytes]:
    """Author, committer and encoding of a commit."""
    names = (b"author ", b"committer ", b"encoding ")
    return [line for line in headers.split(b"\n") if line.startswith(names)]
