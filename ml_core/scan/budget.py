"""How much a scan may read and how long it may take, and a stream that keeps to it."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from ml_core.formats.errors import LimitExceeded


@dataclass(frozen=True)
class ScanLimits:
    """Limits of each scanner on each file.

    Files larger than `max_read_bytes` are scanned all the same where a scanner needs little of
    them: it is the bytes read that count, not the size.
    """

    max_read_bytes: int = 1 << 30
    max_expanded_bytes: int = 1 << 30
    max_text_bytes: int = 2 << 20
    timeout_s: float = 120.0
    max_findings: int = 100
    max_nesting: int = 3


class Budget:
    """Counts bytes and time down.

    Raises:
        LimitExceeded: from each method, `read-limit`, `expand-limit` or `time-limit`.
    """

    def __init__(self, limits: ScanLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._deadline = clock() + limits.timeout_s
        self._n_read = 0
        self._n_expanded = 0

    def read(self, n_bytes: int) -> None:
        self._n_read += n_bytes
        if self._n_read > self.limits.max_read_bytes:
            raise LimitExceeded(
                "read-limit", f"Scanning needs more than {self.limits.max_read_bytes:,} bytes."
            )
        self.check_time()

    def expand(self, n_bytes: int) -> None:
        self._n_expanded += n_bytes
        if self._n_expanded > self.limits.max_expanded_bytes:
            raise LimitExceeded(
                "expand-limit",
                f"Decompressing gives more than {self.limits.max_expanded_bytes:,} bytes.",
            )
        self.check_time()

    def check_time(self) -> None:
        if self._clock() > self._deadline:
            raise LimitExceeded(
                "time-limit", f"Scanning takes longer than {self.limits.timeout_s:g} s."
            )


class BudgetedStream(io.RawIOBase):
    """A seekable stream whose reads are counted against a budget."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        super().__init__()
        self._stream = stream
        self._budget = budget

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: Buffer
        data = self._stream.read(len(buffer))
        self._budget.read(len(data))
        buffer[: len(data)] = data
        return len(data)
