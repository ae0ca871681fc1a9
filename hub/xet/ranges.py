"""The `Range` header of HTTP, as far as clients of files use it.

Source: RFC 9110, section 14.
"""

from __future__ import annotations

import re

from hub.xet.errors import RangeNotSatisfiable

MAX_RANGES = 64

_ONE = re.compile(r"(\d{0,20})-(\d{0,20})")


def parse_ranges(header: str, size_bytes: int) -> list[tuple[int, int]] | None:
    """Byte ranges [start, end) of something of this size, clipped to it, in the order asked for.

    None for a header that is to be ignored: absent, of another unit, malformed or with more than
    `MAX_RANGES` ranges.

    Raises:
        RangeNotSatisfiable: well-formed, and none of the ranges begins inside.
    """
    unit, _, text = header.partition("=")
    parts = [part.strip() for part in text.split(",")]
    if unit.strip().lower() != "bytes" or len(parts) > MAX_RANGES:
        return None
    ranges = []
    for part in parts:
        match = _ONE.fullmatch(part)
        if match is None or part == "-":
            return None
        first, last = match.groups()
        if not first:
            ranges.append((max(size_bytes - int(last), 0), size_bytes))
        elif last and int(last) < int(first):
            return None
        else:
            end = min(int(last) + 1, size_bytes) if last else size_bytes
            ranges.append((int(first), end))
    satisfiable = [(start, end) for start, end in ranges if start < end]
    if not satisfiable:
        raise RangeNotSatisfiable(size_bytes)
    return satisfiable
