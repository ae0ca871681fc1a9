"""Scanners of structure: safetensors and GGUF headers, listings of archives."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from ml_core.formats import gguf, safetensors
from ml_core.formats.archives import ArchiveLimits, ArchiveListing, Oddity
from ml_core.formats.detect import FileKind, kind_by_content, kind_by_name
from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.tar_reader import list_tar
from ml_core.formats.zip_reader import list_zip
from ml_core.scan.pickles import PICKLE_SUFFIXES
from ml_core.scan.report import Finding, ScanReport, Severity, report_from
from ml_core.scan.scanner import ScannedFile

UNREADABLE = frozenset({"truncated", "header-not-json", "header-too-large"})
ODDITY_SEVERITY = {
    "escaping-name": Severity.DANGER,
    "escaping-link": Severity.DANGER,
    "bomb": Severity.DANGER,
    "link": Severity.INFO,
}


@dataclass(frozen=True)
class SafetensorsScanner:
    """A safetensors file must be exactly its header and its tensors, and nothing else."""

    name: str = "safetensors"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        return FileKind.SAFETENSORS in (kind_by_name(path), kind_by_content(head))

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        try:
            safetensors.read_header(file.stream, size_bytes=file.size_bytes)
        except FormatError as error:
            severity = Severity.ERROR if error.code in UNREADABLE else Severity.WARNING
            return report_from(self.name, self.version, [_finding(error, severity)])
        return report_from(self.name, self.version, [])


@dataclass(frozen=True)
class GgufScanner:
    """A GGUF header must be readable to its end."""

    name: str = "gguf"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        return FileKind.GGUF in (kind_by_name(path), kind_by_content(head))

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        try:
            gguf.read_header(file.stream)
        except FormatError as error:
            return report_from(self.name, self.version, [_finding(error, Severity.ERROR)])
        return report_from(self.name, self.version, [])


@dataclass(frozen=True)
class ArchiveScanner:
    """Lists zip and tar files: bombs, names that lead outside, links, entries in disguise."""

    name: str = "archive"
    version: str = "1"

    def applies_to(self, path: str, head: bytes) -> bool:
        kinds = {kind_by_content(head), kind_by_name(path)}
        archives = {FileKind.ZIP, FileKind.TAR, FileKind.SEVEN_ZIP, FileKind.RAR}
        return not kinds.isdisjoint(archives) or _is_compressed_tar(path)

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        limits = ArchiveLimits(max_read_bytes=file.budget.limits.max_expanded_bytes)
        try:
            findings = list(_archive_findings(file, path, limits))
        except LimitExceeded as error:
            severity = Severity.WARNING if error.code == "too-many-entries" else Severity.ERROR
            findings = [_finding(error, severity)]
        except FormatError as error:
            findings = [_finding(error, Severity.ERROR)]
        return report_from(
            self.name, self.version, findings, max_findings=file.budget.limits.max_findings
        )


def _archive_findings(file: ScannedFile, path: str, limits: ArchiveLimits) -> Iterator[Finding]:
    kind = kind_by_content(file.head)
    if kind in (FileKind.SEVEN_ZIP, FileKind.RAR):
        yield Finding("archive-not-opened", Severity.ERROR, "This kind of archive is not opened.")
        return
    if kind is FileKind.ZIP:
        listing = list_zip(file.stream, limits)
    else:
        listing = list_tar(file.stream, limits)
        if kind is FileKind.COMPRESSED:
            yield from _hidden_pickles(listing)
    for oddity in listing.oddities:
        yield _oddity_finding(oddity)


def _hidden_pickles(listing: ArchiveListing) -> Iterator[Finding]:
    """Pickles in a compressed tar are not read by the pickle scanner; that must show."""
    names = [e.name for e in listing.entries if _suffix(e.name) in PICKLE_SUFFIXES]
    if names:
        yield Finding(
            "members-not-scanned",
            Severity.ERROR,
            "The archive holds files that may be pickles and were not scanned.",
            {"names": [name[:200] for name in names[:10]], "n": len(names)},
        )


def _oddity_finding(oddity: Oddity) -> Finding:
    severity = ODDITY_SEVERITY.get(oddity.code, Severity.WARNING)
    return Finding(oddity.code, severity, oddity.message, oddity.detail)


def _finding(error: FormatError, severity: Severity) -> Finding:
    return Finding(error.code, severity, error.message, error.detail)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_compressed_tar(path: str) -> bool:
    name = path.lower()
    return name.endswith((".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz"))
