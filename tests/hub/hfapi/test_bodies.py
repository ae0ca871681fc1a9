"""Reading bodies: chunked ones, lines, limits, and what they cost in memory."""

from __future__ import annotations

import base64
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from hub.actions.commits import AddWaiting
from hub.errors import TooLarge
from hub.hfapi.bodies import input_of, lines_of
from hub.hfapi.ndjson import Limits, reading_commit
from tests.hub.hfapi.conftest import file_line, header


@given(st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"")), max_size=30))
def test_lines_are_those_that_were_written(lines: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(line + b"\n" for line in lines))
    assert list(lines_of(stream, max_line_bytes=200, max_total_bytes=10**6)) == lines


def test_last_line_needs_no_end() -> None:
    stream = io.BytesIO(b"a\n\nb")
    assert list(lines_of(stream, max_line_bytes=9, max_total_bytes=9)) == [b"a", b"", b"b"]


def test_endless_line_is_given_up_at_the_limit() -> None:
    class Endless(io.RawIOBase):
        served = 0

        def read(self, size: int = -1) -> bytes:
            self.served += size
            return b"x" * size

    stream = Endless()
    with pytest.raises(TooLarge):
        list(lines_of(stream, max_line_bytes=10**6, max_total_bytes=10**9))
    assert stream.served < 1.2 * 10**6


def test_chunked_body_is_read_where_the_server_ends_it() -> None:
    request = RequestFactory().post("/", headers={"Transfer-Encoding": "chunked"})
    request.META["wsgi.input"] = io.BytesIO(b"chunked bytes")
    request.META["wsgi.input_terminated"] = True
    assert input_of(request).read() == b"chunked bytes"


def test_plain_body_ends_at_its_length() -> None:
    request = RequestFactory().post("/", b"12345", content_type="text/plain")
    assert input_of(request).read() == b"12345"


def test_contents_wait_on_disk_and_not_twice_in_memory(tmp_path: Path) -> None:
    content = bytes(1024**2)
    lines = [header(), *(file_line(f"f{n}", content) for n in range(40))]
    body = tmp_path / "body"
    body.write_bytes(b"\n".join(json.dumps(line).encode() for line in lines))
    del lines
    limits = Limits(file_bytes=2 * 1024**2, total_bytes=10**9)
    tracemalloc.start()
    with (
        body.open("rb") as stream,
        reading_commit(stream, limits=limits, staging_dir=tmp_path) as commit,
    ):
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 24 * 1024**2
        first = commit.changes[0]
        assert isinstance(first, AddWaiting)
        assert first.read() == content
        assert len(commit.changes) == 40


def test_spool_is_gone_after_an_error(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    big = json.dumps(file_line("a", bytes(9 * 1024**2)))
    stream = io.BytesIO(f"{json.dumps(header())}\n{big}\nnot json".encode())
    limits = Limits(file_bytes=10 * 1024**2, total_bytes=10**9)
    with (
        pytest.raises(Exception, match="Line 3"),
        reading_commit(stream, limits=limits, staging_dir=staging),
    ):
        pass
    assert list(staging.iterdir()) == []


def test_contents_come_back_in_any_order(tmp_path: Path) -> None:
    contents = [base64.b64encode(bytes([n])) * n for n in range(50)]
    rows = [header(), *(file_line(f"f{n}", data) for n, data in enumerate(contents))]
    stream = io.BytesIO(b"\n".join(json.dumps(row).encode() for row in rows))
    limits = Limits(file_bytes=10**6, total_bytes=10**6)
    with reading_commit(stream, limits=limits, staging_dir=tmp_path) as commit:
        read = [change.read() for change in reversed(commit.changes)]  # type: ignore[union-attr]
    assert read == contents[::-1]
