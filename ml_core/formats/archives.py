"""What a listing of an archive says, whatever its kind, and what is odd about it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ArchiveLimits:
    """How much of an archive is read, and from where on it counts as a bomb.

    An archive is a bomb where it expands to more than `max_expanded_bytes` and to more than
    `max_ratio` times its packed size: both, since honest sparse arrays compress very well and
    honest archives can be large.
    """

    max_entries: int = 100_000
    max_directory_bytes: int = 16 << 20
    max_expanded_bytes: int = 1 << 30
    max_ratio: float = 200.0
    max_read_bytes: int = 1 << 30


@dataclass(frozen=True)
class ArchiveEntry:
    """One member; sizes as the archive claims them.

    `data_offset` says where the bytes stand in the archive, for members stored as they are.
    """

    name: str
    size_bytes: int
    packed_bytes: int
    is_directory: bool = False
    is_link: bool = False
    link_target: str = ""
    is_special: bool = False
    data_offset: int | None = None


@dataclass(frozen=True)
class Oddity:
    """Something an honest archive does not have; `code` is stable."""

    code: str
    message: str
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ArchiveListing:
    """The members of an archive of `kind` "zip" or "tar"."""

    kind: str
    entries: tuple[ArchiveEntry, ...]
    oddities: tuple[Oddity, ...]


def name_oddities(entry: ArchiveEntry) -> Iterator[Oddity]:
    """Names and links with which unpacking would write or read outside the target folder."""
    shown = entry.name[:200]
    if is_escaping(entry.name):
        yield Oddity("escaping-name", "An entry's name leads out of the archive.", {"name": shown})
    if any(ord(character) < 32 for character in entry.name):
        yield Oddity("control-name", "An entry's name has control characters.", {"name": shown})
    if entry.is_link:
        escaping = is_escaping(entry.link_target) if entry.link_target else True
        code = "escaping-link" if escaping else "link"
        yield Oddity(code, "An entry is a link to another file.", {"name": shown})
    if entry.is_special:
        yield Oddity("special-file", "An entry is a device or a pipe.", {"name": shown})


def is_escaping(name: str) -> bool:
    """Whether a path is absolute, names a drive, or climbs with `..`."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or bool(re.match(r"[A-Za-z]:", plain)) or ".." in plain.split("/")


def total_oddities(
    entries: Sequence[ArchiveEntry], limits: ArchiveLimits, packed_bytes: int | None = None
) -> Iterator[Oddity]:
    """Bombs, and names that appear twice.

    Args:
        packed_bytes: size of the whole archive, where its members have none of their own.
    """
    size = sum(entry.size_bytes for entry in entries)
    packed = packed_bytes or sum(entry.packed_bytes for entry in entries)
    if size > limits.max_expanded_bytes and size > limits.max_ratio * max(1, packed):
        yield Oddity(
            "bomb",
            "The archive expands to far more than its size.",
            {"expanded_bytes": size, "packed_bytes": packed},
        )
    counts = Counter(entry.name for entry in entries)
    repeated = [name for name, n in counts.items() if n > 1]
    if repeated:
        yield Oddity(
            "repeated-name",
            "Two entries have the same name; loaders differ in which one they take.",
            {"names": [name[:200] for name in repeated[:10]]},
        )
