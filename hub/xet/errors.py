"""What the pure Xet modules may raise."""

from __future__ import annotations


class XetError(Exception):
    """Base of the errors of the Xet formats.

    `code` is a stable word for programs, `message` a sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class FormatError(XetError):
    """Bytes that break the format, or contradict the digest they were announced under."""


class RangeNotSatisfiable(XetError):
    """A byte range that begins at or after the end of the file."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__("range_not_satisfiable", f"The file has {size_bytes} bytes.")
        self.size_bytes = size_bytes
