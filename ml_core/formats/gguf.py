"""The header of a GGUF file: version, counts, plain metadata and tensor shapes.

Source: ggml, docs/gguf.md (versions 1 to 3, little endian).
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.streams import read_exactly, stream_size

MAGIC = b"GGUF"
MAX_PAIRS = 100_000
MAX_TENSORS = 1_000_000
MAX_KEY_BYTES = 1 << 16
MAX_KEPT_TEXT_BYTES = 1 << 20
MAX_ARRAY_ITEMS = 10_000_000
MAX_DIMENSIONS = 8
STRING, ARRAY = 8, 9
SCALARS: Mapping[int, str] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip


@dataclass(frozen=True)
class GgufHeader:
    """`metadata` keeps numbers and texts; arrays (vocabularies) are passed over."""

    version: int
    n_tensors: int
    total_parameters: int
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def architecture(self) -> str | None:
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else None

    @property
    def context_length(self) -> int | None:
        value = self.metadata.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) else None

    def to_json(self) -> dict[str, object]:
        """The fields the Hub gives as `gguf`."""
        fields = {
            "total": self.total_parameters,
            "architecture": self.architecture,
            "context_length": self.context_length,
        }
        return {key: value for key, value in fields.items() if value is not None}


def read_header(stream: BinaryIO) -> GgufHeader:
    """The header at the start of `stream`.

    Raises:
        FormatError: `not-gguf`, `truncated`, `bad-gguf-header`.
        LimitExceeded: `header-too-large`.
    """
    reader = _Reader(stream, stream_size(stream))
    if read_exactly(stream, 4, "the magic") != MAGIC:
        raise FormatError("not-gguf", "This is not a GGUF file.")
    version = reader.number("<I")
    if version not in (1, 2, 3):
        raise FormatError("bad-gguf-header", "This version of GGUF is not known.", version=version)
    reader.length_format = "<I" if version == 1 else "<Q"
    n_tensors = reader.length("tensors", MAX_TENSORS)
    n_pairs = reader.length("metadata entries", MAX_PAIRS)
    metadata: dict[str, object] = {}
    for _ in range(n_pairs):
        key = reader.text("a key", MAX_KEY_BYTES)
        value = reader.value(reader.number("<I"))
        if value is not None:
            metadata[key] = value
    total = sum(_tensor_elements(reader) for _ in range(n_tensors))
    return GgufHeader(version, n_tensors, total, metadata)


def _tensor_elements(reader: "_Reader") -> int:
    reader.text("a tensor name", MAX_KEY_BYTES)
    n_dimensions = reader.number("<I")
    if n_dimensions > MAX_DIMENSIONS:
        raise FormatError("bad-gguf-header", "A tensor has too many dimensions.")
    shape = [reader.number(reader.length_format) for _ in range(n_dimensions)]
    reader.number("<I")
    reader.number("<Q")
    return math.prod(shape)


class _Reader:
    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        self._stream = stream
        self._size_bytes = size_bytes
        self.length_format = "<Q"

    def number(self, number_format: str) -> int:
        raw = read_exactly(self._stream, struct.calcsize(number_format), "a number")
        return int(struct.unpack(number_format, raw)[0])

    def length(self, what: str, limit: int) -> int:
        value = self.number(self.length_format)
        if value > limit:
            raise LimitExceeded("header-too-large", f"The header claims {value:,} {what}.")
        return value

    def text(self, what: str, limit: int) -> str:
        n_bytes = self.length(f"bytes in {what}", limit)
        return read_exactly(self._stream, n_bytes, what).decode("utf-8", "replace")

    def value(self, kind: int) -> object:
        """The value if it is a number or short text, else None with the stream past it."""
        if kind in SCALARS:
            raw = read_exactly(self._stream, struct.calcsize(SCALARS[kind]), "a value")
            (value,) = struct.unpack(SCALARS[kind], raw)
            return None if isinstance(value, float) and not math.isfinite(value) else value
        if kind == STRING:
            n_bytes = self.length("bytes in a text", self._size_bytes)
            if n_bytes <= MAX_KEPT_TEXT_BYTES:
                return read_exactly(self._stream, n_bytes, "a text").decode("utf-8", "replace")
            self._skip(n_bytes)
            return None
        if kind == ARRAY:
            self._skip_array()
            return None
        raise FormatError("bad-gguf-header", "A metadata value has an unknown type.", type=kind)

    def _skip_array(self) -> None:
        kind = self.number("<I")
        n_items = self.length("items in an array", MAX_ARRAY_ITEMS)
        if kind in SCALARS:
            self._skip(n_items * struct.calcsize(SCALARS[kind]))
        elif kind == STRING:
            for _ in range(n_items):
                self._skip(self.length("bytes in a text", self._size_bytes))
        else:
            raise FormatError("bad-gguf-header", "An array has an unsupported type.", type=kind)

    def _skip(self, n_bytes: int) -> None:
        if self._stream.tell() + n_bytes > self._size_bytes:
            raise FormatError("truncated", "The file ends inside its metadata.")
        self._stream.seek(n_bytes, 1)
