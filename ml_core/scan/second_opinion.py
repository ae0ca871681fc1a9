"""picklescan as a second opinion on pickles.

Source: https://github.com/mmaitre314/picklescan 1.0.5. Its deny-list has known gaps, which is why
it stands beside our allow-list and not in its place. It gives no word on what it could not read;
whatever it stumbles over counts as failed.
"""

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ml_core.formats.archives import ArchiveLimits
from ml_core.formats.detect import FileKind, kind_by_content
from ml_core.formats.errors import LimitExceeded
from ml_core.formats.zip_reader import list_zip
from ml_core.scan.budget import Budget, BudgetedStream
from ml_core.scan.pickles import PickleScanner
from ml_core.scan.report import Finding, ScanReport, Severity, report_from
from ml_core.scan.scanner import ScannedFile

if TYPE_CHECKING:
    from picklescan.scanner import ScanResult

MAX_READ_BYTES = 64 << 20
"""picklescan holds every opcode in memory, so what it may read is little."""

FINDINGS = {
    "dangerous": ("dangerous-import", Severity.DANGER),
    "suspicious": ("unknown-import", Severity.WARNING),
}

# It logs each finding as a warning, which would fill the worker's log with what is stored anyway.
logging.getLogger("picklescan").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class PicklescanScanner:
    """Runs on the same files as our own scanner."""

    name: str = "picklescan"
    version: str = "1.0.5/1"

    def applies_to(self, path: str, head: bytes) -> bool:
        return PickleScanner().applies_to(path, head)

    def scan(self, file: ScannedFile, path: str) -> ScanReport:
        too_large = _too_large(file)
        if too_large is not None:
            return report_from(self.name, self.version, [too_large])
        file.stream.seek(0)
        suffix = PurePosixPath(path).suffix.lower()
        return report_from(self.name, self.version, _findings(_opinion(file, suffix)))


class CappedReads(io.BufferedReader):
    """Refuses single reads that would fill the memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_READ_BYTES:
            raise LimitExceeded("read-limit", "A constant is too large for the second opinion.")
        return super().read(size)


def _opinion(file: ScannedFile, suffix: str) -> "ScanResult":
    # Imported when needed: who only reads verdicts does not pay for the scanner.
    from picklescan.scanner import scan_bytes

    limits = replace(file.budget.limits, max_read_bytes=MAX_READ_BYTES)
    return scan_bytes(CappedReads(BudgetedStream(file.stream, Budget(limits))), "file", suffix)


def _findings(result: "ScanResult") -> Iterator[Finding]:
    for found in sorted(result.globals, key=lambda g: (g.module, g.name)):
        if found.safety.value in FINDINGS:
            code, severity = FINDINGS[found.safety.value]
            module, name = found.module[:200], found.name[:200]
            yield Finding(
                code,
                severity,
                f"picklescan reports the import of {module}.{name}.",
                {"module": module, "name": name},
            )
    if result.scan_err:
        yield Finding("not-readable", Severity.ERROR, "picklescan could not read this file.")
    elif result.issues_count and not result.globals:
        yield Finding("reported", Severity.DANGER, "picklescan reports this file.")


def _too_large(file: ScannedFile) -> Finding | None:
    """Why picklescan is not asked; it would expand whatever a zip claims to hold."""
    kind = kind_by_content(file.head)
    if kind is FileKind.SEVEN_ZIP:
        return Finding("archive-not-opened", Severity.ERROR, "7z archives are not opened.")
    if kind is not FileKind.ZIP:
        return None
    entries = list_zip(file.stream, ArchiveLimits()).entries
    size_bytes = sum(e.size_bytes for e in entries if e.size_bytes != e.packed_bytes)
    if size_bytes > MAX_READ_BYTES:
        return Finding(
            "too-large",
            Severity.ERROR,
            "What this file expands to is too large for the second opinion.",
            {"size_bytes": size_bytes},
        )
    return None
