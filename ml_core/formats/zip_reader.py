"""Zip files read from their central directory, with limits, without trusting any of it.

The standard `zipfile` refuses archives that laxer loaders (torch's among them) accept, and reads a
directory of any size into memory. This reader takes what a lax loader would take, stays within
`ArchiveLimits`, and reports what is odd instead of refusing it.

Source: APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16.
"""

import bz2
import io
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from ml_core.formats.archives import (
    ArchiveEntry,
    ArchiveLimits,
    ArchiveListing,
    Oddity,
    name_oddities,
    total_oddities,
)
from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.streams import (
    ChunkStream,
    Decompressor,
    Window,
    ZlibDecompressor,
    decompressed,
    read_exactly,
    stream_size,
)

LOCAL_MAGIC = b"PK\x03\x04"
CENTRAL_MAGIC = b"PK\x01\x02"
END_MAGIC = b"PK\x05\x06"
END64_MAGIC = b"PK\x06\x06"
LOCATOR64_MAGIC = b"PK\x06\x07"
CENTRAL_HEADER = struct.Struct("<4s4B4HL2L5H2L")
LOCAL_HEADER = struct.Struct("<4s2B4HL2L2H")
END_RECORD = struct.Struct("<4s4H2LH")
END64_RECORD = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")
MAX_COMMENT_BYTES = 0xFFFF
ENCRYPTED_FLAG = 0x1
UTF8_FLAG = 0x800
FULL_32 = 0xFFFFFFFF
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14


@dataclass(frozen=True)
class ZipEntry(ArchiveEntry):
    """An entry of the central directory; `local_offset` counts from the start of the file."""

    method: int = STORED
    is_encrypted: bool = False
    local_offset: int = 0


@dataclass(frozen=True)
class _Directory:
    n_entries: int
    size_bytes: int
    start: int
    prefix_bytes: int


def list_zip(stream: BinaryIO, limits: ArchiveLimits = ArchiveLimits()) -> ArchiveListing:  # noqa: B008  # frozen
    """Entries of the zip in `stream`, and what is odd about them.

    Raises:
        FormatError: `not-a-zip`, `truncated`, `bad-directory`.
        LimitExceeded: `directory-too-large`, `too-many-entries`.
    """
    directory = _find_directory(stream, limits)
    stream.seek(directory.start)
    raw = read_exactly(stream, directory.size_bytes, "the zip directory")
    entries = tuple(_parse_entries(raw, directory, limits))
    oddities = [oddity for entry in entries for oddity in name_oddities(entry)]
    oddities += total_oddities(entries, limits)
    oddities += _zip_oddities(stream, entries, directory)
    return ArchiveListing("zip", entries, tuple(oddities))


def open_entry(
    stream: BinaryIO,
    entry: ZipEntry,
    *,
    max_bytes: int,
    on_bytes: Callable[[int], None] | None = None,
) -> io.BufferedReader:
    """The content of one entry, decompressed as it is read; no checksum is compared.

    Raises:
        FormatError: `truncated`, `bad-directory`, `encrypted`, `unknown-compression`; while
            reading also `bad-compression`.
        LimitExceeded: while reading, `expands-too-far`.
    """
    if entry.is_encrypted:
        raise FormatError("encrypted", "An entry is encrypted.", name=entry.name)
    start = _data_start(stream, entry)
    window = Window(stream, start, start + entry.packed_bytes)
    if entry.method == STORED:
        return io.BufferedReader(window)
    chunks = decompressed(cast(BinaryIO, window), _decompressor(entry))
    return io.BufferedReader(ChunkStream(chunks, max_bytes=max_bytes, on_bytes=on_bytes))


def _decompressor(entry: ZipEntry) -> Decompressor:
    if entry.method == DEFLATED:
        return ZlibDecompressor(-15)
    if entry.method == BZIP2:
        return bz2.BZ2Decompressor()
    known = {LZMA: "LZMA", 93: "Zstandard", 95: "XZ"}
    raise FormatError(
        "unknown-compression",
        "An entry is compressed in a way we do not read.",
        name=entry.name,
        method=known.get(entry.method, str(entry.method)),
    )


def _data_start(stream: BinaryIO, entry: ZipEntry) -> int:
    stream.seek(entry.local_offset)
    raw = read_exactly(stream, LOCAL_HEADER.size, "a local zip header")
    fields = LOCAL_HEADER.unpack(raw)
    if fields[0] != LOCAL_MAGIC:
        raise FormatError("bad-directory", "The directory points at no entry.", name=entry.name)
    name_length, extra_length = fields[-2:]
    return int(entry.local_offset + LOCAL_HEADER.size + name_length + extra_length)


def _find_directory(stream: BinaryIO, limits: ArchiveLimits) -> _Directory:
    size_bytes = stream_size(stream)
    tail_start = max(0, size_bytes - END_RECORD.size - MAX_COMMENT_BYTES)
    stream.seek(tail_start)
    tail = stream.read(END_RECORD.size + MAX_COMMENT_BYTES)
    found = tail.rfind(END_MAGIC)
    if found < 0 or len(tail) - found < END_RECORD.size:
        raise FormatError("not-a-zip", "The zip has no directory at its end; it may be cut off.")
    end_position = tail_start + found
    fields = END_RECORD.unpack_from(tail, found)
    n_entries, size, offset = fields[4], fields[5], fields[6]
    records_end = end_position
    wide = _wide_end(stream, end_position)
    if wide is not None:
        n_entries, size, offset, records_end = wide
    if n_entries > limits.max_entries:
        raise LimitExceeded("too-many-entries", "The archive has too many entries.", n=n_entries)
    if size > limits.max_directory_bytes:
        raise LimitExceeded("directory-too-large", "The zip directory is too large.", size=size)
    start = records_end - size
    if start < offset or start < 0:
        raise FormatError("bad-directory", "The zip directory lies outside the file.")
    return _Directory(n_entries, size, start, start - offset)


def _wide_end(stream: BinaryIO, end_position: int) -> tuple[int, int, int, int] | None:
    """Entry count, directory size, its offset and where it ends, from the 64-bit record."""
    if end_position < LOCATOR64.size:
        return None
    stream.seek(end_position - LOCATOR64.size)
    magic, _, record_offset, _ = LOCATOR64.unpack(
        read_exactly(stream, LOCATOR64.size, "the zip locator")
    )
    if magic != LOCATOR64_MAGIC:
        return None
    position = end_position - LOCATOR64.size - END64_RECORD.size
    for candidate in (record_offset, position):
        if not 0 <= candidate <= end_position - END64_RECORD.size:
            continue
        stream.seek(candidate)
        fields = END64_RECORD.unpack(read_exactly(stream, END64_RECORD.size, "the zip end record"))
        if fields[0] == END64_MAGIC:
            return fields[7], fields[8], fields[9], candidate
    raise FormatError("bad-directory", "The zip's 64-bit end record is missing.")


def _parse_entries(raw: bytes, directory: _Directory, limits: ArchiveLimits) -> Iterator[ZipEntry]:
    position = n_entries = 0
    while position < len(raw):
        if n_entries >= limits.max_entries:
            raise LimitExceeded("too-many-entries", "The archive has too many entries.")
        if len(raw) - position < CENTRAL_HEADER.size:
            raise FormatError("bad-directory", "The zip directory ends inside an entry.")
        fields = CENTRAL_HEADER.unpack_from(raw, position)
        if fields[0] != CENTRAL_MAGIC:
            raise FormatError("bad-directory", "The zip directory holds something else.")
        name_length, extra_length, comment_length = fields[12:15]
        position += CENTRAL_HEADER.size
        name = raw[position : position + name_length]
        extra = raw[position + name_length : position + name_length + extra_length]
        position += name_length + extra_length + comment_length
        n_entries += 1
        yield _entry(fields, name, extra, directory.prefix_bytes)
    if n_entries != directory.n_entries:
        raise FormatError("bad-directory", "The zip directory's count of entries is wrong.")


def _entry(fields: tuple[int, ...], name: bytes, extra: bytes, prefix_bytes: int) -> ZipEntry:
    system, flags, method = fields[2], fields[5], fields[6]
    packed, size, offset = _wide_sizes(fields[10], fields[11], fields[18], extra)
    mode = fields[17] >> 16 if system == 3 else 0
    text = name.decode("utf-8" if flags & UTF8_FLAG else "cp437", "replace")
    return ZipEntry(
        name=text,
        size_bytes=size,
        packed_bytes=packed,
        is_directory=text.endswith("/"),
        is_link=stat.S_ISLNK(mode),
        method=method,
        is_encrypted=bool(flags & ENCRYPTED_FLAG),
        local_offset=offset + prefix_bytes,
    )


def _wide_sizes(packed: int, size: int, offset: int, extra: bytes) -> tuple[int, int, int]:
    """Sizes and offset with the 64-bit values of the extra field put in (APPNOTE 4.5.3)."""
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, position)
        if tag == 1:
            values = list(
                struct.unpack_from(
                    f"<{min(length, len(extra) - position - 4) // 8}Q", extra, position + 4
                )
            )
            size = values.pop(0) if size == FULL_32 and values else size
            packed = values.pop(0) if packed == FULL_32 and values else packed
            offset = values.pop(0) if offset == FULL_32 and values else offset
        position += 4 + length
    return packed, size, offset


def _zip_oddities(
    stream: BinaryIO, entries: tuple[ZipEntry, ...], directory: _Directory
) -> Iterator[Oddity]:
    if directory.prefix_bytes:
        yield Oddity(
            "prefix", "Other bytes stand before the archive.", {"n_bytes": directory.prefix_bytes}
        )
    for entry in entries:
        if entry.is_encrypted:
            yield Oddity("encrypted", "An entry is encrypted.", {"name": entry.name})
        if _has_other_local_name(stream, entry):
            yield Oddity(
                "local-name", "An entry goes by two different names.", {"name": entry.name}
            )


def _has_other_local_name(stream: BinaryIO, entry: ZipEntry) -> bool:
    stream.seek(entry.local_offset)
    raw = stream.read(LOCAL_HEADER.size)
    if len(raw) < LOCAL_HEADER.size or raw[:4] != LOCAL_MAGIC:
        return True
    fields = LOCAL_HEADER.unpack(raw)
    name = stream.read(fields[-2])
    encoding = "utf-8" if fields[3] & UTF8_FLAG else "cp437"
    return name.decode(encoding, "replace") != entry.name
