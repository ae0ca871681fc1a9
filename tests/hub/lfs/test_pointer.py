"""LFS pointer files; the first example is the one of the git-lfs specification."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.lfs.pointer import (
    POINTER_MAX_BYTES,
    LfsPointer,
    format_pointer,
    is_lfs_oid,
    parse_pointer,
)

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n".encode()


def test_pointer_of_the_specification_is_read():
    assert parse_pointer(POINTER) == LfsPointer(OID, 12345)


def test_pointer_is_written_as_git_lfs_writes_it():
    assert format_pointer(OID, 12345) == POINTER


@pytest.mark.parametrize(
    "data",
    [
        POINTER.rstrip(b"\n"),
        POINTER.replace(b"\n", b"\r\n"),
        POINTER.replace(b"git-lfs.github.com", b"hawser.github.com"),
        POINTER.replace(b"oid", b"ext-0-foo sha256:" + OID.encode() + b"\noid", 1),
    ],
)
def test_variants_that_git_lfs_reads_are_read(data):
    assert parse_pointer(data) == LfsPointer(OID, 12345)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x00" * 200,
        POINTER[:-20],
        POINTER + b"extra line\n",
        b" " + POINTER,
        POINTER.replace(b"sha256", b"sha1"),
        POINTER.replace(OID.encode(), OID[:-1].encode()),
        POINTER.replace(OID.encode(), OID.upper().encode()),
        POINTER.replace(b"12345", b"-1"),
        POINTER.replace(b"12345", b"1e9"),
        POINTER.replace(b"12345", b"012345"),
        POINTER.replace(b"12345", b"9223372036854775808"),
        POINTER.replace(b"12345", "١٢".encode()),
        POINTER.replace(b"spec/v1", b"spec/v9"),
        POINTER.replace(b"https", b"http"),
        POINTER + b"\n" * POINTER_MAX_BYTES,
    ],
)
def test_what_is_no_pointer_is_content(data):
    assert parse_pointer(data) is None


@pytest.mark.parametrize(("oid", "size"), [("x", 1), (OID.upper(), 1), (OID, -1), (OID, 2**63)])
def test_pointer_with_bad_values_is_not_written(oid, size):
    with pytest.raises(ValueError, match="LFS"):
        format_pointer(oid, size)


@pytest.mark.parametrize("value", [None, 3, "", OID + "0", OID.upper(), OID + "\n"])
def test_only_a_lower_case_sha256_is_an_oid(value):
    assert is_lfs_oid(OID)
    assert not is_lfs_oid(value)


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**63 - 1))
def test_written_pointer_is_read_back(digest, size):
    data = format_pointer(digest.hex(), size)
    assert len(data) <= POINTER_MAX_BYTES
    assert parse_pointer(data) == LfsPointer(digest.hex(), size)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_a_crash(data):
    assert parse_pointer(data) is None or data.startswith(b"version ")
