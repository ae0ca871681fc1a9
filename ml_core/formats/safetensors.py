"""The header of a safetensors file: names, dtypes and shapes of its tensors, fully checked.

Source: https://github.com/huggingface/safetensors, section "Format". We are stricter in one point:
a key that appears twice is refused, because readers disagree on which one counts.
"""

import json
import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ml_core.formats.errors import FormatError, LimitExceeded
from ml_core.formats.streams import read_exactly, stream_size

MAX_HEADER_BYTES = 100_000_000
LENGTH_BYTES = 8
MAX_DIMENSIONS = 64
MAX_ELEMENTS = (1 << 64) - 1

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor; `start` and `end` (exclusive) count from the first byte after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def n_elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class SafetensorsHeader:
    """All tensors of a file in the order of their bytes, and the free text metadata."""

    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]
    header_size_bytes: int
    data_size_bytes: int


@dataclass(frozen=True)
class ParameterSummary:
    """Numbers of elements by dtype; `total` is their sum."""

    parameters: Mapping[str, int]
    total: int

    def to_json(self) -> dict[str, object]:
        return {"parameters": dict(self.parameters), "total": self.total}


def read_header(
    stream: BinaryIO,
    *,
    size_bytes: int | None = None,
    max_header_bytes: int = MAX_HEADER_BYTES,
) -> SafetensorsHeader:
    """The header of the safetensors file in `stream`, every rule of the format checked.

    Args:
        stream: seekable, read from its start; only the header is read.
        size_bytes: size of the whole file, where the caller knows it better than the stream.
        max_header_bytes: larger headers are refused before they are read.

    Raises:
        FormatError: with one of the codes named in the functions below.
    """
    size_bytes = stream_size(stream) if size_bytes is None else size_bytes
    (header_size,) = struct.unpack("<Q", read_exactly(stream, LENGTH_BYTES, "the header length"))
    if header_size > max_header_bytes:
        raise LimitExceeded(
            "header-too-large",
            f"The header claims {header_size:,} bytes, more than the {max_header_bytes:,} allowed.",
            header_size_bytes=header_size,
        )
    if LENGTH_BYTES + header_size > size_bytes:
        raise FormatError("truncated", "The header is longer than the file.")
    fields = _parse_json(read_exactly(stream, header_size, "the header"))
    metadata = _metadata(fields.pop("__metadata__", {}))
    tensors = sorted(
        (_tensor(name, value) for name, value in fields.items()), key=lambda t: (t.start, t.end)
    )
    data_size = size_bytes - LENGTH_BYTES - header_size
    _check_cover(tensors, data_size)
    return SafetensorsHeader(tuple(tensors), metadata, header_size, data_size)


def summarize(headers: Iterable[SafetensorsHeader]) -> ParameterSummary:
    """How many elements of each dtype the files hold together."""
    counts: Counter[str] = Counter()
    for header in headers:
        for tensor in header.tensors:
            counts[tensor.dtype] += tensor.n_elements
    return ParameterSummary(dict(sorted(counts.items())), sum(counts.values()))


def _parse_json(raw: bytes) -> dict[str, object]:
    """Codes: `header-not-json`, `duplicate-key`."""
    if not raw.startswith(b"{"):
        raise FormatError("header-not-json", "The header does not start with a brace.")
    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise FormatError("header-not-json", "The header is not valid JSON.") from error
    if not isinstance(fields, dict):
        raise FormatError("header-not-json", "The header is not a JSON object.")
    return fields


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        name = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise FormatError("duplicate-key", "A name appears twice in the header.", name=name[:200])
    return fields


def _metadata(value: object) -> dict[str, str]:
    """Code: `bad-metadata`."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise FormatError("bad-metadata", "__metadata__ must map text to text.")
    return value


def _tensor(name: str, value: object) -> TensorInfo:
    """Codes: `bad-tensor`, `unknown-dtype`, `bad-shape`, `bad-offsets`, `size-mismatch`."""
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= value.keys():
        raise FormatError("bad-tensor", "A tensor lacks dtype, shape or data_offsets.", name=name)
    dtype = value["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise FormatError("unknown-dtype", "A tensor has a dtype we do not know.", name=name)
    shape = _counts(value["shape"])
    if shape is None or len(shape) > MAX_DIMENSIONS or _too_many(shape):
        raise FormatError("bad-shape", "A tensor has an impossible shape.", name=name)
    offsets = _counts(value["data_offsets"])
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError("bad-offsets", "A tensor has impossible offsets.", name=name)
    tensor = TensorInfo(name, dtype, shape, offsets[0], offsets[1])
    if tensor.n_elements * DTYPE_BITS[dtype] != tensor.size_bytes * 8:
        raise FormatError(
            "size-mismatch", "A tensor's shape does not match its number of bytes.", name=name
        )
    return tensor


def _counts(value: object) -> tuple[int, ...] | None:
    """A list of whole numbers of at least 0, or None; JSON booleans are not numbers."""
    if not isinstance(value, list):
        return None
    if not all(type(item) is int and item >= 0 for item in value):
        return None
    return tuple(value)


def _too_many(shape: Sequence[int]) -> bool:
    return 0 not in shape and math.prod(shape) > MAX_ELEMENTS


def _check_cover(tensors: Sequence[TensorInfo], data_size: int) -> None:
    """Codes: `tensors-overlap`, `gap`, `truncated`, `trailing-bytes`."""
    position = 0
    for tensor in tensors:
        if tensor.start < position:
            raise FormatError("tensors-overlap", "Two tensors share bytes.", name=tensor.name)
        if tensor.start > position:
            raise FormatError("gap", "Bytes between two tensors belong to none.", name=tensor.name)
        position = tensor.end
    if position > data_size:
        raise FormatError("truncated", "The file ends before its last tensor does.")
    if position < data_size:
        raise FormatError(
            "trailing-bytes",
            "The file goes on after its last tensor.",
            n_bytes=data_size - position,
        )
