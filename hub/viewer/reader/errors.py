"""What can be wrong with a data file or with a question about it."""

from __future__ import annotations

from typing import Any


class ReadError(Exception):
    """A refusal that the person who looks can understand.

    Args:
        code: stable word for programs; `hub/viewer/words.py` knows what to do about each.
        message: what is wrong, in plain words.
        details: JSON-able facts, such as the column or the line.
    """

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class Retype(Exception):
    """A column holds other values than its first rows promised: read the file again with it as
    `kind`, "float" or "text"."""

    def __init__(self, column: str, kind: str) -> None:
        super().__init__(column)
        self.column, self.kind = column, kind
