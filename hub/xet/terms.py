"""Files as ordered lists of terms, and the plan by which a client rebuilds a range of one.

A term is (xorb, first chunk, end chunk): the data of those chunks. Term lists are packed into 44
bytes a term for the database.

Source: Xet protocol specification 1.1, "reconstruction".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.xet.errors import FormatError, RangeNotSatisfiable
from hub.xet.hashing import HASH_BYTES, format_hash
from hub.xet.index import XorbIndex

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

IndexLookup = Callable[[bytes], XorbIndex]

TERM_DTYPE = np.dtype(
    [
        ("xorb", np.uint8, HASH_BYTES),
        ("unpacked_bytes", "<u4"),
        ("chunk_start", "<u4"),
        ("chunk_end", "<u4"),
    ]
)


@dataclass(frozen=True, slots=True)
class Term:
    """The chunks [chunk_start, chunk_end) of one xorb."""

    xorb_hash: bytes
    chunk_start: int
    chunk_end: int
    unpacked_bytes: int


class TermList:
    """The terms of one file; cheap to keep packed, with an index by byte offset."""

    def __init__(self, rows: npt.NDArray[Any]) -> None:
        self._rows = rows
        self._ends = np.cumsum(rows["unpacked_bytes"], dtype=np.int64)

    @classmethod
    def of(cls, terms: Sequence[Term]) -> TermList:
        """Pack terms."""
        rows = np.zeros(len(terms), dtype=TERM_DTYPE)
        for row, term in zip(rows, terms, strict=True):
            row["xorb"] = np.frombuffer(term.xorb_hash, dtype=np.uint8)
            row["unpacked_bytes"] = term.unpacked_bytes
            row["chunk_start"], row["chunk_end"] = term.chunk_start, term.chunk_end
        return cls(rows)

    @classmethod
    def from_bytes(cls, data: Buffer) -> TermList:
        """Read the packed form. Raises `FormatError` if it is cut short."""
        view = memoryview(data)
        if len(view) % TERM_DTYPE.itemsize:
            raise FormatError("bad_terms", "The term list of the file is damaged.")
        return cls(np.frombuffer(view, dtype=TERM_DTYPE))

    def to_bytes(self) -> bytes:
        """The packed form."""
        return self._rows.tobytes()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Term]:
        return (self[at] for at in range(len(self._rows)))

    def __getitem__(self, at: int) -> Term:
        row = self._rows[at]
        return Term(
            row["xorb"].tobytes(),
            int(row["chunk_start"]),
            int(row["chunk_end"]),
            int(row["unpacked_bytes"]),
        )

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def xorb_hashes(self, start: int = 0, end: int | None = None) -> list[bytes]:
        """The xorbs that bytes [start, end) of the file use, each once, in order of first use."""
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = len(self) if end is None else int(np.searchsorted(self._ends, end)) + 1
        return list(dict.fromkeys(row.tobytes() for row in self._rows["xorb"][first:last]))

    def cut(self, start: int, end: int, index_of: IndexLookup) -> Iterator[Slice]:
        """The parts of terms, whole chunks, that hold the bytes [start, end) of the file."""
        at = bisect_right(self._ends, start)
        while at < len(self._rows) and start < end:
            term_start = int(self._ends[at - 1]) if at else 0
            term = self[at]
            yield _cut_term(term, start - term_start, end - term_start, index_of(term.xorb_hash))
            start = term_start + term.unpacked_bytes
            at += 1


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole chunks of one xorb, and which of their bytes are asked for."""

    index: XorbIndex
    chunk_start: int
    chunk_end: int
    skip_bytes: int
    """Bytes before the first one asked for."""
    length_bytes: int
    """Bytes asked for."""


def _cut_term(term: Term, start: int, end: int, index: XorbIndex) -> Slice:
    """Trim a term to the chunks that hold bytes [start, end) of it."""
    if term.chunk_end > index.count:
        raise FormatError("bad_terms", "The file names chunks that its xorb does not have.")
    base, limit = index.unpacked_range(term.chunk_start, term.chunk_end)
    first, last = base + max(start, 0), min(base + end, limit)
    chunk_start = index.chunk_holding(first)
    chunk_end = index.chunk_holding(last - 1) + 1
    skip = first - index.unpacked_range(chunk_start, chunk_end)[0]
    return Slice(index, chunk_start, chunk_end, skip, last - first)


@dataclass(frozen=True, slots=True)
class FetchRange:
    """Chunks of a xorb to fetch together, and where they lie in its body; ends exclusive."""

    chunk_start: int
    chunk_end: int
    byte_start: int
    byte_end: int


@dataclass(frozen=True, slots=True)
class ReconstructionPlan:
    """What a client has to fetch and join for a range of a file."""

    offset_into_first_range: int
    """Bytes to drop from the data of the first term."""
    terms: tuple[Term, ...]
    fetches: dict[bytes, tuple[FetchRange, ...]]
    """By xorb: ranges ascending, apart from each other; each term lies inside one of them."""


def plan_reconstruction(
    terms: TermList, index_of: IndexLookup, byte_range: tuple[int, int] | None = None
) -> ReconstructionPlan:
    """The plan for bytes [start, end) of a file; the whole file without a range.

    Raises:
        RangeNotSatisfiable: the range begins at or after the end of the file, or is empty.
    """
    start, end = byte_range or (0, terms.size_bytes)
    end = min(end, terms.size_bytes)
    if not 0 <= start < end:
        raise RangeNotSatisfiable(terms.size_bytes)
    slices = list(terms.cut(start, end, index_of))
    return ReconstructionPlan(
        slices[0].skip_bytes,
        tuple(
            Term(
                cut.index.xorb_hash,
                cut.chunk_start,
                cut.chunk_end,
                cut.index.unpacked_length(cut.chunk_start, cut.chunk_end),
            )
            for cut in slices
        ),
        _fetches(slices),
    )


def _fetches(slices: list[Slice]) -> dict[bytes, tuple[FetchRange, ...]]:
    by_xorb: dict[bytes, list[tuple[int, int]]] = {}
    indexes: dict[bytes, XorbIndex] = {}
    for cut in slices:
        indexes[cut.index.xorb_hash] = cut.index
        by_xorb.setdefault(cut.index.xorb_hash, []).append((cut.chunk_start, cut.chunk_end))
    return {
        xorb: tuple(
            FetchRange(start, end, *indexes[xorb].byte_range(start, end))
            for start, end in merge_ranges(ranges)
        )
        for xorb, ranges in by_xorb.items()
    }


def merge_ranges(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges sorted, with those that overlap or touch joined."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


UrlFor = Callable[[bytes, Sequence[FetchRange]], str]
"""A URL that hands out just these ranges of this xorb."""


def v1_answer(plan: ReconstructionPlan, url_for: UrlFor) -> dict[str, Any]:
    """The JSON of `GET /v1/reconstructions`: one URL a range."""
    return _terms_part(plan) | {
        "fetch_info": {
            format_hash(xorb): [
                {
                    "range": {"start": fetch.chunk_start, "end": fetch.chunk_end},
                    "url": url_for(xorb, [fetch]),
                    "url_range": {"start": fetch.byte_start, "end": fetch.byte_end - 1},
                }
                for fetch in fetches
            ]
            for xorb, fetches in plan.fetches.items()
        }
    }


MAX_RANGES_PER_URL = 32
"""Ranges signed into one URL; keeps URLs far below the limits of servers and proxies."""


def v2_answer(plan: ReconstructionPlan, url_for: UrlFor) -> dict[str, Any]:
    """The JSON of `GET /v2/reconstructions`: several ranges share a URL."""
    return _terms_part(plan) | {
        "xorbs": {
            format_hash(xorb): [
                {
                    "url": url_for(xorb, batch),
                    "ranges": [
                        {
                            "chunks": {"start": fetch.chunk_start, "end": fetch.chunk_end},
                            "bytes": {"start": fetch.byte_start, "end": fetch.byte_end - 1},
                        }
                        for fetch in batch
                    ],
                }
                for batch in _batches(fetches, MAX_RANGES_PER_URL)
            ]
            for xorb, fetches in plan.fetches.items()
        }
    }


def _terms_part(plan: ReconstructionPlan) -> dict[str, Any]:
    return {
        "offset_into_first_range": plan.offset_into_first_range,
        "terms": [
            {
                "hash": format_hash(term.xorb_hash),
                "unpacked_length": term.unpacked_bytes,
                "range": {"start": term.chunk_start, "end": term.chunk_end},
            }
            for term in plan.terms
        ],
    }


def _batches(fetches: tuple[FetchRange, ...], size: int) -> Iterator[tuple[FetchRange, ...]]:
    return (fetches[at : at + size] for at in range(0, len(fetches), size))
