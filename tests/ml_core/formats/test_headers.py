"""Numpy and GGUF headers, and telling files apart."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.formats import gguf, npy
from ml_core.formats.detect import FileKind, kind_by_content, kind_by_name
from ml_core.formats.errors import FormatError, LimitExceeded


def npy_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npy_with(text):
    raw = text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw


@pytest.mark.parametrize(
    ("array", "may_hold_objects"),
    [
        (np.zeros((2, 3), np.float32), False),
        (np.array(["a", "b"]), False),
        (np.zeros(2, [("x", "<i4"), ("y", "<f8", (2,))]), False),
        (np.array(["2026-01-01"], "datetime64[D]"), False),
        (np.array([1, None], dtype=object), True),
        (np.zeros(2, [("x", "<i4"), ("y", object)]), True),
        (np.zeros(2, [("x", [("z", object)])]), True),
    ],
)
def test_numpy_header_tells_whether_objects_can_be_inside(array, may_hold_objects):
    stream = io.BytesIO(npy_bytes(array))
    header = npy.read_header(stream)
    assert header.shape == array.shape
    assert header.may_hold_objects is may_hold_objects
    assert stream.tell() == header.data_offset


@pytest.mark.parametrize("descr", ["'i4,O'", "'object'", "'O'", "3", "[('a', 'i4,O')]", "{'x': 1}"])
def test_unclear_numpy_types_count_as_objects(descr):
    header = npy.read_header(
        io.BytesIO(npy_with(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}"))
    )
    assert header.may_hold_objects


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY\x09\x00",
        npy_with("__import__('os')"),
        npy_with("(" * 5000),
        npy_with("{'descr': '<f4'}"),
        npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31),
    ],
)
def test_bad_numpy_headers_are_refused(raw):
    with pytest.raises(FormatError):
        npy.read_header(io.BytesIO(raw))


def gguf_text(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_file(pairs=(), tensors=(), version=3):
    raw = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, kind, value in pairs:
        raw += gguf_text(key) + struct.pack("<I", kind) + value
    for name, shape in tensors:
        raw += gguf_text(name) + struct.pack("<I", len(shape))
        raw += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", 0, 0)
    return raw


def test_gguf_header_is_read():
    vocabulary = struct.pack("<IQ", 8, 2) + gguf_text("a") + gguf_text("b")
    raw = gguf_file(
        [
            ("general.architecture", 8, gguf_text("llama")),
            ("tokenizer.ggml.tokens", 9, vocabulary),
            ("llama.context_length", 4, struct.pack("<I", 4096)),
            ("a.float", 6, struct.pack("<f", float("nan"))),
        ],
        [("w", (3, 4)), ("b", (4,))],
    )
    header = gguf.read_header(io.BytesIO(raw))
    assert header.to_json() == {"total": 16, "architecture": "llama", "context_length": 4096}
    assert "tokenizer.ggml.tokens" not in header.metadata


@pytest.mark.parametrize(
    "raw",
    [
        b"GGUX",
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60),
        gguf_file([("k", 8, struct.pack("<Q", 1 << 60))]),
        gguf_file([("k", 9, struct.pack("<IQ", 0, 1 << 60))]),
        gguf_file([("k", 9, struct.pack("<IQ", 10, 1000))]),
        gguf_file([("k", 9, struct.pack("<IQ", 9, 1))]),
        gguf_file([("k", 77, b"")]),
        gguf_file(tensors=[("w", (1,) * 9)]),
    ],
)
def test_bad_gguf_headers_are_refused(raw):
    with pytest.raises(FormatError):
        gguf.read_header(io.BytesIO(raw))


def test_gguf_limits_have_their_own_error():
    with pytest.raises(LimitExceeded):
        gguf.read_header(io.BytesIO(b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60)))


@given(st.binary(max_size=120))
@settings(deadline=None)
def test_random_bytes_raise_only_format_errors(noise):
    for reader, raw in [
        (npy.read_header, b"\x93NUMPY\x01\x00" + noise),
        (gguf.read_header, b"GGUF\x03\x00\x00\x00" + noise),
    ]:
        try:
            reader(io.BytesIO(raw))
        except FormatError as error:
            assert error.code  # noqa: PT017  # either outcome is fine, any other exception is not


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PK\x03\x04", FileKind.ZIP),
        (b"\x80\x04\x95", FileKind.PICKLE),
        (b"\x93NUMPY\x01", FileKind.NPY),
        (b"GGUF\x03", FileKind.GGUF),
        (struct.pack("<Q", 20) + b'{"a":1}', FileKind.SAFETENSORS),
        (b"\x7fELF\x02", FileKind.EXECUTABLE),
        (b"MZ" + bytes(80), FileKind.EXECUTABLE),
        (bytes(257) + b"ustar\x00", FileKind.TAR),
        (b"\x89PNG\r\n\x1a\n", FileKind.IMAGE),
        (b"RIFF\x00\x00\x00\x00WAVE", FileKind.AUDIO),
        (b"\xef\xbb\xbf<!DOCTYPE html>", FileKind.HTML),
        (b" <svg xmlns=", FileKind.HTML),
        (b"#!/bin/sh\n", FileKind.SCRIPT),
        ("Grüße".encode(), FileKind.TEXT),
        ("日本".encode()[:-1], FileKind.TEXT),
        (b"\xff\xfe\x00", FileKind.UNKNOWN),
        (b"", FileKind.UNKNOWN),
    ],
)
def test_content_is_told_by_its_first_bytes(head, kind):
    assert kind_by_content(head) is kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/model.safetensors", FileKind.SAFETENSORS),
        ("pytorch_model.bin", FileKind.UNKNOWN),
        ("x.PKL", FileKind.PICKLE),
        ("LICENSE", FileKind.TEXT),
        (".gitattributes", FileKind.TEXT),
        ("modeling.py", FileKind.PYTHON),
    ],
)
def test_names_promise_a_kind(path, kind):
    assert kind_by_name(path) is kind
