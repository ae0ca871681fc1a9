"""Xorbs: verify a body while it arrives, and decode ranges of its chunks.

A body is a run of chunk records: version 0 (1 byte), compressed length (3 bytes), scheme (1),
uncompressed length (3), payload; integers little-endian. Older clients append a footer, which
is recognised, checked and not counted as part of the body.

Source: Xet protocol specification 1.1, "xorb format". Bodies of current clients exceed the
64 MiB of the specification by up to 8 bytes a chunk, because they cut by uncompressed size.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import lz4.frame
import numpy as np

from hub.xet.errors import FormatError
from hub.xet.hashing import HASH_BYTES, chunk_hash, format_hash, merkle_root
from hub.xet.index import MAX_CHUNK_BYTES, MAX_CHUNKS, XorbIndex

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

MAX_COMPRESSED_BYTES = 262144
MAX_BODY_BYTES = 64 * 1024 * 1024 + 8 * MAX_CHUNKS
MAX_FOOTER_BYTES = 40 * MAX_CHUNKS + 96
MAX_UPLOAD_BYTES = MAX_BODY_BYTES + MAX_FOOTER_BYTES

SCHEME_NONE, SCHEME_LZ4, SCHEME_GROUPED_LZ4 = 0, 1, 2

_HEADER_BYTES = 8
_FOOTER_IDENT = b"XETBLOB"

_turn = threading.Lock()
"""Held by the one thread of the process that decodes. A chunk lets go of the interpreter's lock
half a dozen times for some ten microseconds each; threads that do so at once spend more than half
of their time on handing it over."""
_frame = lz4.frame.LZ4FrameDecompressor()
"""Used in turn: to make one takes three times as long as to decode a chunk with it."""


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """The fixed part of a chunk record."""

    compressed_bytes: int
    scheme: int
    unpacked_bytes: int

    @classmethod
    def parse(cls, raw: Buffer) -> ChunkHeader:
        """Read 8 bytes and hold them to the limits of the format."""
        low, high = struct.unpack("<II", raw)
        header = cls(low >> 8, high & 0xFF, high >> 8)
        if low & 0xFF:
            _refuse("xorb_version", f"Chunk record of unknown version {low & 0xFF}.")
        if header.scheme > SCHEME_GROUPED_LZ4:
            _refuse("xorb_scheme", f"Chunk record with unknown scheme {header.scheme}.")
        if not 0 < header.unpacked_bytes <= MAX_CHUNK_BYTES:
            _refuse("xorb_chunk_size", f"Chunk of {header.unpacked_bytes} uncompressed bytes.")
        if not 0 < header.compressed_bytes <= MAX_COMPRESSED_BYTES:
            _refuse("xorb_chunk_size", f"Chunk of {header.compressed_bytes} compressed bytes.")
        return header

    def pack(self) -> bytes:
        """The 8 bytes of the header."""
        return struct.pack(
            "<II", self.compressed_bytes << 8, self.scheme | self.unpacked_bytes << 8
        )


class XorbVerifier:
    """Checks a xorb body that arrives in pieces of any size and lists its chunks.

    Memory stays below one record beyond the piece given, whatever the sender claims.
    """

    def __init__(self) -> None:
        self.body_bytes = 0
        self._hashes: list[bytes] = []
        self._physical_ends: list[int] = []
        self._unpacked_ends: list[int] = []
        self._unpacked_total = 0
        self._pending = bytearray()
        self._needed = _HEADER_BYTES
        self._footer: bytearray | None = None

    def feed(self, piece: Buffer) -> None:
        """Take the next bytes.

        Raises:
            FormatError: as soon as a record breaks a limit or does not decode.
        """
        view = memoryview(piece).cast("B")
        with _turn:
            while len(view) and self._footer is None:
                view = self._complete_pending(view) if self._pending else self._walk(view)
        if self._footer is not None and len(view):
            self._footer += view
            if len(self._footer) > MAX_FOOTER_BYTES:
                _refuse("xorb_footer", "The footer of the xorb is too long.")

    def finish(self, expected_hash: bytes | None = None) -> XorbIndex:
        """The chunk list, once all bytes were fed.

        Raises:
            FormatError: the body is cut short or empty, the footer contradicts the body, or the
                Merkle root of its chunks is not `expected_hash`.
        """
        if self._pending:
            _refuse("xorb_truncated", "The xorb ends in the middle of a chunk record.")
        if not self._hashes:
            _refuse("xorb_empty", "The xorb holds no chunk.")
        hashes = b"".join(self._hashes)
        unpacked_ends = np.array(self._unpacked_ends, dtype=np.uint32)
        root = merkle_root(hashes, np.diff(unpacked_ends, prepend=np.uint32(0)).tolist())
        if expected_hash is not None and root != expected_hash:
            _refuse(
                "xorb_hash_mismatch",
                f"The chunks hash to {format_hash(root)}, not to {format_hash(expected_hash)}.",
            )
        physical_ends = np.array(self._physical_ends, dtype=np.uint32)
        index = XorbIndex(root, hashes, physical_ends, unpacked_ends)
        if self._footer is not None:
            _check_footer(bytes(self._footer), index)
        return index

    def _complete_pending(self, view: memoryview) -> memoryview:
        """Move bytes from the piece to the record that began in an earlier one."""
        taken = min(self._needed - len(self._pending), len(view))
        self._pending += view[:taken]
        if len(self._pending) == self._needed:
            record = memoryview(self._pending)
            if self._needed == _HEADER_BYTES:
                self._begin_record(record)
            else:
                self._pending = bytearray()
                self._needed = _HEADER_BYTES
                self._add(ChunkHeader.parse(record[:_HEADER_BYTES]), record[_HEADER_BYTES:])
        return view[taken:]

    def _begin_record(self, head: memoryview) -> None:
        if _is_footer(head):
            self._footer, self._pending = self._pending, bytearray()
        else:
            self._needed = _HEADER_BYTES + ChunkHeader.parse(head).compressed_bytes

    def _walk(self, view: memoryview) -> memoryview:
        """Check the records that lie whole in the piece, without copying; keep the rest."""
        at, size = 0, len(view)
        while size - at >= _HEADER_BYTES:
            head = view[at : at + _HEADER_BYTES]
            if _is_footer(head):
                self._footer = bytearray()
                return view[at:]
            header = ChunkHeader.parse(head)
            end = at + _HEADER_BYTES + header.compressed_bytes
            if end > size:
                self._needed = end - at
                break
            self._add(header, view[at + _HEADER_BYTES : end])
            at = end
        self._pending += view[at:]
        return view[size:]

    def _add(self, header: ChunkHeader, payload: memoryview) -> None:
        if len(self._hashes) == MAX_CHUNKS:
            _refuse("xorb_chunks", f"The xorb holds more than {MAX_CHUNKS} chunks.")
        self.body_bytes += _HEADER_BYTES + header.compressed_bytes
        if self.body_bytes > MAX_BODY_BYTES:
            _refuse("xorb_too_large", f"The xorb is larger than {MAX_BODY_BYTES} bytes.")
        self._hashes.append(chunk_hash(unpack_chunk(header, payload)))
        self._physical_ends.append(self.body_bytes)
        self._unpacked_total += header.unpacked_bytes
        self._unpacked_ends.append(self._unpacked_total)


def verify_xorb(body: Buffer, expected_hash: bytes | None = None) -> XorbIndex:
    """The chunk list of a whole body that is in memory or mapped."""
    verifier = XorbVerifier()
    verifier.feed(body)
    return verifier.finish(expected_hash)


def unpack_chunk(header: ChunkHeader, payload: Buffer) -> memoryview:
    """The uncompressed bytes of one chunk.

    Raises:
        FormatError: the payload does not decode to exactly the announced length.
    """
    if header.scheme == SCHEME_NONE:
        return _stored(header, payload)
    data = _decompress(header, payload)
    if header.scheme == SCHEME_LZ4:
        return memoryview(data)
    out = np.empty(header.unpacked_bytes, dtype=np.uint8)
    _ungroup(data, out)
    return out.data


def decode_range(
    records: Buffer, index: XorbIndex, start: int, end: int, *, check_hashes: bool = True
) -> bytearray:
    """Uncompressed bytes of chunks [start, end), from the bytes of just their records.

    Raises:
        FormatError: the stored bytes are not what the index says; they are damaged.
    """
    with _turn:
        return _decode_records(memoryview(records), index, start, end, check_hashes=check_hashes)


def _decode_records(
    view: memoryview, index: XorbIndex, start: int, end: int, *, check_hashes: bool
) -> bytearray:
    out = bytearray(index.unpacked_length(start, end))
    target = np.frombuffer(out, dtype=np.uint8)
    first_byte, _ = index.byte_range(start, end)
    at = filled = 0
    for chunk, (physical_end, length) in enumerate(
        zip(index.physical_ends[start:end].tolist(), index.lengths(start, end), strict=True), start
    ):
        header = ChunkHeader.parse(view[at : at + _HEADER_BYTES])
        payload = view[at + _HEADER_BYTES : physical_end - first_byte]
        if header.unpacked_bytes != length or header.compressed_bytes != len(payload):
            _refuse("xorb_damaged", f"Chunk {chunk} does not have its recorded length.")
        piece = target[filled : filled + length]
        _unpack_into(header, payload, piece)
        if check_hashes and chunk_hash(piece.data) != index.hash_at(chunk):
            _refuse("xorb_damaged", f"Chunk {chunk} does not have its recorded hash.")
        at, filled = physical_end - first_byte, filled + length
    return out


def _unpack_into(header: ChunkHeader, payload: Buffer, out: npt.NDArray[np.uint8]) -> None:
    if header.scheme == SCHEME_GROUPED_LZ4:
        _ungroup(_decompress(header, payload), out)
    else:
        out[:] = np.frombuffer(unpack_chunk(header, payload), dtype=np.uint8)


def _stored(header: ChunkHeader, payload: Buffer) -> memoryview:
    if header.compressed_bytes != header.unpacked_bytes:
        _refuse("xorb_chunk_size", "An uncompressed chunk announces two different lengths.")
    return memoryview(payload)


def _decompress(header: ChunkHeader, payload: Buffer) -> bytes:
    """One LZ4 frame, whole and alone; never allocates more than the announced length and one."""
    _frame.reset()
    try:
        data: bytes = _frame.decompress(payload, max_length=header.unpacked_bytes + 1)
    except RuntimeError:
        raise FormatError("xorb_lz4", "A chunk is not a valid LZ4 frame.") from None
    if len(data) != header.unpacked_bytes or not _frame.eof or _frame.unused_data:
        _refuse("xorb_lz4", "A chunk does not decompress to the length that it announces.")
    return data


def _ungroup(grouped: bytes, out: npt.NDArray[np.uint8]) -> None:
    """Undo byte grouping: the bytes at 0, 1, 2 and 3 mod 4 lie in four runs, one after another."""
    source = np.frombuffer(grouped, dtype=np.uint8)
    at = 0
    for lane in range(4):
        target = out[lane::4]
        target[:] = source[at : at + len(target)]
        at += len(target)


def _is_footer(head: memoryview) -> bool:
    return head[:7] == _FOOTER_IDENT


def _check_footer(footer: bytes, index: XorbIndex) -> None:
    """Compare a footer with the body that it follows; later versions are only measured."""
    if len(footer) < 44 or struct.unpack("<I", footer[-4:])[0] != len(footer) - 4:
        _refuse("xorb_footer", "The footer of the xorb is cut short or followed by other bytes.")
    is_same = footer[8 : 8 + HASH_BYTES] == index.xorb_hash
    if footer[7] == 1:
        expected = _build_footer(index)
        # All but the distances, the reserved bytes and the length word: 28 + 4 bytes at the end.
        is_same = footer[:-32] == expected[:-32] and len(footer) == len(expected)
    if not is_same:
        _refuse("xorb_footer", "The footer of the xorb contradicts its chunks.")


def _build_footer(index: XorbIndex) -> bytes:
    count = struct.pack("<I", index.count)
    hashes = b"XBLBHSH\x00" + count + index.chunk_hashes
    bounds = b"XBLBBND\x01" + count
    bounds += index.physical_ends.astype("<u4").tobytes()
    bounds += index.unpacked_ends.astype("<u4").tobytes()
    tail = count + struct.pack("<II", len(hashes) + len(bounds) + 28, len(bounds) + 28) + bytes(16)
    footer = _FOOTER_IDENT + b"\x01" + index.xorb_hash + hashes + bounds + tail
    return footer + struct.pack("<I", len(footer))


def _refuse(code: str, message: str) -> NoReturn:
    raise FormatError(code, message)
