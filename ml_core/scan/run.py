"""Runs the scanners on a file."""

import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from ml_core.formats.detect import HEAD_BYTES
from ml_core.formats.errors import FormatError
from ml_core.scan.budget import Budget, BudgetedStream, ScanLimits
from ml_core.scan.content import ContentScanner, RemoteCodeScanner
from ml_core.scan.pickles import PickleScanner
from ml_core.scan.report import Finding, ScanReport, Severity, Verdict
from ml_core.scan.scanner import ScannedFile, Scanner
from ml_core.scan.second_opinion import PicklescanScanner
from ml_core.scan.secrets import SecretsScanner
from ml_core.scan.structure import ArchiveScanner, GgufScanner, SafetensorsScanner

logger = logging.getLogger(__name__)

SCANNERS: Final[tuple[Scanner, ...]] = (
    ContentScanner(),
    PickleScanner(),
    PicklescanScanner(),
    SafetensorsScanner(),
    GgufScanner(),
    ArchiveScanner(),
    SecretsScanner(),
    RemoteCodeScanner(),
)

SCANNER_SET: Final = hashlib.sha256(
    "\n".join(sorted(f"{scanner.name} {scanner.version}" for scanner in SCANNERS)).encode()
).hexdigest()[:12]
"""Names the scanners and their versions: verdicts of another set are out of date."""


def scan_file(
    source: Path | BinaryIO,
    name: str,
    size_bytes: int,
    *,
    limits: ScanLimits = ScanLimits(),  # noqa: B008  # frozen
    scanners: Sequence[Scanner] = SCANNERS,
) -> list[ScanReport]:
    """One report of each scanner that applies to the file; nothing of the file is executed.

    No error of a scanner leaves this function: it becomes a report with the verdict "failed".

    Args:
        source: a path, or a seekable binary stream.
        name: the path inside the repository.
        size_bytes: what the file's size should be; a difference is a failed report.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return _scan_stream(stream, name, size_bytes, limits, scanners)
    return _scan_stream(source, name, size_bytes, limits, scanners)


def _scan_stream(
    stream: BinaryIO, name: str, size_bytes: int, limits: ScanLimits, scanners: Sequence[Scanner]
) -> list[ScanReport]:
    try:
        head = _head(stream, size_bytes)
    except Exception as error:  # a storage can fail in any way; the file then counts as not clean
        logger.warning("Could not read a file to scan", exc_info=True)
        return [_failed(scanner, error) for scanner in scanners]
    return [
        _guarded(scanner, stream, name, size_bytes, head, limits)
        for scanner in scanners
        if scanner.applies_to(name, head)
    ]


def _head(stream: BinaryIO, size_bytes: int) -> bytes:
    actual = stream.seek(0, io.SEEK_END)
    if actual != size_bytes:
        raise FormatError(
            "wrong-size", f"The file should have {size_bytes:,} bytes and has {actual:,}."
        )
    stream.seek(0)
    return stream.read(HEAD_BYTES)


def _guarded(
    scanner: Scanner,
    stream: BinaryIO,
    name: str,
    size_bytes: int,
    head: bytes,
    limits: ScanLimits,
) -> ScanReport:
    budget = Budget(limits)
    counted = io.BufferedReader(BudgetedStream(stream, budget))
    try:
        stream.seek(0)
        file = ScannedFile(cast(BinaryIO, counted), size_bytes, head, budget)
        return scanner.scan(file, name)
    except Exception as error:  # noqa: BLE001  # whatever a file provokes, it is then not clean
        return _failed(scanner, error)
    finally:
        counted.detach()


def _failed(scanner: Scanner, error: Exception) -> ScanReport:
    if isinstance(error, FormatError):
        finding = Finding(error.code, Severity.ERROR, error.message)
    else:
        kind = type(error).__name__
        logger.info("Scanner %s failed with %s", scanner.name, kind)
        finding = Finding(
            "scanner-error", Severity.ERROR, "The scanner could not read this file.", {"kind": kind}
        )
    return ScanReport(scanner.name, scanner.version, Verdict.FAILED, (finding,))
