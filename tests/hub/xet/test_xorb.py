"""Bodies of xorbs: what is read, what is refused, and that refusing costs nothing."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import lz4.frame
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.xet.errors import FormatError
from hub.xet.hashing import chunk_hash
from hub.xet.index import MAX_CHUNKS, XorbIndex
from hub.xet.xorb import (
    MAX_FOOTER_BYTES,
    XorbVerifier,
    decode_range,
    verify_xorb,
)
from tests.support.xet import MadeXorb, floats, make_xorb, noise, record, split, xorb_hash_of

SCHEMES = [0, 1, 2]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 65535, 65536, 131072])
def test_a_chunk_of_any_length_comes_back(scheme: int, size: int) -> None:
    data = floats(size)
    xorb = make_xorb([data], scheme)
    assert xorb.hash == chunk_hash(data)
    assert bytes(decode_range(xorb.body, xorb.index, 0, 1)) == data


chunk_lists = st.lists(
    st.tuples(st.binary(min_size=1, max_size=300), st.sampled_from(SCHEMES)),
    min_size=1,
    max_size=12,
)


@given(chunk_lists, st.lists(st.integers(1, 200), max_size=30), st.data())
def test_pieces_of_any_size_give_the_same_index_and_ranges_decode(
    chunks: list[tuple[bytes, int]], sizes: list[int], data: st.DataObject
) -> None:
    body = b"".join(record(chunk, scheme) for chunk, scheme in chunks)
    verifier, at = XorbVerifier(), 0
    for size in [*sizes, len(body)]:
        verifier.feed(body[at : at + size])
        at += size
    plain = [chunk for chunk, _ in chunks]
    index = verifier.finish(xorb_hash_of(plain))
    assert verifier.body_bytes == index.size_bytes == len(body)
    assert index.lengths() == [len(chunk) for chunk in plain]
    start = data.draw(st.integers(0, len(plain) - 1))
    end = data.draw(st.integers(start + 1, len(plain)))
    first, last = index.byte_range(start, end)
    assert bytes(decode_range(body[first:last], index, start, end)) == b"".join(plain[start:end])


@given(chunk_lists)
def test_an_index_comes_back_from_its_stored_form(chunks: list[tuple[bytes, int]]) -> None:
    index = verify_xorb(b"".join(record(chunk, scheme) for chunk, scheme in chunks))
    again = XorbIndex.from_bytes(index.to_bytes())
    assert again.xorb_hash == index.xorb_hash
    assert again.chunk_hashes == index.chunk_hashes
    assert again.physical_ends.tolist() == index.physical_ends.tolist()
    assert again.unpacked_ends.tolist() == index.unpacked_ends.tolist()


def test_an_index_takes_forty_bytes_a_chunk() -> None:
    index = make_xorb([bytes([at]) for at in range(200)]).index
    assert len(index.to_bytes()) == 200 * 40 + 72


@pytest.mark.parametrize("at", [0, 5, 10, 50, 80, -1])
def test_a_damaged_index_is_refused(at: int) -> None:
    stored = bytearray(make_xorb([b"a", b"b"]).index.to_bytes())
    stored[at] ^= 1
    with pytest.raises(FormatError):
        XorbIndex.from_bytes(stored)
    with pytest.raises(FormatError):
        XorbIndex.from_bytes(stored[:40])


GOOD = floats(4000)
LZ4 = lz4.frame.compress(GOOD)


def header(compressed: int, scheme: int, unpacked: int, version: int = 0) -> bytes:
    return struct.pack("<II", version | compressed << 8, scheme | unpacked << 8)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "xorb_empty"),
    "half a header": (lambda: b"\0\0\0", "xorb_truncated"),
    "payload cut short": (lambda: record(GOOD)[:-1], "xorb_truncated"),
    "second record cut short": (lambda: record(GOOD) + record(GOOD, 1)[:-5], "xorb_truncated"),
    "only a header": (lambda: header(5, 0, 5), "xorb_truncated"),
    "trailing bytes": (lambda: record(GOOD) + b"\0" * 5, "xorb_truncated"),
    "trailing zeros like a header": (lambda: record(GOOD) + bytes(8), "xorb_chunk_size"),
    "unknown version": (lambda: header(4, 0, 4, version=1) + b"abcd", "xorb_version"),
    "unknown scheme": (lambda: header(4, 3, 4) + b"abcd", "xorb_scheme"),
    "empty chunk": (lambda: header(0, 0, 0), "xorb_chunk_size"),
    "empty payload": (lambda: header(0, 1, 9), "xorb_chunk_size"),
    "chunk above 128 KiB": (lambda: record(bytes(131073), 1), "xorb_chunk_size"),
    "payload above 256 KiB": (lambda: header(262145, 0, 9) + bytes(262145), "xorb_chunk_size"),
    "two lengths without compression": (lambda: record(GOOD, payload=GOOD[:-1]), "xorb_chunk_size"),
    "not an LZ4 frame": (lambda: record(GOOD, 1, payload=b"\x04\x22\x4d\x18junk"), "xorb_lz4"),
    "raw block instead of frame": (lambda: record(GOOD, 1, payload=GOOD[:100]), "xorb_lz4"),
    "LZ4 longer than announced": (lambda: record(GOOD[:-1], 1, payload=LZ4), "xorb_lz4"),
    "LZ4 shorter than announced": (lambda: record(GOOD + b"x", 1, payload=LZ4), "xorb_lz4"),
    "LZ4 without end mark": (lambda: record(GOOD, 1, payload=LZ4[:-4]), "xorb_lz4"),
    "LZ4 with bytes after the end": (lambda: record(GOOD, 1, payload=LZ4 + b"x"), "xorb_lz4"),
    "two LZ4 frames": (lambda: record(GOOD * 2, 1, payload=LZ4 + LZ4), "xorb_lz4"),
    "grouped LZ4 too short": (lambda: record(GOOD + b"x", 2, payload=LZ4), "xorb_lz4"),
    "too many chunks": (lambda: record(b"a") * (MAX_CHUNKS + 1), "xorb_chunks"),
    "too many bytes": (lambda: record(noise(131072)) * 513, "xorb_too_large"),
    "footer without end": (lambda: record(GOOD) + b"XETBLOB\x01", "xorb_footer"),
    "footer of another xorb": (lambda: record(GOOD) + footer_of(b"other"), "xorb_footer"),
    "bytes after the footer": (lambda: record(GOOD) + footer_of(GOOD) + b"x", "xorb_footer"),
    "endless footer": (
        lambda: record(GOOD) + b"XETBLOB\x01" + bytes(MAX_FOOTER_BYTES),
        "xorb_footer",
    ),
}


def footer_of(chunk: bytes) -> bytes:
    """The footer of a xorb of one stored chunk, by the table of the format."""
    name = chunk_hash(chunk)
    one = struct.pack("<I", 1)
    ends = struct.pack("<II", len(chunk) + 8, len(chunk))
    footer = b"XETBLOB\x01" + name + b"XBLBHSH\x00" + one + name + b"XBLBBND\x01" + one + ends
    footer += one + struct.pack("<II", 92, 48) + bytes(16)
    return footer + struct.pack("<I", len(footer))


def verify_in_pieces(body: bytes, piece_bytes: int) -> XorbIndex:
    verifier = XorbVerifier()
    for at in range(0, len(body), piece_bytes):
        verifier.feed(body[at : at + piece_bytes])
    return verifier.finish()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("piece_bytes", [1 << 20, 977])
def test_hostile_bodies_are_refused(name: str, piece_bytes: int) -> None:
    make, code = HOSTILE[name]
    with pytest.raises(FormatError) as refusal:
        verify_in_pieces(make(), piece_bytes)
    assert refusal.value.code == code


def test_what_a_refused_body_leaves_does_not_reach_the_next_one() -> None:
    good = make_xorb([GOOD, noise(70_000)], 1)
    for body, _ in HOSTILE.values():
        with pytest.raises(FormatError):
            verify_xorb(body())
        index = verify_xorb(good.body, good.hash)
        assert index.to_bytes() == good.index.to_bytes()


def test_threads_that_check_at_once_do_not_mix_their_bodies() -> None:
    made = [make_xorb([floats(60_000 + at), floats(9_000 + at)], 2) for at in range(8)]

    def check(xorb: MadeXorb) -> bool:
        verifier = XorbVerifier()
        for at in range(0, len(xorb.body), 4_096):
            verifier.feed(xorb.body[at : at + 4_096])
        index = verifier.finish(xorb.hash)
        return len(decode_range(xorb.body, index, 0, index.count)) == index.unpacked_bytes

    with ThreadPoolExecutor(len(made)) as pool:
        assert all(pool.map(check, made))


def test_a_footer_is_checked_and_not_counted() -> None:
    body = record(GOOD)
    verifier = XorbVerifier()
    verifier.feed(body + footer_of(GOOD))
    assert verifier.finish(chunk_hash(GOOD)).size_bytes == verifier.body_bytes == len(body)


def test_another_hash_than_announced_is_refused() -> None:
    with pytest.raises(FormatError) as refusal:
        verify_xorb(record(GOOD), chunk_hash(b"other"))
    assert refusal.value.code == "xorb_hash_mismatch"


def test_an_lz4_bomb_takes_no_memory() -> None:
    payload = lz4.frame.compress(bytes(60_000_000), block_size=lz4.frame.BLOCKSIZE_MAX64KB)
    assert len(payload) <= 262144
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            verify_xorb(record(bytes(131072), 1, payload=payload))
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_flipped_stored_byte_is_noticed_on_reading(scheme: int) -> None:
    xorb = make_xorb(split(floats(200_000)), scheme)
    for at in (8, 3000, len(xorb.body) - 20):
        damaged = bytearray(xorb.body)
        damaged[at] ^= 0x40
        with pytest.raises(FormatError):
            decode_range(damaged, xorb.index, 0, xorb.index.count)


@settings(max_examples=300)
@given(st.data())
def test_mutated_bodies_end_in_an_index_or_the_one_error(data: st.DataObject) -> None:
    chunks = [b"abc", GOOD[:700], bytes(500)]
    body = bytearray(b"".join(record(c, s) for c, s in zip(chunks, SCHEMES, strict=True)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip":
                body[at] = data.draw(st.integers(0, 255))
            case "cut":
                del body[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        if not body:
            break
    try:
        index = verify_xorb(body)
    except FormatError:
        return
    assert len(decode_range(body, index, 0, index.count)) == index.unpacked_bytes


def test_chunk_lookup_by_offset() -> None:
    index = make_xorb([b"aaa", b"b", b"cc"]).index
    assert [index.chunk_holding(offset) for offset in range(6)] == [0, 0, 0, 1, 2, 2]
    assert index.unpacked_range(1, 3) == (3, 6)
    assert index.byte_range(1, 2) == (11, 20)
    assert np.all(index.physical_ends == [11, 20, 30])
