"""Stored xorbs, and Xet files read from them as plain bytes.

A xorb is one object in the store: its chunk records, then our index of them, then the length of
the index and a tag. One object, because the two must never come from different uploads: the same
chunks compress differently with another client.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

from hub.errors import ContentDamaged, NotFound
from hub.models import XetFile, Xorb
from hub.site import store
from hub.storage import Store
from hub.xet.errors import FormatError
from hub.xet.hashing import format_hash
from hub.xet.index import XorbIndex
from hub.xet.terms import IndexLookup, Slice, TermList
from hub.xet.xorb import decode_range

BLOCK_BYTES = 2 * 1024 * 1024
"""Uncompressed bytes decoded at a time."""

_CACHED_INDEXES = 128
_HASHES_PER_QUERY = 500
_WORKERS = min(4, os.cpu_count() or 1)
_TRAILER = struct.Struct("<I4s")
_TRAILER_TAG = b"MGXT"


def xorb_key(xorb_hash: bytes) -> str:
    """Key of a xorb in the store."""
    text = format_hash(xorb_hash)
    return f"xet/xorbs/{text[:2]}/{text}"


def tail_of(index: XorbIndex) -> bytes:
    """What is stored behind the chunk records of a xorb."""
    packed = index.to_bytes()
    return packed + _TRAILER.pack(len(packed), _TRAILER_TAG)


def read_index(source: Store, xorb_hash: bytes) -> XorbIndex:
    """The index of a stored xorb.

    Raises:
        KeyMissing: it is not in the store.
        FormatError: what is stored is damaged.
    """
    key = xorb_key(xorb_hash)
    size = source.size(key)
    if size < _TRAILER.size:
        raise FormatError("bad_index", "A stored xorb is cut short.")
    length, tag = _TRAILER.unpack(source.read_range(key, size - _TRAILER.size, size))
    start = size - _TRAILER.size - length
    if tag != _TRAILER_TAG or start <= 0:
        raise FormatError("bad_index", "A stored xorb has no index.")
    index = XorbIndex.from_bytes(source.read_range(key, start, size - _TRAILER.size))
    if index.xorb_hash != xorb_hash or index.size_bytes != start:
        raise FormatError("bad_index", "A stored xorb has the index of another one.")
    return index


@lru_cache(maxsize=_CACHED_INDEXES)
def _cached_index(source: Store, xorb_hash: bytes, xorb_id: int) -> XorbIndex:
    """By row, so that a xorb deleted and sent again is never read with its old index."""
    return read_index(source, xorb_hash)


def find_xorbs(hashes: Iterable[bytes]) -> dict[bytes, int]:
    """Row ids, by hash, of those xorbs that this site has, undamaged as far as it knows."""
    texts = {format_hash(raw): raw for raw in hashes}
    wanted, found = list(texts), {}
    for at in range(0, len(wanted), _HASHES_PER_QUERY):
        some = wanted[at : at + _HASHES_PER_QUERY]
        rows = Xorb.objects.filter(hash__in=some, quarantined_at=None)
        found.update({texts[text]: ident for text, ident in rows.values_list("hash", "id")})
    return found


def lookup_for(terms: TermList, start: int = 0, end: int | None = None) -> IndexLookup:
    """Indexes of the xorbs that bytes [start, end) need.

    Raises:
        ContentDamaged: one of them was set aside.
        NotFound: one of them is gone.
    """
    needed = terms.xorb_hashes(start, end)
    ids = find_xorbs(needed)
    if len(ids) < len(needed):
        gone = next(format_hash(raw) for raw in needed if raw not in ids)
        if Xorb.objects.filter(hash=gone).exists():
            raise ContentDamaged
        raise NotFound(f"Xorb {gone} is no longer stored.")
    return index_lookup(ids)


def index_lookup(ids: dict[bytes, int]) -> IndexLookup:
    """Indexes of the xorbs with these row ids; others are a `KeyError`."""
    source = store()
    return lambda xorb_hash: _cached_index(source, xorb_hash, ids[xorb_hash])


def stream_xet_file(
    xet_file: XetFile, start: int = 0, end: int | None = None
) -> Generator[bytes, None, None]:
    """The bytes [start, end) of a Xet file, in pieces of up to two MiB, each chunk checked.

    Only what the range needs is read and decoded.

    Raises:
        ContentDamaged, NotFound: at once, if a xorb of the range is set aside or gone.
        FormatError: while reading, if stored bytes are damaged.
    """
    terms = TermList.from_bytes(xet_file.terms)
    return XetReader(terms, lookup_for(terms, start, end)).stream(start, end)


@dataclass(frozen=True, slots=True)
class _Block:
    """Chunks to decode at once, and which of their bytes are wanted."""

    index: XorbIndex
    chunk_start: int
    chunk_end: int
    skip_bytes: int
    length_bytes: int


class XetReader:
    """A file made of terms, readable at any offset.

    Args:
        index_of: finds the index of a xorb.
        check_hashes: compare each chunk with its hash; leave out only where the caller checks the
            digest of the whole.
    """

    def __init__(
        self, terms: TermList, index_of: IndexLookup, *, check_hashes: bool = True
    ) -> None:
        self.size_bytes = terms.size_bytes
        self._terms = terms
        self._index_of = index_of
        self._check_hashes = check_hashes
        self._store = store()

    def stream(self, start: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
        """The bytes [start, end); decoding runs ahead of the consumer on other threads.

        Raises:
            FormatError: stored bytes are damaged.
        """
        end = self.size_bytes if end is None else min(end, self.size_bytes)
        blocks = (
            block
            for cut in self._terms.cut(start, end, self._index_of)
            for block in _blocks_of(cut)
        )
        return self._decode_ahead(blocks)

    def _decode_ahead(self, blocks: Iterator[_Block]) -> Generator[bytes, None, None]:
        waiting: deque[Future[bytes]] = deque()
        try:
            for block in blocks:
                waiting.append(_executor().submit(partial(self._decode, block)))
                if len(waiting) > _WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _decode(self, block: _Block) -> bytes:
        first, last = block.index.byte_range(block.chunk_start, block.chunk_end)
        records = self._read(xorb_key(block.index.xorb_hash), first, last)
        data = decode_range(
            records,
            block.index,
            block.chunk_start,
            block.chunk_end,
            check_hashes=self._check_hashes,
        )
        wanted = slice(block.skip_bytes, block.skip_bytes + block.length_bytes)
        return bytes(memoryview(data)[wanted])

    def _read(self, key: str, first: int, last: int) -> bytes:
        path = self._store.local_path(key)
        if path is None:
            return self._store.read_range(key, first, last)
        with path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), last - first, first)
        if len(data) != last - first:
            raise FormatError("xorb_damaged", "A stored xorb is cut short.")
        return data


def _blocks_of(cut: Slice) -> Iterator[_Block]:
    """Split a slice into runs of whole chunks of about `BLOCK_BYTES`."""
    at, skip, left = cut.chunk_start, cut.skip_bytes, cut.length_bytes
    while left:
        offset, _ = cut.index.unpacked_range(at, at + 1)
        last = min(offset + BLOCK_BYTES, offset + skip + left) - 1
        end = min(cut.index.chunk_holding(last) + 1, cut.chunk_end)
        length = min(cut.index.unpacked_length(at, end) - skip, left)
        yield _Block(cut.index, at, end, skip, length)
        at, skip, left = end, 0, left - length


@lru_cache(maxsize=1)
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_WORKERS, thread_name_prefix="xet-decode")
