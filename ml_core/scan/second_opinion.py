"""picklescan as a second opinion on pickles.

Source: https://github.com/mmaitre314/picklescan 1.0.5. Its deny-list has known gaps, which is why
it stands beside our allow-list and not in its place. It reads the opcodes of each pickle that our
search finds; finding them is left to us, since picklescan would expand any archive and hold any
number of opcodes in memory. Whatever it stumbles over counts as failed.
"""

import io
import logging
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_core.formats.errors import LimitExceeded
from ml_core.scan.budget import Budget
from ml_core.scan.pickles import (
    TORCH_LEGACY_MAGIC,
    TORCH_LEGACY_PICKLES,
    PickleScanner,
    PickleSearch,
)
from ml_core.scan.report import Finding, ScanReport, Severity, report_from
from ml_core.scan.scanner import ScannedFile

if TYPE_CHECKING:
    from picklescan.scanner import ScanResult

MAX_OPCODES = 2_000_000
MAX_READ_BYTES = 64 << 20
CHECK_EVERY = 1 << 14
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
        found = _PicklescanSearch(file).anything(file.stream, path, depth=0)
        unique = {(f.code, f.message): f for f in found}
        return report_from(
            self.name,
            self.version,
            unique.values(),
            max_findings=file.budget.limits.max_findings,
        )


class _PicklescanSearch(PickleSearch):
    def judge(
        self,
        stream: io.BufferedReader,
        place: str,
        *,
        is_claimed: bool = False,
        is_guess: bool = False,
        depth: int,
    ) -> Iterator[Finding]:
        # Imported when needed: who only reads verdicts does not pay for the scanner.
        from picklescan.scanner import scan_pickle_bytes

        is_legacy = TORCH_LEGACY_MAGIC in stream.peek(64)[:64]
        feed = OpcodeFeed(stream, self.file.budget)
        for _ in range(TORCH_LEGACY_PICKLES if is_legacy else 1):
            result = scan_pickle_bytes(feed, place, multiple_pickles=not is_legacy)
            yield from _findings(result, place)
            feed.raise_if_broken()
        if is_claimed and not is_legacy and not (feed.has_seen_stop and not stream.peek(1)):
            # picklescan says nothing of a pickle that breaks before its first import.
            yield _unreadable(place)


class OpcodeFeed:
    """A stream that gives picklescan as much of a pickle as it can hold in memory.

    It asks for one byte at the start of each opcode, and puts the last one back between pickles.
    It takes an error in the middle of a pickle for the end of it: after an error every read fails.
    """

    def __init__(self, stream: io.BufferedReader, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._last = b""
        self._pushed_back = b""
        self._n_reads = 0
        self._n_bytes = 0
        self._error: Exception | None = None
        self._end = b""

    @property
    def has_seen_stop(self) -> bool:
        """Whether the last byte read was the one that ends a pickle."""
        return self._end == pickle.STOP

    def read(self, size: int) -> bytes:
        self._last = self._take(size, self._stream.read)
        return self._last

    def readline(self) -> bytes:
        return self._take(0, lambda _: self._stream.readline(MAX_READ_BYTES))

    def _take(self, size: int, reader: Callable[[int], bytes]) -> bytes:
        if self._error is not None:
            raise self._error
        try:
            self._count(size)
            data, self._pushed_back = self._pushed_back, b""
            if not data or size != 1:
                data += reader(size - len(data))
            self._count(0 if size else len(data))
            self._end = data[-1:] or self._end
        except Exception as error:
            self._error = error
            raise
        return data

    def seek(self, offset: int, whence: int) -> None:
        """One byte back; nothing at the end of the stream."""
        if (offset, whence) != (-1, io.SEEK_CUR):
            raise io.UnsupportedOperation("only one byte back")
        self._pushed_back = self._last[-1:]

    def tell(self) -> int:
        return self._n_bytes

    def raise_if_broken(self) -> None:
        if self._error is not None:
            raise self._error

    def _count(self, n_bytes: int) -> None:
        self._n_reads += 1
        self._n_bytes += n_bytes
        if self._n_reads > 4 * MAX_OPCODES or self._n_bytes > MAX_READ_BYTES:
            raise LimitExceeded("too-large", "The pickle is too large for the second opinion.")
        if self._n_reads % CHECK_EVERY == 0:
            self._budget.check_time()


def _findings(result: "ScanResult", place: str) -> Iterator[Finding]:
    for found in sorted(result.globals, key=lambda g: (g.module, g.name)):
        if found.safety.value in FINDINGS:
            code, severity = FINDINGS[found.safety.value]
            module, name = found.module[:200], found.name[:200]
            yield Finding(
                code,
                severity,
                f"picklescan reports the import of {module}.{name}.",
                {"module": module, "name": name, "place": place},
            )
    if result.scan_err:
        yield _unreadable(place)
    elif result.issues_count and not result.globals:
        yield Finding("reported", Severity.DANGER, "picklescan reports this file.")


def _unreadable(place: str) -> Finding:
    return Finding(
        "not-readable", Severity.ERROR, "picklescan could not read this file.", {"place": place}
    )
