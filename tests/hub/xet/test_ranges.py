"""Range headers, by the examples of RFC 9110 section 14.1.2 and hostile ones."""

from __future__ import annotations

import pytest

from hub.xet.errors import RangeNotSatisfiable
from hub.xet.ranges import parse_ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=-500", [(9500, 10000)]),
        ("bytes=9500-", [(9500, 10000)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 10000)]),
        ("bytes=500-600, 601-999", [(500, 601), (601, 1000)]),
        ("bytes=0-99999", [(0, 10000)]),
        ("bytes=7-18446744073709551615", [(7, 10000)]),
        ("bytes=-99999", [(0, 10000)]),
        ("bytes=9999-,20000-", [(9999, 10000)]),
    ],
)
def test_ranges_are_clipped_to_the_file(header: str, expected: list[tuple[int, int]]) -> None:
    assert parse_ranges(header, 10000) == expected


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "items=0-1", "bytes=1-2,",
     "bytes=--1", "bytes=1", "bytes=" + "9" * 40 + "-", "bytes=" + ",".join(["0-1"] * 65)],
)  # fmt: skip
def test_malformed_ranges_are_ignored(header: str) -> None:
    assert parse_ranges(header, 10000) is None


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001", "bytes=-0"])
def test_ranges_behind_the_end_are_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_ranges(header, 10000)
