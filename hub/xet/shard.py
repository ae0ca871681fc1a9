"""Shards: the binary metadata by which files are registered and deduplication is answered.

A shard is a header, a file section, a xorb section and, where the server sends it, a footer.
All but the footer is made of 48-byte records, little-endian.

Source: Xet protocol specification 1.1, "shard format". Uploads of current clients leave the
stored bytes of a xorb and the flags of its chunks at 0, so neither is looked at here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from hub.xet.errors import FormatError
from hub.xet.hashing import HASH_BYTES, ZERO_KEY, format_hash, keyed_hash, parse_hash
from hub.xet.index import MAX_CHUNK_BYTES, MAX_CHUNKS, XorbIndex
from hub.xet.terms import TERM_DTYPE, TermList

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

MAX_SHARD_BYTES = 64 * 1024 * 1024
RECORD_BYTES = 48
FOOTER_BYTES = 200

_TAG = bytes.fromhex("48465265706f4d6574614461746100556967456a7b815783a5bdd95ccdd14aa9")
_VERSION = 2
_BOOKEND_HASH = b"\xff" * HASH_BYTES
_BOOKEND = _BOOKEND_HASH + bytes(16)
_HAS_VERIFICATION = 1 << 31
_HAS_METADATA = 1 << 30
_FOOTER = struct.Struct("<QQQQQQQQQ32sQQ48xQQQQ")

_TERM_RECORD = np.dtype(
    [
        ("xorb", np.uint8, HASH_BYTES),
        ("flags", "<u4"),
        ("unpacked_bytes", "<u4"),
        ("chunk_start", "<u4"),
        ("chunk_end", "<u4"),
    ]
)
_HASH_RECORD = np.dtype([("hash", np.uint8, HASH_BYTES), ("unused", np.uint8, 16)])
_CHUNK_RECORD = np.dtype(
    [
        ("hash", np.uint8, HASH_BYTES),
        ("start", "<u4"),
        ("length", "<u4"),
        ("flags", "<u4"),
        ("unused", "<u4"),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class ShardFile:
    """The recipe of one file, as its uploader claims it."""

    file_hash: bytes
    terms: TermList
    range_hashes: tuple[bytes, ...] | None
    """One verification hash a term; None where the uploader sent none."""
    sha256: str | None
    """Ordinary hexadecimal digest."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardXorb:
    """The chunk list of one xorb, as its uploader claims it."""

    xorb_hash: bytes
    chunk_hashes: bytes
    starts: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.uint32]
    unpacked_bytes: int
    stored_bytes: int = 0
    flags: npt.NDArray[np.uint32] | None = None

    def matches(self, index: XorbIndex) -> bool:
        """Whether the claim equals what the server computed itself."""
        ends = self.starts.astype(np.int64) + self.lengths
        return (
            self.chunk_hashes == index.chunk_hashes
            and self.unpacked_bytes == index.unpacked_bytes
            and int(self.starts[0]) == 0
            and np.array_equal(ends, index.unpacked_ends)
            and np.array_equal(self.starts[1:], index.unpacked_ends[:-1])
        )


@dataclass(frozen=True, slots=True)
class ShardFooter:
    """What the server adds to a shard that it sends: the key of its hashes, and until when."""

    hmac_key: bytes
    created_at: int
    """Unix seconds, as is the next."""
    key_expires_at: int


@dataclass(frozen=True, slots=True)
class Shard:
    """The content of a shard."""

    files: list[ShardFile] = field(default_factory=list)
    xorbs: list[ShardXorb] = field(default_factory=list)
    footer: ShardFooter | None = None


def parse_shard(data: Buffer) -> Shard:
    """Read a shard from memory or from a mapped file.

    Work and memory are bounded by the length of `data`, whatever counts it announces.

    Raises:
        FormatError: anything that the format does not allow, and bytes after the end.
    """
    reader = _Reader(memoryview(data).cast("B"))
    tag, version, footer_bytes = struct.unpack("<32sQQ", reader.take(RECORD_BYTES))
    if tag != _TAG:
        _refuse("shard_tag", "This is not a shard.")
    if version != _VERSION:
        _refuse("shard_version", f"Shard of unknown version {version}.")
    if footer_bytes not in (0, FOOTER_BYTES):
        _refuse("shard_footer", f"A footer of {footer_bytes} bytes is not known.")
    files = list(_read_files(reader))
    xorbs_at = reader.at
    xorbs = list(_read_xorbs(reader))
    footer = _read_footer(reader, xorbs_at) if footer_bytes else None
    if reader.left:
        _refuse("shard_trailing_bytes", f"{reader.left} bytes follow the end of the shard.")
    return Shard(files, xorbs, footer)


class _Reader:
    """A cursor that refuses to run past the end."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.view) - self.at

    def take(self, size: int) -> memoryview:
        if size > self.left:
            _refuse("shard_truncated", "The shard announces more records than it holds.")
        self.at += size
        return self.view[self.at - size : self.at]

    def rows(self, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.take(count * RECORD_BYTES), dtype=dtype)

    def heads(self) -> Iterator[memoryview]:
        """Head records of a section, up to and without its bookend."""
        while True:
            head = self.take(RECORD_BYTES)
            if head[:HASH_BYTES] == _BOOKEND_HASH:
                return
            yield head


def _read_files(reader: _Reader) -> Iterator[ShardFile]:
    for head in reader.heads():
        file_hash, flags, count = struct.unpack_from("<32sII", head)
        if not count:
            _refuse("shard_empty_file", "A file has no terms.")
        records = reader.rows(_TERM_RECORD, count)
        if not (records["chunk_start"] < records["chunk_end"]).all():
            _refuse("shard_empty_term", "A term holds no chunk.")
        if (records["chunk_end"] > MAX_CHUNKS).any():
            _refuse("shard_chunks", f"A term reaches beyond {MAX_CHUNKS} chunks.")
        range_hashes = None
        if flags & _HAS_VERIFICATION:
            rows = reader.rows(_HASH_RECORD, count)["hash"]
            range_hashes = tuple(row.tobytes() for row in rows)
        sha256 = None
        if flags & _HAS_METADATA:
            sha256 = format_hash(bytes(reader.take(RECORD_BYTES)[:HASH_BYTES]))
        yield ShardFile(file_hash, TermList(_packed(records)), range_hashes, sha256)


def _packed(records: npt.NDArray[Any]) -> npt.NDArray[Any]:
    rows = np.empty(len(records), dtype=TERM_DTYPE)
    for name in TERM_DTYPE.names or ():
        rows[name] = records[name]
    return rows


def _read_xorbs(reader: _Reader) -> Iterator[ShardXorb]:
    for head in reader.heads():
        xorb_hash, _, count, unpacked, stored = struct.unpack_from("<32sIIII", head)
        if not 0 < count <= MAX_CHUNKS:
            _refuse("shard_chunks", f"A xorb of {count} chunks; 1 to {MAX_CHUNKS} are allowed.")
        rows = reader.rows(_CHUNK_RECORD, count)
        if not ((rows["length"] > 0) & (rows["length"] <= MAX_CHUNK_BYTES)).all():
            _refuse("shard_chunk_size", f"A chunk is not of 1 to {MAX_CHUNK_BYTES} bytes.")
        yield ShardXorb(
            xorb_hash,
            rows["hash"].tobytes(),
            rows["start"].astype(np.uint32),
            rows["length"].astype(np.uint32),
            unpacked,
            stored,
            rows["flags"].astype(np.uint32),
        )


def _read_footer(reader: _Reader, xorbs_at: int) -> ShardFooter:
    """The last 200 bytes; lookup tables before it are skipped, since readers do not need them."""
    if reader.left < FOOTER_BYTES:
        _refuse("shard_truncated", "The shard announces a footer that it does not hold.")
    footer_at = len(reader.view) - FOOTER_BYTES
    reader.take(footer_at - reader.at)
    version, files_at, announced, *_, key, created, expires, _, _, _, offset = _FOOTER.unpack(
        reader.take(FOOTER_BYTES)
    )
    if (version, files_at, announced, offset) != (1, RECORD_BYTES, xorbs_at, footer_at):
        _refuse("shard_footer", "The footer of the shard does not describe it.")
    return ShardFooter(key, created, expires)


def build_shard(
    files: Sequence[ShardFile], xorbs: Sequence[ShardXorb], footer: ShardFooter | None = None
) -> bytes:
    """The bytes of a shard; `parse_shard` reads them back."""
    file_part = b"".join(_file_records(file) for file in files) + _BOOKEND
    xorb_part = b"".join(_xorb_records(xorb) for xorb in xorbs) + _BOOKEND
    header = struct.pack("<32sQQ", _TAG, _VERSION, FOOTER_BYTES if footer else 0)
    body = header + file_part + xorb_part
    if footer is None:
        return body
    # The lookup tables are empty, yet stand behind the sections: clients tell the length of the
    # xorb section from where they begin.
    return body + _FOOTER.pack(
        1,
        RECORD_BYTES,
        RECORD_BYTES + len(file_part),
        *(len(body), 0) * 3,
        footer.hmac_key,
        footer.created_at,
        footer.key_expires_at,
        sum(xorb.stored_bytes for xorb in xorbs),
        sum(file.terms.size_bytes for file in files),
        sum(xorb.unpacked_bytes for xorb in xorbs),
        len(body),
    )


def dedup_xorb(
    index: XorbIndex, hmac_key: bytes = ZERO_KEY, shown: Sequence[tuple[int, int]] | None = None
) -> ShardXorb:
    """The record of a stored xorb for a deduplication answer, its chunk hashes keyed.

    Args:
        shown: ranges of chunks to name, in order; all if None. Others keep their place, as terms
            count chunks, with noise for a hash and 1 for a length.
    """
    shown = [(0, index.count)] if shown is None else shown
    count = shown[-1][1] if shown else 0
    hashes = bytearray(os.urandom(count * HASH_BYTES))
    lengths = np.ones(count, dtype=np.uint32)
    stored_bytes = 0
    for start, end in shown:
        keyed = b"".join(keyed_hash(hmac_key, index.hash_at(at)) for at in range(start, end))
        hashes[start * HASH_BYTES : end * HASH_BYTES] = keyed
        lengths[start:end] = index.lengths(start, end)
        first, last = index.byte_range(start, end)
        stored_bytes += last - first
    ends = np.cumsum(lengths, dtype=np.uint32)
    return ShardXorb(
        index.xorb_hash,
        bytes(hashes),
        ends - lengths,
        lengths,
        int(lengths.sum()),
        stored_bytes,
    )


def _file_records(file: ShardFile) -> bytes:
    flags = _HAS_VERIFICATION if file.range_hashes is not None else 0
    flags |= _HAS_METADATA if file.sha256 is not None else 0
    rows = np.frombuffer(file.terms.to_bytes(), dtype=TERM_DTYPE)
    records = np.zeros(len(rows), dtype=_TERM_RECORD)
    for name in TERM_DTYPE.names or ():
        records[name] = rows[name]
    parts = [struct.pack("<32sII8x", file.file_hash, flags, len(rows)), records.tobytes()]
    parts += [raw + bytes(16) for raw in file.range_hashes or ()]
    if file.sha256 is not None:
        parts.append(parse_hash(file.sha256) + bytes(16))
    return b"".join(parts)


def _xorb_records(xorb: ShardXorb) -> bytes:
    count = len(xorb.lengths)
    rows = np.zeros(count, dtype=_CHUNK_RECORD)
    rows["hash"] = np.frombuffer(xorb.chunk_hashes, dtype=np.uint8).reshape(count, HASH_BYTES)
    rows["start"], rows["length"] = xorb.starts, xorb.lengths
    if xorb.flags is not None:
        rows["flags"] = xorb.flags
    head = (xorb.xorb_hash, 0, count, xorb.unpacked_bytes, xorb.stored_bytes)
    return struct.pack("<32sIIII", *head) + rows.tobytes()


def _refuse(code: str, message: str) -> NoReturn:
    raise FormatError(code, message)
