"""Which chunks of a xorb somebody uses: ranges [start, end), packed into 8 bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hub.xet.hashing import HASH_BYTES
from hub.xet.terms import TERM_DTYPE, merge_ranges

Ranges = Sequence[tuple[int, int]]

_RANGE = np.dtype([("start", "<u4"), ("end", "<u4")])


def pack_ranges(ranges: Iterable[tuple[int, int]]) -> bytes:
    """Sorted, with those that overlap or touch joined."""
    return np.array(merge_ranges(list(ranges)), dtype=_RANGE).tobytes()


def unpack_ranges(data: bytes | memoryview) -> list[tuple[int, int]]:
    rows = np.frombuffer(data, dtype=_RANGE)
    return list(zip(rows["start"].tolist(), rows["end"].tolist(), strict=True))


def used_chunks(recipes: Iterable[bytes | memoryview]) -> dict[bytes, list[tuple[int, int]]]:
    """The ranges that recipes (packed terms) use, by xorb, in order of first use."""
    used: dict[bytes, list[tuple[int, int]]] = {}
    for recipe in recipes:
        rows = np.frombuffer(recipe, dtype=TERM_DTYPE)
        names = rows["xorb"].tobytes()
        starts, ends = rows["chunk_start"].tolist(), rows["chunk_end"].tolist()
        for at, span in enumerate(zip(starts, ends, strict=True)):
            used.setdefault(names[at * HASH_BYTES : (at + 1) * HASH_BYTES], []).append(span)
    return {raw: merge_ranges(spans) for raw, spans in used.items()}
