"""Xorbs of an encoder made into xorbs of ours: chunks that are here already are left out.

No database here. What the encoder wrote is parsed and verified like an upload; its chunk records
are copied as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from hub.xet.errors import FormatError
from hub.xet.hashing import file_hash, format_hash, merkle_root, range_hash
from hub.xet.index import MAX_CHUNKS, XorbIndex
from hub.xet.shard import ShardFile, parse_shard
from hub.xet.terms import Term, TermList
from hub.xet.xorb import XorbVerifier

MAX_UNPACKED_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1 << 20


class Place(NamedTuple):
    """A chunk of a stored xorb."""

    xorb_hash: bytes
    chunk: int


class _Chunk(NamedTuple):
    raw: bytes
    length_bytes: int
    source: Path
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder made of one file."""

    file: ShardFile
    paths: dict[bytes, Path]
    indexes: dict[bytes, XorbIndex]

    def chunks(self) -> Iterator[_Chunk]:
        """The chunks of the file in order, with where their records lie."""
        for term in self.file.terms:
            index, path = self.indexes[term.xorb_hash], self.paths[term.xorb_hash]
            lengths = index.lengths(term.chunk_start, term.chunk_end)
            for at, length in enumerate(lengths, term.chunk_start):
                yield _Chunk(index.hash_at(at), length, path, *index.byte_range(at, at + 1))


def read_encoded(folder: Path) -> Encoded:
    """Parse and verify what an encoder wrote below `folder`.

    Raises:
        FormatError: it is not the shard and the xorbs of exactly one file.
    """
    shards = [parse_shard(path.read_bytes()) for path in sorted(folder.rglob("*.mdb"))]
    files = {file.file_hash: file for shard in shards for file in shard.files}
    if len(files) != 1:
        raise FormatError("bad_encoding", f"The encoder described {len(files)} files, not one.")
    [file] = files.values()
    names = {format_hash(raw): raw for raw in file.terms.xorb_hashes()}
    found = ((path.name.removeprefix("default."), path) for path in folder.rglob("default.*"))
    paths = {names[name]: path for name, path in found if name in names}
    if len(paths) != len(names):
        raise FormatError("bad_encoding", "The encoder left out a xorb.")
    return Encoded(file, paths, {raw: _verify(path, raw) for raw, path in paths.items()})


def _verify(path: Path, xorb_hash: bytes) -> XorbIndex:
    verifier = XorbVerifier()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            verifier.feed(block)
    return verifier.finish(xorb_hash)


StoreXorb = Callable[[bytes, Path], XorbIndex]
"""Stores the xorb of that hash, whose records a file holds."""


@dataclass
class Repacker:
    """Writes the chunks that are not known into new xorbs, and the recipe of the file.

    Args:
        known: where chunks lie that need not be stored again.
        store: takes in a finished xorb.
        folder: where xorbs grow.
    """

    known: Mapping[bytes, Place]
    store: StoreXorb
    folder: Path
    new_xorbs: list[XorbIndex] = field(default_factory=list)
    _places: dict[bytes, Place] = field(default_factory=dict)

    def repack(self, encoded: Encoded, sha256: str) -> ShardFile:
        """The recipe of the file over known and new xorbs; all of these are stored.

        Args:
            sha256: what the file is to be, whatever the encoder says.
        """
        chunks = list(encoded.chunks())
        new = {chunk.raw: chunk for chunk in chunks if chunk.raw not in self.known}
        for some in _xorbfuls(new.values()):
            self._store_together(some)
        return _recipe(chunks, [self._place(chunk.raw) for chunk in chunks], sha256)

    def _store_together(self, chunks: list[_Chunk]) -> None:
        path = self.folder / "growing"
        with path.open("wb") as body:
            for source, run in groupby(chunks, key=lambda chunk: chunk.source):
                with source.open("rb") as file:
                    for chunk in run:
                        file.seek(chunk.start)
                        body.write(file.read(chunk.end - chunk.start))
        hashes = b"".join(chunk.raw for chunk in chunks)
        index = self.store(merkle_root(hashes, [chunk.length_bytes for chunk in chunks]), path)
        self.new_xorbs.append(index)
        for at, chunk in enumerate(chunks):
            self._places[chunk.raw] = Place(index.xorb_hash, at)

    def _place(self, raw: bytes) -> Place:
        return self.known.get(raw) or self._places[raw]


def _xorbfuls(chunks: Iterable[_Chunk]) -> Iterator[list[_Chunk]]:
    """The chunks in lists that each fit into one xorb."""
    some: list[_Chunk] = []
    size_bytes = 0
    for chunk in chunks:
        if some and (
            len(some) == MAX_CHUNKS or size_bytes + chunk.length_bytes > MAX_UNPACKED_BYTES
        ):
            yield some
            some, size_bytes = [], 0
        some.append(chunk)
        size_bytes += chunk.length_bytes
    if some:
        yield some


def _recipe(chunks: list[_Chunk], places: list[Place], sha256: str) -> ShardFile:
    """Chunks that follow each other in one xorb become one term."""
    terms: list[Term] = []
    hashes: list[list[bytes]] = []
    for chunk, place in zip(chunks, places, strict=True):
        last = terms[-1] if terms else None
        if last and (last.xorb_hash, last.chunk_end) == place:
            terms[-1] = replace(
                last,
                chunk_end=last.chunk_end + 1,
                unpacked_bytes=last.unpacked_bytes + chunk.length_bytes,
            )
            hashes[-1].append(chunk.raw)
        else:
            terms.append(Term(*place, place.chunk + 1, chunk.length_bytes))
            hashes.append([chunk.raw])
    root = merkle_root(b"".join(c.raw for c in chunks), [c.length_bytes for c in chunks])
    return ShardFile(
        file_hash(root),
        TermList.of(terms),
        tuple(range_hash(b"".join(raws)) for raws in hashes),
        sha256,
    )
