"""The list of chunks of one xorb, as the server computed it: about 40 bytes a chunk."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from hub.xet.errors import FormatError
from hub.xet.hashing import HASH_BYTES, range_hash

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

MAX_CHUNKS = 8192
MAX_CHUNK_BYTES = 131072

_HEAD = struct.Struct("<4sI32s32s")  # tag with version, number of chunks, xorb hash, checksum
_TAG = b"MGX\x01"


@dataclass(frozen=True, slots=True, eq=False)
class XorbIndex:
    """Chunk hashes (packed), and where each chunk ends on disk and in the uncompressed data.

    Physical ends count the 8-byte record headers; both lists are strictly ascending.
    """

    xorb_hash: bytes
    chunk_hashes: bytes
    physical_ends: npt.NDArray[np.uint32]
    unpacked_ends: npt.NDArray[np.uint32]

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.physical_ends)

    @property
    def size_bytes(self) -> int:
        """Bytes of all chunk records on disk."""
        return int(self.physical_ends[-1])

    @property
    def unpacked_bytes(self) -> int:
        """Bytes of all chunks, uncompressed."""
        return int(self.unpacked_ends[-1])

    def byte_range(self, start: int, end: int) -> tuple[int, int]:
        """Where the records of chunks [start, end) lie in the body, end exclusive."""
        return _end_before(self.physical_ends, start), int(self.physical_ends[end - 1])

    def unpacked_range(self, start: int, end: int) -> tuple[int, int]:
        """Where the data of chunks [start, end) lies in the uncompressed xorb, end exclusive."""
        return _end_before(self.unpacked_ends, start), int(self.unpacked_ends[end - 1])

    def unpacked_length(self, start: int, end: int) -> int:
        """Uncompressed bytes of chunks [start, end)."""
        first, last = self.unpacked_range(start, end)
        return last - first

    def lengths(self, start: int = 0, end: int | None = None) -> list[int]:
        """Uncompressed length of each chunk of [start, end)."""
        lengths: list[int] = np.diff(self.unpacked_ends, prepend=np.uint32(0))[start:end].tolist()
        return lengths

    def hash_at(self, chunk: int) -> bytes:
        """Hash of one chunk."""
        return self.chunk_hashes[chunk * HASH_BYTES : (chunk + 1) * HASH_BYTES]

    def hashes(self, start: int, end: int) -> bytes:
        """Packed hashes of chunks [start, end)."""
        return self.chunk_hashes[start * HASH_BYTES : end * HASH_BYTES]

    def range_hash(self, start: int, end: int) -> bytes:
        """Verification hash of chunks [start, end)."""
        return range_hash(memoryview(self.chunk_hashes)[start * HASH_BYTES : end * HASH_BYTES])

    def chunk_holding(self, unpacked_offset: int) -> int:
        """The chunk that holds this offset of the uncompressed xorb."""
        return bisect_right(self.unpacked_ends, unpacked_offset)

    def to_bytes(self) -> bytes:
        """The form that is stored beside the xorb: head with checksum, hashes, ends."""
        payload = (
            self.chunk_hashes
            + self.physical_ends.astype("<u4").tobytes()
            + self.unpacked_ends.astype("<u4").tobytes()
        )
        checksum = _checksum(self.xorb_hash, payload)
        return _HEAD.pack(_TAG, self.count, self.xorb_hash, checksum) + payload

    @classmethod
    def from_bytes(cls, data: Buffer) -> XorbIndex:
        """Read the stored form.

        Raises:
            FormatError: damaged or of another version.
        """
        view = memoryview(data)
        if len(view) < _HEAD.size:
            raise FormatError("bad_index", "The index of the xorb is cut short.")
        tag, count, xorb_hash, checksum = _HEAD.unpack_from(view)
        payload = view[_HEAD.size :]
        is_sound = tag == _TAG and 0 < count <= MAX_CHUNKS
        if not is_sound or len(payload) != 40 * count or _checksum(xorb_hash, payload) != checksum:
            raise FormatError("bad_index", "The index of the xorb is damaged.")
        ends = np.frombuffer(payload[HASH_BYTES * count :], dtype="<u4").astype(np.uint32)
        return cls(xorb_hash, bytes(payload[: HASH_BYTES * count]), ends[:count], ends[count:])


def _end_before(ends: npt.NDArray[np.uint32], chunk: int) -> int:
    return int(ends[chunk - 1]) if chunk else 0


def _checksum(xorb_hash: bytes, payload: Buffer) -> bytes:
    return blake3(xorb_hash).update(payload).digest()
