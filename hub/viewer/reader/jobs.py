"""What is asked of a reader, as JSON both ways."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

Verb = Literal["rows", "statistics", "media"]
Format = Literal["parquet", "csv", "tsv", "json", "text", "imagefolder", "audiofolder"]


@dataclass(frozen=True)
class DataFile:
    """One file of a split; its number is its place in `Job.files`."""

    path: str
    size_bytes: int


@dataclass(frozen=True)
class Limits:
    """How far a job may go.

    Attributes:
        read_bytes: bytes fetched of the files, of all kinds.
        scan_s: time after which a scan stops and says how far it came.
        cell_chars: longer values are cut.
        answer_bytes: the answer as JSON.
        wall_s, memory_bytes: at these the process is ended.
    """

    read_bytes: int = 100_000_000
    scan_s: float = 8.0
    cell_chars: int = 50_000
    answer_bytes: int = 8_000_000
    wall_s: int = 30
    memory_bytes: int = 1_500_000_000


@dataclass(frozen=True)
class Job:
    """One question about one split.

    Attributes:
        columns: which to answer, all where None.
        declared: features that the card gives, by column.
        column: the media column that `media` wants.
    """

    verb: Verb
    format: Format
    files: list[DataFile]
    offset: int = 0
    length: int = 100
    query: str = ""
    where: str = ""
    order_by: str = ""
    columns: list[str] | None = None
    column: str = ""
    declared: dict[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Job:
        files = [DataFile(**file) for file in data["files"]]
        return cls(**{**data, "files": files, "limits": Limits(**data["limits"])})
