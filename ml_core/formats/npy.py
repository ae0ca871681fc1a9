"""The header of a numpy `.npy` file, read without building the array.

Source: numpy.lib.format, "Format Version 1.0" to "3.0".
"""

import ast
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.streams import read_exactly

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 1 << 16
PLAIN_TYPE = re.compile(r"[<>=|]?[?bBiufcmMSUaV]\d*(\[\d*[A-Za-z]+\])?")


@dataclass(frozen=True)
class NpyHeader:
    """`may_hold_objects` is true unless every type is known to be plain numbers or text."""

    version: tuple[int, int]
    descr: object
    is_fortran_order: bool
    shape: tuple[int, ...]
    data_offset: int
    may_hold_objects: bool


def read_header(stream: BinaryIO) -> NpyHeader:
    """The header at the current position; the stream is left at the first byte of data.

    Raises:
        FormatError: `not-npy`, `truncated`, `bad-npy-header`.
        LimitExceeded: `header-too-large`.
    """
    raw = read_exactly(stream, 8, "the numpy magic")
    if not raw.startswith(MAGIC) or raw[6] not in (1, 2, 3):
        raise FormatError("not-npy", "This is not a numpy file we know.")
    size_format = "<H" if raw[6] == 1 else "<I"
    size_bytes = struct.calcsize(size_format)
    (length,) = struct.unpack(size_format, read_exactly(stream, size_bytes, "the numpy header"))
    if length > MAX_HEADER_BYTES:
        raise LimitExceeded("header-too-large", "The numpy header is too large.", size=length)
    text = read_exactly(stream, length, "the numpy header").decode("utf-8", "replace")
    fields = _parse(text)
    return NpyHeader(
        version=(raw[6], raw[7]),
        descr=fields["descr"],
        is_fortran_order=bool(fields["fortran_order"]),
        shape=_shape(fields["shape"]),
        data_offset=8 + size_bytes + length,
        may_hold_objects=_may_hold_objects(fields["descr"]),
    )


def _parse(text: str) -> dict[str, object]:
    try:
        fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise FormatError("bad-npy-header", "The numpy header is not a plain literal.") from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise FormatError("bad-npy-header", "The numpy header has the wrong fields.")
    return fields


def _shape(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(n) is int and n >= 0 for n in value):
        raise FormatError("bad-npy-header", "The numpy header has an impossible shape.")
    return value


def _may_hold_objects(descr: object) -> bool:
    """Anything but a plain type string, or a list of named plain types, counts as objects."""
    if isinstance(descr, str):
        return PLAIN_TYPE.fullmatch(descr) is None
    if isinstance(descr, list):
        return not all(
            isinstance(field, tuple) and len(field) in (2, 3) and not _may_hold_objects(field[1])
            for field in descr
        )
    return True
