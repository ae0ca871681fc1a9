"""Listings of archives built here, honest and hostile."""

import gzip
import io
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.formats.archives import ArchiveLimits
from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.tar_reader import list_tar
from ml_core.formats.zip_reader import list_zip, open_entry


def make_zip(members, compression=zipfile.ZIP_DEFLATED, **kwargs):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data, **kwargs)
    return buffer.getvalue()


def make_tar(members, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_info(name, **fields):
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def codes(listing):
    return {oddity.code for oddity in listing.oddities}


def test_honest_zip_is_listed_without_oddity():
    raw = make_zip([("a/data.pkl", b"x" * 1000), ("b.txt", b"hello")])
    listing = list_zip(io.BytesIO(raw))
    assert [(e.name, e.size_bytes) for e in listing.entries] == [("a/data.pkl", 1000), ("b.txt", 5)]
    assert not listing.oddities


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 12])
def test_entries_are_read_back_whole(compression):
    content = bytes(range(256)) * 1000
    stream = io.BytesIO(make_zip([("first", b"1"), ("second", content)], compression))
    entry = list_zip(stream).entries[1]
    with open_entry(stream, entry, max_bytes=1 << 20) as opened:
        assert opened.read() == content


def test_zip_with_64_bit_records_is_listed():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as out:
        out.write(b"wide")
    stream = io.BytesIO(buffer.getvalue())
    entry = list_zip(stream).entries[0]
    with open_entry(stream, entry, max_bytes=100) as opened:
        assert opened.read() == b"wide"


def test_entry_that_expands_too_far_is_stopped():
    stream = io.BytesIO(make_zip([("zeros", bytes(1 << 20))]))
    entry = list_zip(stream).entries[0]
    with open_entry(stream, entry, max_bytes=1000) as opened, pytest.raises(LimitExceeded):
        opened.read()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../evil", "escaping-name"),
        ("a/../../evil", "escaping-name"),
        ("/etc/passwd", "escaping-name"),
        ("C:\\evil", "escaping-name"),
        ("..\\evil", "escaping-name"),
        ("a\x01b", "control-name"),
    ],
)
def test_names_that_lead_outside_are_named(name, code):
    assert code in codes(list_zip(io.BytesIO(make_zip([(name, b"x")]))))
    assert code in codes(list_tar(io.BytesIO(make_tar([(tar_info(name), b"")]))))


def test_zip_bomb_is_named_by_ratio_and_size():
    raw = make_zip([(f"{n}", bytes(1 << 20)) for n in range(3)])
    limits = ArchiveLimits(max_expanded_bytes=2 << 20, max_ratio=100)
    assert "bomb" in codes(list_zip(io.BytesIO(raw), limits))
    assert "bomb" not in codes(list_zip(io.BytesIO(raw)))


def test_zip_with_too_many_entries_is_refused():
    raw = make_zip([(f"{n}", b"") for n in range(11)])
    with pytest.raises(LimitExceeded):
        list_zip(io.BytesIO(raw), ArchiveLimits(max_entries=10))


def test_zip_that_lies_about_its_count_is_refused():
    raw = bytearray(make_zip([("a", b"1"), ("b", b"2")]))
    end = raw.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", raw, end + 8, 1, 1)
    with pytest.raises(FormatError) as caught:
        list_zip(io.BytesIO(bytes(raw)))
    assert caught.value.code == "bad-directory"


def test_disguises_in_a_zip_are_named():
    plain = make_zip([("harmless.txt", b"x")])
    other_name = plain.replace(b"harmless.txt", b"pickled.data", 1)
    encrypted = bytearray(plain)
    encrypted[encrypted.rfind(b"PK\x01\x02") + 8] |= 1
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    assert codes(list_zip(io.BytesIO(b"prefix" + plain))) == {"prefix"}
    assert codes(list_zip(io.BytesIO(other_name))) == {"local-name"}
    assert codes(list_zip(io.BytesIO(bytes(encrypted)))) == {"encrypted"}
    assert "escaping-link" in codes(list_zip(io.BytesIO(make_zip([(link, b"/etc/passwd")]))))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_names_are_named():
    assert codes(list_zip(io.BytesIO(make_zip([("a", b"1"), ("a", b"2")])))) == {"repeated-name"}


@pytest.mark.parametrize("cut", [1, 10, 30, 60])
def test_cut_zip_is_refused(cut):
    raw = make_zip([("a", b"x" * 100), ("b", b"y")])
    with pytest.raises(FormatError):
        list_zip(io.BytesIO(raw[:-cut]))


def test_honest_tar_is_listed_plain_and_compressed():
    members = [(tar_info("a.txt", size=3), b"abc"), (tar_info("d", type=tarfile.DIRTYPE), b"")]
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        listing = list_tar(io.BytesIO(make_tar(members, mode)))
        assert [(e.name, e.size_bytes) for e in listing.entries] == [("a.txt", 3), ("d", 0)]
        assert not listing.oddities


def test_links_and_devices_in_a_tar_are_named():
    raw = make_tar(
        [
            (tar_info("inside", type=tarfile.SYMTYPE, linkname="a.txt"), b""),
            (tar_info("outside", type=tarfile.SYMTYPE, linkname="../../etc"), b""),
            (tar_info("null", type=tarfile.CHRTYPE), b""),
        ]
    )
    assert codes(list_tar(io.BytesIO(raw))) == {"link", "escaping-link", "special-file"}


def test_compressed_tar_bomb_is_stopped():
    raw = gzip.compress(make_tar([(tar_info("zeros", size=1 << 22), bytes(1 << 22))]))
    with pytest.raises(LimitExceeded):
        list_tar(io.BytesIO(raw), ArchiveLimits(max_read_bytes=1 << 20))


def test_tar_header_that_asks_for_memory_is_refused():
    info = tar_info("pax", type=tarfile.XHDTYPE, size=1 << 30)
    raw = info.tobuf(tarfile.PAX_FORMAT) + bytes(4096)
    with pytest.raises(FormatError):
        list_tar(io.BytesIO(raw))


@given(st.binary(max_size=400), st.integers(0, 300), st.integers(0, 255))
@settings(deadline=None)
def test_damaged_archives_raise_only_format_errors(noise, position, byte):
    damaged_zip = bytearray(make_zip([("a", b"x" * 50), ("b", b"")]))
    damaged_zip[position % len(damaged_zip)] = byte
    damaged_tar = bytearray(make_tar([(tar_info("a", size=3), b"abc")]))
    damaged_tar[position] = byte
    attempts = [(list_zip, damaged_zip), (list_zip, noise), (list_tar, damaged_tar)]
    for lister, raw in [*attempts, (list_tar, noise), (list_tar, b"\x1f\x8b" + noise)]:
        try:
            lister(io.BytesIO(bytes(raw)))
        except FormatError as error:
            assert error.code  # noqa: PT017  # either outcome is fine, any other exception is not
