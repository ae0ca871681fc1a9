"""Our own pickle scanner: every import of every pickle in a file, against the allow-list."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from ml_core.formats import npy
from ml_core.formats.archives import ArchiveEntry, ArchiveLimits
from ml_core.formats.detect import FileKind, kind_by_content
from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.streams import ChunkStream, Window, ZlibDecompressor, decompressed
from ml_core.formats.tar_reader import list_tar, open_compressed
from ml_core.formats.zip_reader import ZipEntry, list_zip, open_entry
from ml_core.scan.pickle_findings import broken, bytes_after, import_findings, unread
from ml_core.scan.pickle_walk import Walk, walk_pickle
from ml_core.scan.report import Finding, ScanReport, report_from
from ml_core.scan.scanner import ScannedFile

PICKLE_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".dat", ".data", ".p", ".model",
     ".npy", ".npz", ".mar", ".pt2", ".th", ".t7"}
)  # fmt: skip
CLAIMED_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"})
PICKLED_KINDS = frozenset({FileKind.PICKLE, FileKind.ZIP, FileKind.NPY, FileKind.TAR})
TORCH_LEGACY_MAGIC = b"l\xfc\x9cF\xf9 j\xa8P\x19"
TORCH_LEGACY_PICKLES = 5
MAX_PICKLES = 10_000
PEEK_BYTES = 560
MAX_NESTED_ARCHIVE_BYTES = 64 << 20
ZLIB_MAGICS = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")


@dataclass(frozen=True)
class PickleScanner:
    """Reads pickles bare, in zip (torch, npz), in tar, in numpy object arrays, and compressed."""

    name: str = "pickle-imports"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        suffixes = {suffix.lower() for suffix in PurePosixPath(path).suffixes}
        return bool(suffixes & PICKLE_SUFFIXES) or kind_by_content(head) in PICKLED_KINDS

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        search = PickleSearch(file)
        findings = list(search.anything(file.stream, path, depth=0))
        return report_from(
            self.name, self.version, findings, max_findings=file.budget.limits.max_findings
        )


class PickleSearch:
    """Goes through a file and the archives in it, and judges every pickle on its way.

    `place` says where a finding was made: the file, and after a colon what in it.
    """

    def __init__(self, file: ScannedFile) -> None:
        self.file = file
        self.limits = file.budget.limits

    def anything(self, stream: BinaryIO, place: str, *, depth: int) -> Iterator[Finding]:
        """All findings in a seekable stream; errors become findings, except spent budgets."""
        if depth > self.limits.max_nesting:
            yield unread("too-nested", "Archives are nested too deeply to look into.", place)
            return
        # One buffer for all readers of the stream: a second one would close it when it goes.
        stream = cast(BinaryIO, _buffered(stream))
        try:
            yield from self._by_kind(stream, place, depth)
        except LimitExceeded as error:
            yield unread(error.code, error.message, place)
        except FormatError as error:
            yield unread(error.code, f"This could not be read: {error.message}", place)

    def _by_kind(self, stream: BinaryIO, place: str, depth: int) -> Iterator[Finding]:
        stream.seek(0)
        head = stream.read(PEEK_BYTES)
        stream.seek(0)
        kind = kind_by_content(head)
        if kind is FileKind.ZIP:
            yield from self._zip(stream, place, depth)
        elif kind is FileKind.TAR:
            # The first name in a tar is chosen freely: the file can be a pickle as well.
            yield from self._tar(stream, place, depth)
            stream.seek(0)
            yield from self._bare(stream, place, depth)
        elif kind is FileKind.NPY:
            yield from self._npy(stream, place, depth)
        elif kind is FileKind.COMPRESSED or head.startswith(ZLIB_MAGICS):
            yield from self._compressed(stream, head, place, depth)
        else:
            yield from self._bare(stream, place, depth)

    def _bare(self, stream: BinaryIO, place: str, depth: int) -> Iterator[Finding]:
        head = stream.read(2)
        stream.seek(0)
        is_claimed = _is_claimed(place) or kind_by_content(head) is FileKind.PICKLE
        yield from self.judge(_buffered(stream), place, is_claimed=is_claimed, depth=depth)
        yield from self._appended_zip(stream, place, depth)

    def _appended_zip(self, stream: BinaryIO, place: str, depth: int) -> Iterator[Finding]:
        """A zip at the end of something else: loaders that look for the end would take it."""
        try:
            listing = list_zip(stream, self._archive_limits())
        except LimitExceeded:
            raise
        except FormatError:
            return
        yield from self._zip_entries(stream, listing.entries, place, depth)

    # Archives

    def _archive_limits(self) -> ArchiveLimits:
        return ArchiveLimits(max_read_bytes=self.limits.max_expanded_bytes)

    def _zip(self, stream: BinaryIO, place: str, depth: int) -> Iterator[Finding]:
        listing = list_zip(stream, self._archive_limits())
        yield from self._zip_entries(stream, listing.entries, place, depth)

    def _zip_entries(
        self, stream: BinaryIO, entries: Iterable[ArchiveEntry], place: str, depth: int
    ) -> Iterator[Finding]:
        for entry in entries:
            if isinstance(entry, ZipEntry) and not entry.is_directory:
                yield from self._zip_entry(stream, entry, f"{place}:{entry.name}", depth)

    def _zip_entry(
        self, stream: BinaryIO, entry: ZipEntry, place: str, depth: int
    ) -> Iterator[Finding]:
        try:
            with self._open(stream, entry) as content:
                head = content.peek(PEEK_BYTES)[:PEEK_BYTES]
                kind = kind_by_content(head)
                if kind in (FileKind.ZIP, FileKind.TAR):
                    yield from self._inner_archive(content, entry, place, depth)
                elif kind is FileKind.NPY:
                    yield from self._npy(cast(BinaryIO, content), place, depth)
                elif _is_claimed(entry.name):
                    yield from self.judge(content, place, is_claimed=True, depth=depth)
                elif kind is FileKind.PICKLE:
                    yield from self.judge(content, place, is_guess=True, depth=depth)
        except FormatError as error:
            yield unread(error.code, f"This entry could not be read: {error.message}", place)

    def _open(self, stream: BinaryIO, entry: ZipEntry) -> io.BufferedReader:
        budget = self.file.budget
        return open_entry(
            stream, entry, max_bytes=self.limits.max_expanded_bytes, on_bytes=budget.expand
        )

    def _inner_archive(
        self, content: io.BufferedReader, entry: ArchiveEntry, place: str, depth: int
    ) -> Iterator[Finding]:
        if entry.size_bytes > MAX_NESTED_ARCHIVE_BYTES:
            yield unread("large-inner-archive", "An archive inside was too large to open.", place)
            return
        data = content.read(MAX_NESTED_ARCHIVE_BYTES)
        yield from self.anything(io.BytesIO(data), place, depth=depth + 1)

    def _tar(self, stream: BinaryIO, place: str, depth: int) -> Iterator[Finding]:
        for entry in list_tar(stream, self._archive_limits()).entries:
            if entry.data_offset is None or entry.size_bytes == 0:
                continue
            window = Window(stream, entry.data_offset, entry.data_offset + entry.size_bytes)
            content = _buffered(cast(BinaryIO, window))
            kind = kind_by_content(content.read(PEEK_BYTES))
            if kind in PICKLED_KINDS or _is_claimed(entry.name):
                yield from self.anything(content, f"{place}:{entry.name}", depth=depth + 1)

    def _compressed(
        self, stream: BinaryIO, head: bytes, place: str, depth: int
    ) -> Iterator[Finding]:
        maximum = self.limits.max_expanded_bytes
        if head.startswith(ZLIB_MAGICS):
            chunks = decompressed(stream, ZlibDecompressor(15))
            content = _buffered(cast(BinaryIO, ChunkStream(chunks, max_bytes=maximum)))
        else:
            opened = open_compressed(stream, max_bytes=maximum)
            if opened is None:
                yield unread("unknown-compression", "This compression is not read.", place)
                return
            content = opened
        kind = kind_by_content(content.peek(PEEK_BYTES)[:PEEK_BYTES])
        if kind in (FileKind.ZIP, FileKind.TAR, FileKind.NPY, FileKind.COMPRESSED):
            yield from self._inner_archive(content, ArchiveEntry(place, 0, 0), place, depth)
        else:
            yield from self.judge(content, place, is_claimed=True, depth=depth)

    def _npy(self, stream: BinaryIO, place: str, depth: int) -> Iterator[Finding]:
        if npy.read_header(stream).may_hold_objects:
            yield from self.judge(_buffered(stream), place, is_claimed=True, depth=depth)

    # Pickles

    def judge(
        self,
        stream: io.BufferedReader,
        place: str,
        *,
        is_claimed: bool = False,
        is_guess: bool = False,
        depth: int,
    ) -> Iterator[Finding]:
        """Findings in the pickles that follow one another from the current position.

        Args:
            is_claimed: the name or the first bytes say that this is a pickle, so it must be one.
            is_guess: these may be any bytes; in what is no whole pickle only names that can be
                names count. What follows the first pickle is always such a guess.
        """
        maximum = MAX_PICKLES
        for n_done in range(MAX_PICKLES):
            if n_done >= maximum or not stream.peek(1):
                return
            walk, nested = self._walk(stream, place, depth)
            is_noise = walk.error is not None and (is_guess or n_done > 0)
            yield from import_findings(walk, place, only_plausible=is_noise)
            yield from nested
            if isinstance(walk.error, LimitExceeded):
                raise walk.error
            if walk.error is not None:
                if n_done == 0 and not is_guess:
                    yield broken(walk, walk.error, place, is_claimed=is_claimed)
                elif is_claimed:
                    yield bytes_after(place)
                return
            if n_done == 0 and walk.last_number == TORCH_LEGACY_MAGIC:
                maximum = TORCH_LEGACY_PICKLES
        yield unread("too-many-pickles", "Too many pickles follow one another.", place)

    def _walk(
        self, stream: io.BufferedReader, place: str, depth: int
    ) -> tuple[Walk, list[Finding]]:
        findings: list[Finding] = []
        walk = walk_pickle(
            cast(BinaryIO, stream),
            on_step=self.file.budget.check_time,
            on_nested=self._nested_handler(place, depth, findings),
        )
        return walk, findings

    def _nested_handler(
        self, place: str, depth: int, findings: list[Finding]
    ) -> Callable[[bytes], None]:
        def look_into(data: bytes) -> None:
            if depth >= self.limits.max_nesting:
                findings.append(unread("too-nested", "Pickles are nested too deeply.", place))
                return
            inner = _buffered(io.BytesIO(data))
            findings.extend(self.judge(inner, f"{place}:nested", is_guess=True, depth=depth + 1))

        return look_into


def _buffered(stream: BinaryIO) -> io.BufferedReader:
    if isinstance(stream, io.BufferedReader):
        return stream
    raw: io.RawIOBase = cast(io.RawIOBase, stream)
    return io.BufferedReader(raw)


def _is_claimed(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in CLAIMED_SUFFIXES
