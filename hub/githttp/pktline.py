"""Packets: the lines of git's protocol, each with its length before it. Pure.

Source: gitprotocol-common(5), "pkt-line Format"; gitprotocol-pack(5), "Packfile Data" (side bands).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

FLUSH = b"0000"
MAX_PACKET_BYTES = 65520
DATA_BAND, TEXT_BAND = 1, 2

_HEAD_BYTES = 4
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


class ProtocolError(Exception):
    """The bytes are not what git sends."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def encode(data: bytes) -> bytes:
    """One packet. The data may have up to 65516 bytes."""
    length = len(data) + _HEAD_BYTES
    if length > MAX_PACKET_BYTES:
        raise ValueError("a packet holds at most 65516 bytes")
    return b"%04x" % length + data


def read_packet(stream: Readable) -> bytes | None:
    """The data of the next packet; None for a flush.

    Raises:
        ProtocolError: no packet begins here, or it is cut off.
    """
    head = _read_exactly(stream, _HEAD_BYTES)
    length = int(head, 16) if _HEX_DIGITS.issuperset(head) else -1
    if length == 0:
        return None
    if not _HEAD_BYTES <= length <= MAX_PACKET_BYTES:
        raise ProtocolError("The length of a packet is not readable.")
    return _read_exactly(stream, length - _HEAD_BYTES)


def on_band(band: int, data: bytes) -> Iterator[bytes]:
    """Packets that carry the data on a side band."""
    most = MAX_PACKET_BYTES - _HEAD_BYTES - 1
    for start in range(0, len(data), most):
        yield encode(bytes([band]) + data[start : start + most])


def _read_exactly(stream: Readable, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes:
        more = stream.read(size_bytes - len(data))
        if not more:
            raise ProtocolError("The request ends too early.")
        data += more
    return data
