"""Shards: round trips, hostile tables, mutations."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.xet.errors import FormatError
from hub.xet.hashing import keyed_hash
from hub.xet.shard import (
    FOOTER_BYTES,
    ShardFooter,
    build_shard,
    dedup_xorb,
    parse_shard,
)
from tests.support.xet import make_file, make_shard, make_xorb, noise, whole_file

XORB = make_xorb([noise(n, seed=n) for n in (700, 900, 100)])
OTHER = make_xorb([noise(50)])
FILE = make_file((XORB, 0, 2), (OTHER, 0, 1), (XORB, 1, 3))
GOOD = make_shard([FILE, whole_file(OTHER)], [XORB, OTHER])
BOOKEND = b"\xff" * 32 + bytes(16)


def test_a_shard_comes_back() -> None:
    shard = parse_shard(GOOD)
    first, second = shard.files
    assert first.file_hash == FILE.file_hash
    assert list(first.terms) == list(FILE.terms)
    assert first.range_hashes == FILE.range_hashes
    assert first.sha256 == FILE.sha256
    assert second.terms.size_bytes == 50
    assert [xorb.xorb_hash for xorb in shard.xorbs] == [XORB.hash, OTHER.hash]
    assert shard.xorbs[0].matches(XORB.index)
    assert not shard.xorbs[0].matches(OTHER.index)
    assert shard.footer is None
    assert build_shard(shard.files, shard.xorbs) == GOOD


def test_a_file_may_come_without_verification_and_digest() -> None:
    bare = type(FILE)(FILE.file_hash, FILE.terms, None, None)
    [file] = parse_shard(make_shard([bare])).files
    assert file.range_hashes is None
    assert file.sha256 is None


def test_a_deduplication_answer_has_keyed_hashes_and_a_footer() -> None:
    key = b"k" * 32
    answer = build_shard([], [dedup_xorb(XORB.index, key)], ShardFooter(key, 1000, 2000))
    assert answer[40:48] == struct.pack("<Q", FOOTER_BYTES)
    footer = answer[-FOOTER_BYTES:]
    # Offsets by the table of the format: version, sections, key, times, own offset.
    assert struct.unpack_from("<QQQ", footer) == (1, 48, 96)
    end = len(answer) - FOOTER_BYTES
    assert struct.unpack_from("<QQQQQQ", footer, 24) == (end, 0, end, 0, end, 0)
    assert footer[72:104] == key
    assert struct.unpack_from("<QQ", footer, 104) == (1000, 2000)
    assert struct.unpack_from("<Q", footer, 192) == (len(answer) - FOOTER_BYTES,)
    shard = parse_shard(answer)
    assert shard.footer == ShardFooter(key, 1000, 2000)
    [xorb] = shard.xorbs
    assert xorb.chunk_hashes[:32] == keyed_hash(key, XORB.index.hash_at(0))
    assert xorb.lengths.tolist() == [700, 900, 100]


def changed(at: int, new: bytes) -> bytes:
    return GOOD[:at] + new + GOOD[at + len(new) :]


HUGE = struct.pack("<I", 0xFFFFFFFF)
FILE_AT, TERM_AT = 48, 96
XORBS_AT = GOOD.index(BOOKEND) + 48

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "shard_truncated"),
    "another tag": (lambda: changed(0, b"X"), "shard_tag"),
    "another version": (lambda: changed(32, b"\x03"), "shard_version"),
    "odd footer size": (lambda: changed(40, b"\x08"), "shard_footer"),
    "footer announced but missing": (lambda: changed(40, b"\xc8"), "shard_truncated"),
    "footer of zeros": (lambda: changed(40, b"\xc8") + bytes(200), "shard_footer"),
    "huge number of terms": (lambda: changed(FILE_AT + 36, HUGE), "shard_truncated"),
    "huge number of chunks": (lambda: changed(XORBS_AT + 36, HUGE), "shard_chunks"),
    "many chunks": (
        lambda: changed(XORBS_AT + 36, struct.pack("<I", 8192)),
        "shard_truncated",
    ),
    "no terms": (lambda: changed(FILE_AT + 36, bytes(4)), "shard_empty_file"),
    "xorb without chunks": (lambda: changed(XORBS_AT + 36, bytes(4)), "shard_chunks"),
    "empty term": (lambda: changed(TERM_AT + 44, bytes(4)), "shard_empty_term"),
    "term that runs backwards": (lambda: changed(TERM_AT + 40, HUGE), "shard_empty_term"),
    "term far beyond any xorb": (lambda: changed(TERM_AT + 44, HUGE), "shard_chunks"),
    "chunk of no bytes": (lambda: changed(XORBS_AT + 48 + 36, bytes(4)), "shard_chunk_size"),
    "huge chunk": (lambda: changed(XORBS_AT + 48 + 36, HUGE), "shard_chunk_size"),
    "no bookend at the end": (lambda: GOOD[:-48], "shard_truncated"),
    "only one bookend": (lambda: GOOD[:48] + BOOKEND, "shard_truncated"),
    "cut in a record": (lambda: GOOD[:-50], "shard_truncated"),
    "trailing bytes": (lambda: GOOD + b"x", "shard_trailing_bytes"),
    "two shards": (lambda: GOOD + GOOD, "shard_trailing_bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_shards_are_refused(name: str) -> None:
    make, code = HOSTILE[name]
    data = make()
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as refusal:
            parse_shard(data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert refusal.value.code == code


@pytest.mark.parametrize("at", range(0, len(GOOD), 48))
def test_a_shard_cut_at_any_record_is_refused(at: int) -> None:
    with pytest.raises(FormatError):
        parse_shard(GOOD[:at])


def test_chunk_lists_that_lie_do_not_match() -> None:
    [claim] = parse_shard(make_shard([], [XORB])).xorbs
    for name, value in (
        ("chunk_hashes", claim.chunk_hashes[::-1]),
        ("unpacked_bytes", claim.unpacked_bytes + 1),
        ("starts", claim.starts + np.uint32(1)),
        ("lengths", claim.lengths[::-1]),
        ("lengths", claim.lengths[:-1]),
    ):
        fields = {"xorb_hash": claim.xorb_hash, "chunk_hashes": claim.chunk_hashes}
        fields |= {"starts": claim.starts, "lengths": claim.lengths}
        fields |= {"unpacked_bytes": claim.unpacked_bytes, name: value}
        if name == "lengths" and len(value) != len(claim.starts):
            fields["starts"] = claim.starts[:-1]
        assert not type(claim)(**fields).matches(XORB.index), name


@settings(max_examples=400)
@given(st.data())
def test_mutated_shards_are_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    try:
        parse_shard(bytes(body[: data.draw(st.integers(0, len(body)))]))
    except FormatError:
        return


@given(st.binary(max_size=500))
def test_noise_is_no_shard(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_shard(data)
    with pytest.raises(FormatError):
        parse_shard(GOOD[:48] + data)
