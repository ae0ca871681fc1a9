"""Asks a real reader process about files that lie in memory, and counts what it fetches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.viewer.reader.jobs import DataFile, Job, Limits
from hub.viewer.readers import Answer, run_job

Content = bytes | Callable[[int, int], bytes]
"""Bytes, or a function of start and end for files that no test could hold."""


@dataclass
class Shelf:
    """Files by path; sizes of made-up content are in `sizes`."""

    files: Mapping[str, Content]
    sizes: Mapping[str, int] = field(default_factory=dict)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def ask(self, format_: Any, verb: Any = "rows", **facts: Any) -> dict[str, Any]:
        return self.answer(format_, verb, **facts).value

    def answer(self, format_: Any, verb: Any = "rows", **facts: Any) -> Answer:
        listed = [DataFile(path, self._size(path)) for path in self.files]
        return run_job(Job(verb, format_, listed, **facts), self._read)

    @property
    def bytes_read(self) -> int:
        return sum(end - start for start, end in self.ranges)

    def _size(self, path: str) -> int:
        content = self.files[path]
        return len(content) if isinstance(content, bytes) else self.sizes[path]

    def _read(self, number: int, start: int, end: int) -> bytes:
        self.ranges.append((start, end))
        content = list(self.files.values())[number]
        return content[start:end] if isinstance(content, bytes) else content(start, end)


def rows_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows alone."""
    return [row["row"] for row in answer["rows"]]


TIGHT = Limits(read_bytes=5_000_000, scan_s=3.0, wall_s=6, memory_bytes=700_000_000)
"""Small limits, which hostile files meet sooner."""
