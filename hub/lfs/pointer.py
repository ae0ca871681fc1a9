"""Git LFS pointer files: reading and writing the small text that stands for a large file in git."""

import re
from dataclasses import dataclass

POINTER_MAX_BYTES = 1024
"""A blob above this size is never read as a pointer."""

_PREFIX = b"version https://"
_POINTER = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\n"
    rb"(?:ext-[0-9]-[a-z0-9._-]+ sha256:[0-9a-f]{64}\n)*"
    rb"oid sha256:([0-9a-f]{64})\n"
    rb"size (0|[1-9][0-9]{0,18})\n?"
)
_OID = re.compile(r"[0-9a-f]{64}")
_MAX_SIZE_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """What a pointer file says about the content it stands for."""

    oid: str
    size_bytes: int


def is_lfs_oid(value: object) -> bool:
    """Whether the value is a SHA-256 written as 64 lower-case hex digits."""
    return isinstance(value, str) and _OID.fullmatch(value) is not None


def parse_pointer(data: bytes) -> LfsPointer | None:
    """The pointer in these bytes, or None when they are ordinary content.

    Source: git-lfs specification, "The Pointer" (version 1, extension lines allowed).
    """
    if len(data) > POINTER_MAX_BYTES or not data.startswith(_PREFIX):
        return None
    match = _POINTER.fullmatch(data.replace(b"\r\n", b"\n"))
    if match is None or int(match[2]) > _MAX_SIZE_BYTES:
        return None
    return LfsPointer(oid=match[1].decode("ascii"), size_bytes=int(match[2]))


def format_pointer(oid: str, size_bytes: int) -> bytes:
    """The canonical pointer text, exactly as git-lfs writes it.

    Raises:
        ValueError: the oid is no SHA-256, or the size is out of range.
    """
    if not is_lfs_oid(oid):
        raise ValueError("an LFS oid is 64 lower-case hex digits")
    if not 0 <= size_bytes <= _MAX_SIZE_BYTES:
        raise ValueError("an LFS size is a number from 0 to 2**63 - 1")
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size_bytes}\n"
    ).encode("ascii")
