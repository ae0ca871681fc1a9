"""Compressed and oversized bodies of git requests."""

import gzip
import io
import zlib

import pytest
from django.test import RequestFactory

from hub.errors import InvalidInput, TooLarge
from hub.githttp.bodies import GzipReader, blocks_of, body_of

MEDIA_TYPE = "application/x-git-upload-pack-request"


def post(data, **headers):
    return RequestFactory().post("/x", data, content_type=MEDIA_TYPE, headers=headers)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_compressed_bodies_are_unpacked(encoding):
    request = post(gzip.compress(b"want this\n" * 1000), **{"Content-Encoding": encoding})
    assert b"".join(blocks_of(body_of(request, media_type=MEDIA_TYPE), max_bytes=10_000)) == (
        b"want this\n" * 1000
    )


def test_a_bomb_is_refused_after_what_is_allowed():
    source = io.BytesIO(gzip.compress(bytes(200_000_000), 9))
    with pytest.raises(TooLarge):
        list(blocks_of(GzipReader(source), max_bytes=1_000_000))
    assert source.tell() <= 1 << 17
    assert len(GzipReader(io.BytesIO(gzip.compress(bytes(10_000_000)))).read(1000)) == 1000


@pytest.mark.parametrize(
    "data", [b"no gzip at all", zlib.compress(b"zlib"), b"\x1f\x8b\x08\0broken"]
)
def test_what_is_no_gzip_is_refused(data):
    with pytest.raises(InvalidInput):
        list(blocks_of(GzipReader(io.BytesIO(data + b"x" * 100)), max_bytes=1000))


def test_a_gzip_stream_that_is_cut_off_ends():
    data = gzip.compress(b"abc" * 1000)
    assert (b"abc" * 1000).startswith(GzipReader(io.BytesIO(data[:-12])).read(5000))


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(InvalidInput):
        body_of(post(b"", **{"Content-Encoding": encoding}), media_type=MEDIA_TYPE)


def test_a_form_of_another_site_is_refused():
    """Browsers send no such type without asking first, so a stored password is of no use there."""
    request = RequestFactory().post("/x", b"a=b", content_type="application/x-www-form-urlencoded")
    with pytest.raises(InvalidInput) as caught:
        body_of(request, media_type=MEDIA_TYPE)
    assert caught.value.status == 415
