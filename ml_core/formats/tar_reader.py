"""Tar files, plain or compressed, listed with limits and without unpacking."""

import bz2
import io
import lzma
import tarfile
from typing import BinaryIO, cast

from ml_core.formats.archives import (
    ArchiveEntry,
    ArchiveLimits,
    ArchiveListing,
    name_oddities,
    total_oddities,
)
from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.streams import ChunkStream, ZlibDecompressor, decompressed, stream_size

MAX_SINGLE_READ_BYTES = 1 << 20
GZIP_MAGIC, BZIP2_MAGIC, XZ_MAGIC = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"


def list_tar(stream: BinaryIO, limits: ArchiveLimits = ArchiveLimits()) -> ArchiveListing:  # noqa: B008  # frozen
    """Entries of the tar in `stream` (plain, gzip, bzip2 or xz), and what is odd about them.

    Raises:
        FormatError: `not-a-tar`, `bad-compression`.
        LimitExceeded: `too-many-entries`, `expands-too-far`, `entry-header-too-large`.
    """
    packed_bytes = stream_size(stream)
    plain = open_compressed(stream, max_bytes=limits.max_read_bytes)
    mode = "r:" if plain is None else "r|"
    source = _CappedReads(stream if plain is None else cast(BinaryIO, plain))
    entries: list[ArchiveEntry] = []
    try:
        with tarfile.open(fileobj=cast(BinaryIO, source), mode=mode) as archive:  # type: ignore[call-overload]  # mode is one of two literals
            for member in archive:
                if len(entries) >= limits.max_entries:
                    raise LimitExceeded("too-many-entries", "The archive has too many entries.")
                entries.append(_entry(member, has_offset=plain is None))
                archive.members.clear()
    except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise FormatError("not-a-tar", "The tar archive is damaged or cut off.") from error
    oddities = [oddity for entry in entries for oddity in name_oddities(entry)]
    oddities += total_oddities(entries, limits, packed_bytes)
    return ArchiveListing("tar", tuple(entries), tuple(oddities))


def _entry(member: tarfile.TarInfo, *, has_offset: bool) -> ArchiveEntry:
    return ArchiveEntry(
        name=member.name,
        size_bytes=member.size,
        packed_bytes=member.size,
        is_directory=member.isdir(),
        is_link=member.issym() or member.islnk(),
        link_target=member.linkname,
        data_offset=member.offset_data if has_offset and member.isreg() else None,
        is_special=not (member.isreg() or member.isdir() or member.issym() or member.islnk()),
    )


def open_compressed(stream: BinaryIO, *, max_bytes: int) -> io.BufferedReader | None:
    """The decompressed content of a gzip, bzip2 or xz stream; None where it is none of these.

    Only the first compressed member is read.
    """
    head = stream.read(6)
    stream.seek(0)
    if head.startswith(GZIP_MAGIC):
        chunks = decompressed(stream, ZlibDecompressor(31))
    elif head.startswith(BZIP2_MAGIC):
        chunks = decompressed(stream, bz2.BZ2Decompressor())
    elif head.startswith(XZ_MAGIC):
        chunks = decompressed(stream, lzma.LZMADecompressor(memlimit=128 << 20))
    else:
        return None
    return io.BufferedReader(ChunkStream(chunks, max_bytes=max_bytes))


class _CappedReads:
    """A stream that refuses to read much at once, which tar headers could otherwise ask for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, n_bytes: int = -1) -> bytes:
        if not 0 <= n_bytes <= MAX_SINGLE_READ_BYTES:
            raise LimitExceeded("entry-header-too-large", "A tar header is too large.")
        return self._stream.read(n_bytes)
