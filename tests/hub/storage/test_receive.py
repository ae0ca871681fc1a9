"""Receiving a body: what was promised is kept, anything else leaves nothing."""

import errno
import hashlib
import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.storage import (
    ClientGone,
    DigestMismatch,
    HashingReader,
    SizeMismatch,
    StorageFull,
    TooLarge,
    receive,
)


@pytest.fixture
def staging_dir(tmp_path):
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


DATA = b"some content" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


class Trickle(io.RawIOBase):
    """Gives a few bytes at a time, as a slow network does."""

    def __init__(self, data, step=7):
        self.data, self.step, self.position = data, step, 0

    def read(self, size=-1):
        size = self.step if size < 0 else min(size, self.step)
        chunk = self.data[self.position : self.position + size]
        self.position += len(chunk)
        return chunk


class Broken(io.RawIOBase):
    """Fails after the first part, as a lost connection does."""

    def __init__(self):
        self.is_first = True

    def read(self, size=-1):
        if self.is_first:
            self.is_first = False
            return b"first part"
        raise ConnectionResetError("gone")


@pytest.mark.parametrize("stream", [io.BytesIO, Trickle])
def test_promised_body_is_kept(tmp_path, stream):
    received = receive(
        stream(DATA),
        staging_dir=tmp_path / "new",
        limit_bytes=10**6,
        expected_size=len(DATA),
        expected_sha256=SHA256,
    )
    assert received.path.read_bytes() == DATA
    assert (received.size_bytes, received.sha256) == (len(DATA), SHA256)
    assert received.path.parent == tmp_path / "new"


def test_body_without_promises_is_measured(tmp_path):
    received = receive(io.BytesIO(DATA), staging_dir=tmp_path, limit_bytes=10**6)
    assert (received.size_bytes, received.sha256) == (len(DATA), SHA256)


def test_empty_body_is_a_body(tmp_path):
    received = receive(io.BytesIO(), staging_dir=tmp_path, limit_bytes=10, expected_size=0)
    assert received.path.read_bytes() == b""


@pytest.mark.parametrize(
    ("data", "promise", "error"),
    [
        (DATA[:-1], {"expected_size": len(DATA)}, SizeMismatch),
        (DATA + b"x", {"expected_size": len(DATA)}, SizeMismatch),
        (b"", {"expected_size": 1}, SizeMismatch),
        (DATA, {"expected_sha256": "0" * 64}, DigestMismatch),
        (DATA[::-1], {"expected_size": len(DATA), "expected_sha256": SHA256}, DigestMismatch),
        (DATA, {"limit_bytes": len(DATA) - 1}, TooLarge),
        (DATA, {"limit_bytes": 10, "expected_size": len(DATA)}, TooLarge),
    ],
)
def test_broken_promise_leaves_nothing(staging_dir, data, promise, error):
    with pytest.raises(error):
        receive(io.BytesIO(data), **({"staging_dir": staging_dir, "limit_bytes": 10**6} | promise))
    assert list(staging_dir.iterdir()) == []


def test_endless_body_is_cut_off_one_byte_late(staging_dir):
    stream = Trickle(b"x" * 10**6, step=1)
    with pytest.raises(SizeMismatch):
        receive(stream, staging_dir=staging_dir, limit_bytes=10**6, expected_size=100)
    assert stream.position == 101
    assert list(staging_dir.iterdir()) == []


def test_lost_connection_leaves_nothing(staging_dir):
    with pytest.raises(ClientGone):
        receive(Broken(), staging_dir=staging_dir, limit_bytes=10**6)
    assert list(staging_dir.iterdir()) == []


def test_full_disk_leaves_nothing(staging_dir, monkeypatch):
    opened = os.fdopen

    class Full:
        def __init__(self, descriptor):
            self.file = opened(descriptor, "wb", buffering=0)

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            self.file.close()

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hub.storage.digests.os.fdopen", lambda fd, *a, **k: Full(fd))
    with pytest.raises(StorageFull):
        receive(io.BytesIO(DATA), staging_dir=staging_dir, limit_bytes=10**6)
    assert list(staging_dir.iterdir()) == []


@settings(deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 700))
def test_reader_hashes_what_passed_through(data, step):
    reader = HashingReader(io.BytesIO(data))
    parts = []
    while part := reader.read(step):
        parts.append(part)
    assert b"".join(parts) == data
    assert reader.size_bytes == len(data)
    assert reader.sha256() == hashlib.sha256(data).hexdigest()
