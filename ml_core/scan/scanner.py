"""What every scanner offers, and what it is given to read."""

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ml_core.scan.budget import Budget
from ml_core.scan.report import ScanReport


@dataclass(frozen=True)
class ScannedFile:
    """A file as a scanner sees it: seekable, rewound, its reads counted by `budget`."""

    stream: BinaryIO
    size_bytes: int
    head: bytes
    budget: Budget


class Scanner(Protocol):
    """One way of looking at a file; `scan` reads and never executes.

    A change that can change a verdict changes `version`. Errors may be raised: they become a
    report with the verdict "failed".
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def applies_to(self, path: str, head: bytes) -> bool: ...

    def scan(self, file: ScannedFile, path: str) -> ScanReport: ...
