"""Ranges of files: the plan a client follows gives exactly the bytes asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.xet.errors import FormatError, RangeNotSatisfiable
from hub.xet.hashing import format_hash
from hub.xet.terms import (
    FetchRange,
    Term,
    TermList,
    merge_ranges,
    plan_reconstruction,
    v1_answer,
    v2_answer,
)
from hub.xet.xorb import decode_range
from tests.support.xet import MadeXorb, make_xorb, noise

XORBS = [
    make_xorb([noise(n, seed=n) for n in (5, 1, 9, 30, 2, 14)]),
    make_xorb([noise(n, seed=n) for n in (40, 3)]),
    make_xorb([b"single"]),
]
BY_HASH = {xorb.hash: xorb for xorb in XORBS}


def index_of(xorb_hash: bytes):  # type: ignore[no-untyped-def]
    return BY_HASH[xorb_hash].index


@st.composite
def term_lists(draw: st.DrawFn) -> list[tuple[MadeXorb, int, int]]:
    parts = []
    for _ in range(draw(st.integers(1, 8))):
        xorb = draw(st.sampled_from(XORBS))
        start = draw(st.integers(0, len(xorb.chunks) - 1))
        parts.append((xorb, start, draw(st.integers(start + 1, len(xorb.chunks)))))
    return parts


def follow(plan_json: dict, version: int) -> bytes:  # type: ignore[type-arg]
    """What a client does with an answer: fetch each range, decode, join, drop the offset."""
    pieces = b""
    for term in plan_json["terms"]:
        xorb, chunks = BY_HASH[bytes_of(term["hash"])], term["range"]
        for listed in ranges_of(plan_json, term["hash"], version):
            held, where = listed
            if held["start"] <= chunks["start"] and chunks["end"] <= held["end"]:
                body = xorb.body[where["start"] : where["end"] + 1]
                data = decode_range(body, xorb.index, held["start"], held["end"])
                skip = (
                    xorb.index.unpacked_length(held["start"], chunks["start"])
                    if (chunks["start"] > held["start"])
                    else 0
                )
                pieces += data[skip : skip + term["unpacked_length"]]
                break
        else:
            raise AssertionError("a term lies in none of the listed ranges")
    return pieces[plan_json["offset_into_first_range"] :]


def bytes_of(text: str) -> bytes:
    return next(raw for raw in BY_HASH if format_hash(raw) == text)


def ranges_of(plan_json: dict, text: str, version: int):  # type: ignore[no-untyped-def, type-arg]
    if version == 1:
        return [(one["range"], one["url_range"]) for one in plan_json["fetch_info"][text]]
    return [
        (one["chunks"], one["bytes"])
        for entry in plan_json["xorbs"][text]
        for one in entry["ranges"]
    ]


def url_for(xorb_hash: bytes, ranges: Sequence[FetchRange]) -> str:
    return f"http://hub/{format_hash(xorb_hash)}/{len(ranges)}"


@given(term_lists(), st.data())
def test_any_range_is_rebuilt_by_following_the_plan(
    parts: list[tuple[MadeXorb, int, int]], data: st.DataObject
) -> None:
    terms = TermList.of([xorb.term(start, end) for xorb, start, end in parts])
    content = b"".join(xorb.data(start, end) for xorb, start, end in parts)
    assert terms.size_bytes == len(content)
    assert list(TermList.from_bytes(terms.to_bytes())) == list(terms)
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start + 1, len(content) + 5))
    plan = plan_reconstruction(terms, index_of, (start, end))
    for version, answer in ((1, v1_answer(plan, url_for)), (2, v2_answer(plan, url_for))):
        rebuilt = follow(answer, version)
        assert rebuilt[: end - start] == content[start:end]
        assert len(rebuilt) - (min(end, len(content)) - start) < 40  # less than one chunk too much


@given(term_lists())
def test_without_a_range_the_plan_is_the_whole_file(
    parts: list[tuple[MadeXorb, int, int]],
) -> None:
    terms = TermList.of([xorb.term(start, end) for xorb, start, end in parts])
    plan = plan_reconstruction(terms, index_of)
    assert plan.terms == tuple(terms)
    assert plan.offset_into_first_range == 0
    for fetches in plan.fetches.values():
        pairs = itertools.pairwise(fetches)
        assert all(one.chunk_end < two.chunk_start for one, two in pairs)


@pytest.mark.parametrize("byte_range", [(6, 7), (6, 6), (3, 3), (100, 200)])
def test_a_range_behind_the_end_is_not_satisfiable(byte_range: tuple[int, int]) -> None:
    terms = TermList.of([XORBS[2].term()])
    with pytest.raises(RangeNotSatisfiable):
        plan_reconstruction(terms, index_of, byte_range)


def test_v1_and_v2_answers_by_hand() -> None:
    """Chunks 0 ("aaaa") and 2 ("cc") of one xorb; records have 8 bytes of header."""
    xorb = make_xorb([b"aaaa", b"bbb", b"cc"])
    name = format_hash(xorb.hash)
    terms = TermList.of([xorb.term(0, 1), xorb.term(2, 3)])
    plan = plan_reconstruction(terms, lambda _: xorb.index, (1, 6))
    common = {
        "offset_into_first_range": 1,
        "terms": [
            {"hash": name, "unpacked_length": 4, "range": {"start": 0, "end": 1}},
            {"hash": name, "unpacked_length": 2, "range": {"start": 2, "end": 3}},
        ],
    }
    first = ({"start": 0, "end": 1}, {"start": 0, "end": 11})
    second = ({"start": 2, "end": 3}, {"start": 23, "end": 32})
    assert v1_answer(plan, url_for) == common | {
        "fetch_info": {
            name: [
                {"range": chunks, "url": f"http://hub/{name}/1", "url_range": where}
                for chunks, where in (first, second)
            ]
        }
    }
    ranges = [{"chunks": chunks, "bytes": where} for chunks, where in (first, second)]
    assert v2_answer(plan, url_for) == common | {
        "xorbs": {name: [{"url": f"http://hub/{name}/2", "ranges": ranges}]}
    }


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10))))
def test_merged_ranges_cover_the_same_and_stay_apart(pairs: list[tuple[int, int]]) -> None:
    ranges = [(start, start + size) for start, size in pairs]
    merged = merge_ranges(ranges)
    covered = {at for start, end in ranges for at in range(start, end)}
    assert {at for start, end in merged for at in range(start, end)} == covered
    assert all(one[1] < two[0] for one, two in itertools.pairwise(merged))


def test_a_damaged_term_list_is_refused() -> None:
    with pytest.raises(FormatError):
        TermList.from_bytes(bytes(43))


def test_a_term_beyond_its_xorb_is_refused() -> None:
    terms = TermList.of([Term(XORBS[2].hash, 0, 2, 12)])
    with pytest.raises(FormatError):
        plan_reconstruction(terms, index_of)
