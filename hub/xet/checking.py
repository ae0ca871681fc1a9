"""What a shard claims, held against what the server computed from the bytes themselves.

No database here: the caller hands in lookups, and records what was found true.

Source: Xet protocol specification 1.1, "shard upload"; range hashes prove that an uploader knows
the chunks that it refers to. That the SHA-256 is recomputed is our own rule, since it becomes the
name of the content everywhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from hub.xet.errors import FormatError
from hub.xet.hashing import MerkleBuilder, file_hash, format_hash
from hub.xet.shard import Shard, ShardFile
from hub.xet.terms import IndexLookup, TermList

MAX_CHUNKS_CHECKED = 1 << 26
"""Chunks that the files of one shard may refer to: 4 TiB of chunks of the usual length."""

ReadTerms = Callable[[TermList], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file whose recipe, hash and SHA-256 are true."""

    file_hash: bytes
    sha256: str
    size_bytes: int
    terms: TermList
    first_chunk: tuple[bytes, bytes]
    """Hash of the first chunk, and the xorb that holds it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check has come, in bytes of file data."""

    verified_bytes: int
    total_bytes: int


@dataclass(slots=True)
class ShardCheck:
    """The check of one shard, in steps so that the caller can tell the client about them.

    Args:
        index_of: indexes of stored xorbs; every xorb of the shard must be known to it.
        read: the data of a term list.
        known_sha256: digests already verified, by file hash; those files are not decoded again.
    """

    shard: Shard
    index_of: IndexLookup
    read: ReadTerms
    known_sha256: Mapping[bytes, str]
    max_bytes: int
    files: list[CheckedFile] = field(default_factory=list)
    _verified_bytes: int = 0

    def run(self) -> Iterator[Progress]:
        """Check everything; `files` is complete when the iteration ends.

        Raises:
            FormatError: the first claim that is not true.
        """
        total = sum(file.terms.size_bytes for file in self.shard.files)
        if total > self.max_bytes:
            _refuse("shard_too_large", f"The files have {total} bytes; the limit is lower.")
        for xorb in self.shard.xorbs:
            if not xorb.matches(self.index_of(xorb.xorb_hash)):
                _refuse(
                    "shard_xorb_mismatch",
                    f"The chunks listed for xorb {format_hash(xorb.xorb_hash)} are not its own.",
                )
        self._check_chunk_count()
        for file in self.shard.files:
            self._check_recipe(file)
        for file in self.shard.files:
            for verified in self._check_content(file):
                yield Progress(verified, total)

    def _check_chunk_count(self) -> None:
        count = sum(term.chunk_end - term.chunk_start for f in self.shard.files for term in f.terms)
        if count > MAX_CHUNKS_CHECKED:
            _refuse("shard_too_large", f"The files refer to {count} chunks; that is too many.")

    def _check_recipe(self, file: ShardFile) -> None:
        """Bounds, lengths and range hash of each term, and the hash of the file."""
        if file.range_hashes is None:
            _refuse("shard_unverified", f"{_name(file)} comes without range hashes.")
        tree = MerkleBuilder()
        for term, claimed in zip(file.terms, file.range_hashes, strict=True):
            index = self.index_of(term.xorb_hash)
            chunks = term.chunk_start, term.chunk_end
            if term.chunk_end > index.count:
                _refuse("shard_chunks", f"{_name(file)} names chunks that its xorb does not have.")
            if index.unpacked_length(*chunks) != term.unpacked_bytes:
                _refuse("shard_length_mismatch", f"{_name(file)} states a wrong length of a term.")
            if index.range_hash(*chunks) != claimed:
                _refuse("shard_range_mismatch", f"{_name(file)} states a wrong range hash.")
            tree.add(index.hashes(*chunks), index.lengths(*chunks))
        if file_hash(tree.root()) != file.file_hash:
            _refuse("shard_file_mismatch", f"The chunks of {_name(file)} hash to another file.")

    def _check_content(self, file: ShardFile) -> Iterator[int]:
        """Decode the file once for its SHA-256, unless that was done before."""
        sha256 = self.known_sha256.get(file.file_hash)
        if sha256 is None:
            digest = hashlib.sha256()
            for block in self.read(file.terms):
                digest.update(block)
                self._verified_bytes += len(block)
                yield self._verified_bytes
            sha256 = digest.hexdigest()
        else:
            self._verified_bytes += file.terms.size_bytes
            yield self._verified_bytes
        if file.sha256 not in (None, sha256):
            _refuse(
                "shard_sha256_mismatch",
                f"The content of {_name(file)} has SHA-256 {sha256}, not {file.sha256}.",
            )
        self.files.append(self._checked(file, sha256))

    def _checked(self, file: ShardFile, sha256: str) -> CheckedFile:
        first = file.terms[0]
        chunk = self.index_of(first.xorb_hash).hash_at(first.chunk_start)
        return CheckedFile(
            file.file_hash, sha256, file.terms.size_bytes, file.terms, (chunk, first.xorb_hash)
        )


def _name(file: ShardFile) -> str:
    return f"file {format_hash(file.file_hash)}"


def _refuse(code: str, message: str) -> NoReturn:
    raise FormatError(code, message)
