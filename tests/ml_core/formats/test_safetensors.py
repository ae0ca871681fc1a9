"""The header reader against the real library and against hostile headers."""

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.safetensors import read_header, summarize


def build(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(dtype, shape, start, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def read(raw, **kwargs):
    return read_header(io.BytesIO(raw), **kwargs)


def test_header_of_the_real_library_is_read():
    raw = save({"b": np.zeros((2, 3), np.float32), "a": np.ones(4, np.int64)}, {"format": "pt"})
    header = read(raw)
    assert {t.name: (t.dtype, t.shape) for t in header.tensors} == {
        "b": ("F32", (2, 3)),
        "a": ("I64", (4,)),
    }
    assert header.metadata == {"format": "pt"}
    assert header.data_size_bytes == 2 * 3 * 4 + 4 * 8


def test_summary_counts_elements_by_dtype_over_all_files():
    one = read(save({"a": np.zeros((2, 3), np.float32), "b": np.zeros((), np.float32)}))
    two = read(save({"c": np.zeros(5, np.float16), "d": np.zeros((0, 7), np.float32)}))
    assert summarize([one, two]).to_json() == {"parameters": {"F16": 5, "F32": 7}, "total": 12}


def test_reading_a_header_reads_no_tensor():
    raw = save({"a": np.zeros(1_000_000, np.float32)})

    class Counting(io.BytesIO):
        n_read = 0

        def read(self, n=-1):
            data = super().read(n)
            Counting.n_read += len(data)
            return data

    read_header(Counting(raw))
    assert Counting.n_read < 1000


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": tensor("F4", [4], 0, 2)}, b"12"),
        ({"a": tensor("F8_E4M3FNUZ", [2], 0, 2)}, b"12"),
        ({"a": tensor("C64", [1], 0, 8)}, b"12345678"),
        (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   ', b"12"),
        ({"a": tensor("U8", [0], 0, 0), "b": tensor("U8", [0], 0, 0)}, b""),
        ({}, b""),
    ],
)
def test_unusual_headers_the_library_accepts_are_accepted(header, data):
    raw = build(header, data)
    assert len(deserialize(raw)) == len(read(raw).tensors)


HOSTILE = [
    (b"", "truncated"),
    (b"\x00" * 7, "truncated"),
    (struct.pack("<Q", 1 << 62), "header-too-large"),
    (struct.pack("<Q", 50) + b"{}", "truncated"),
    (build(b"[]"), "header-not-json"),
    (build(b' {"a":1}'), "header-not-json"),
    (build(b"{" * 100), "header-not-json"),
    (build(b'{"a":' * 20_000), "header-not-json"),
    (build(b'{"a": "\xff"}'), "header-not-json"),
    (build(b'{"__metadata__": {"a": 1}}'), "bad-metadata"),
    (build(b'{"__metadata__": []}'), "bad-metadata"),
    (build({"a": 3}), "bad-tensor"),
    (build({"a": {"dtype": "F32"}}), "bad-tensor"),
    (build({"a": tensor("F99", [1], 0, 4)}, b"1234"), "unknown-dtype"),
    (build({"a": tensor(["F32"], [1], 0, 4)}, b"1234"), "unknown-dtype"),
    (build({"a": tensor("F32", [-1], 0, 4)}, b"1234"), "bad-shape"),
    (build({"a": tensor("F32", [1.0], 0, 4)}, b"1234"), "bad-shape"),
    (build({"a": tensor("F32", [True], 0, 4)}, b"1234"), "bad-shape"),
    (build({"a": tensor("F32", "1", 0, 4)}, b"1234"), "bad-shape"),
    (build({"a": tensor("F32", [2**40, 2**40], 0, 4)}, b"1234"), "bad-shape"),
    (build({"a": tensor("F32", [1] * 65, 0, 4)}, b"1234"), "bad-shape"),
    (build({"a": tensor("F32", [1], 4, 0)}, b"1234"), "bad-offsets"),
    (build({"a": tensor("F32", [1], -4, 0)}, b"1234"), "bad-offsets"),
    (build({"a": tensor("F32", [2], 0, 4)}, b"1234"), "size-mismatch"),
    (build({"a": tensor("F4", [3], 0, 2)}, b"12"), "size-mismatch"),
    (
        build({"a": tensor("U8", [3], 0, 3), "b": tensor("U8", [3], 1, 4)}, b"1234"),
        "tensors-overlap",
    ),
    (
        build({"a": tensor("U8", [3], 0, 3), "b": tensor("U8", [3], 0, 3)}, b"123"),
        "tensors-overlap",
    ),
    (build({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [1], 3, 4)}, b"1234"), "gap"),
    (build({"a": tensor("U8", [1], 1, 2)}, b"12"), "gap"),
    (build({"a": tensor("U8", [4], 0, 4)}, b"123"), "truncated"),
    (build({"a": tensor("U8", [2], 0, 2)}, b"123"), "trailing-bytes"),
    (
        build(
            b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
            b'"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
            b"12",
        ),
        "duplicate-key",
    ),
    (
        build(b'{"a":{"dtype":"U8","dtype":"F32","shape":[2],"data_offsets":[0,2]}}', b"12"),
        "duplicate-key",
    ),
]


@pytest.mark.parametrize(("raw", "code"), HOSTILE)
def test_hostile_headers_are_refused_with_their_code(raw, code):
    with pytest.raises(FormatError) as caught:
        read(raw)
    assert caught.value.code == code


def test_header_above_the_limit_is_refused_before_it_is_read():
    raw = build({"a": tensor("U8", [2], 0, 2)}, b"12")
    with pytest.raises(LimitExceeded):
        read(raw, max_header_bytes=10)


numbers = st.integers(-2, 12)
tensors = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F16", "F32", "F4", "XX"]),
        "shape": st.lists(numbers, max_size=3),
        "data_offsets": st.lists(numbers, min_size=1, max_size=3),
    }
)


@given(st.dictionaries(st.text(max_size=3), tensors, max_size=3), st.binary(max_size=24))
@settings(deadline=None)
def test_whatever_we_accept_the_library_accepts(header, data):
    raw = build(header, data)
    try:
        accepted = read(raw)
    except FormatError:
        return
    try:
        theirs = {name for name, _ in deserialize(raw)}
    except SafetensorError as error:
        pytest.fail(f"accepted what the library refuses: {error}")
    assert {t.name for t in accepted.tensors} == theirs


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_raise_only_format_errors(raw):
    try:
        read(raw)
    except FormatError as error:
        assert error.code  # noqa: PT017  # either outcome is fine, any other exception is not
