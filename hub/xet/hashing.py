"""Hashes of the Xet protocol: chunks, Merkle roots, files, chunk ranges, and their string form.

Every hash is 32 bytes of BLAKE3 in keyed mode. Lists of hashes are kept packed: 32 bytes each,
one after the other.

Source: Xet protocol specification 1.1, "hashing"; the vectors in tests/hub/xet/test_hashing.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from hub.xet.errors import FormatError

if TYPE_CHECKING:
    from typing_extensions import Buffer

HASH_BYTES = 32
ZERO_KEY = bytes(HASH_BYTES)
DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
VERIFICATION_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")

_HEX_HASH = re.compile(r"[0-9a-f]{64}")
_MIN_GROUP = 3
_MAX_GROUP = 9
_GLOBAL_DEDUP_MODULUS = 1024


def format_hash(raw: bytes) -> str:
    """String form of a hash: each group of 8 bytes reversed, in lower-case hexadecimal."""
    return b"".join(raw[at : at + 8][::-1] for at in range(0, HASH_BYTES, 8)).hex()


def parse_hash(text: str) -> bytes:
    """The 32 raw bytes behind a string form.

    Raises:
        FormatError: not 64 lower-case hexadecimal digits.
    """
    if not _HEX_HASH.fullmatch(text):
        raise FormatError("bad_hash", "A hash is written as 64 lower-case hexadecimal digits.")
    raw = bytes.fromhex(text)
    return b"".join(raw[at : at + 8][::-1] for at in range(0, HASH_BYTES, 8))


def chunk_hash(data: Buffer) -> bytes:
    """Hash of the uncompressed bytes of one chunk."""
    return blake3(data, key=DATA_KEY).digest()


def range_hash(chunk_hashes: Buffer) -> bytes:
    """Verification hash of a range of chunks, from their packed hashes."""
    return blake3(chunk_hashes, key=VERIFICATION_KEY).digest()


def keyed_hash(key: bytes, raw: bytes) -> bytes:
    """A chunk hash hidden under a server's HMAC key; the zero key hides nothing."""
    return raw if key == ZERO_KEY else blake3(raw, key=key).digest()


def is_global_dedup_candidate(raw: bytes) -> bool:
    """Whether clients may ask for this chunk wherever it stands in a file."""
    return int.from_bytes(raw[24:32], "little") % _GLOBAL_DEDUP_MODULUS == 0


def merkle_root(chunk_hashes: Buffer, lengths: Sequence[int]) -> bytes:
    """Root over packed chunk hashes and their uncompressed lengths; 32 zero bytes over none."""
    builder = MerkleBuilder()
    builder.add(chunk_hashes, lengths)
    return builder.root()


def file_hash(root: bytes, *, is_empty: bool = False) -> bytes:
    """Hash of a file from the Merkle root of all its chunks; 32 zero bytes for an empty file."""
    return bytes(HASH_BYTES) if is_empty else blake3(root, key=ZERO_KEY).digest()


@dataclass(slots=True)
class _Level:
    """The nodes of one level of the tree that do not yet form a complete group."""

    lines: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    cuts: list[bool] = field(default_factory=list)
    first: bytes = b""
    has_parents: bool = False

    def extend(self, hashes: bytes, sizes: Sequence[int]) -> None:
        if not self.lines:
            self.first = hashes[:HASH_BYTES]
        digits = np.frombuffer(hashes, dtype="<u8").byteswap().tobytes().hex()
        self.lines += [
            f"{digits[at : at + 64]} : {size}\n"
            for at, size in zip(range(0, len(digits), 64), sizes, strict=True)
        ]
        self.sizes += sizes
        ends = np.frombuffer(hashes, dtype=np.uint8)[24::HASH_BYTES]
        self.cuts += ((ends & 3) == 0).tolist()

    def take_groups(self, *, is_last: bool) -> tuple[bytes, list[int]]:
        """Hashes and sizes of the parents of all complete groups, which leave this level."""
        parents: list[bytes] = []
        sizes: list[int] = []
        start, count = 0, len(self.lines)
        while start < count:
            end = self._group_end(start)
            if end is None:
                if not is_last:
                    break
                end = count
            text = "".join(self.lines[start:end]).encode("ascii")
            parents.append(blake3(text, key=NODE_KEY).digest())
            sizes.append(sum(self.sizes[start:end]))
            start = end
        if start:
            self.has_parents = True
            del self.lines[:start], self.sizes[:start], self.cuts[:start]
        return b"".join(parents), sizes

    def _group_end(self, start: int) -> int | None:
        """End of the group at `start`, or None while further nodes could still join it."""
        limit = start + _MAX_GROUP
        for at in range(start + _MIN_GROUP - 1, min(limit, len(self.cuts))):
            if self.cuts[at]:
                return at + 1
        return limit if limit <= len(self.cuts) else None


class MerkleBuilder:
    """Merkle root of chunks added in batches; holds fewer than nine nodes a level between them.

    A group of children ends after its third to ninth node, at the first whose hash is 0 mod 4,
    else at the ninth; only the last group of a level may hold one or two.
    """

    def __init__(self) -> None:
        self._levels = [_Level()]
        self._count = 0

    def add(self, chunk_hashes: Buffer, lengths: Sequence[int]) -> None:
        """Append chunks in file order."""
        hashes = bytes(chunk_hashes)
        if len(hashes) != HASH_BYTES * len(lengths):
            raise ValueError("as many packed hashes as lengths are needed")
        self._count += len(lengths)
        self._push(0, hashes, lengths)

    def root(self) -> bytes:
        """The root over everything added. Ends the builder: call it once."""
        if not self._count:
            return bytes(HASH_BYTES)
        depth = 0
        while True:
            level = self._levels[depth]
            if len(level.lines) == 1 and not level.has_parents:
                return level.first
            self._push(depth + 1, *level.take_groups(is_last=True))
            depth += 1

    def _push(self, depth: int, hashes: bytes, sizes: Sequence[int]) -> None:
        while sizes:
            if depth == len(self._levels):
                self._levels.append(_Level())
            self._levels[depth].extend(hashes, sizes)
            hashes, sizes = self._levels[depth].take_groups(is_last=False)
            depth += 1
