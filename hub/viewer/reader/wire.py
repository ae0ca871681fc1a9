"""How the web process and a reader talk: frames of one letter, a length and a body.

The web process sends one job (`J`). The reader asks for bytes (`R`), which are sent (`D`) or
refused (`F`), until it answers (`A`) or says what is wrong (`E`).
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, BinaryIO

from hub.viewer.reader.errors import ReadError

JOB, READ, DATA, REFUSED, ANSWER, ERROR = b"J", b"R", b"D", b"F", b"A", b"E"
MAX_FRAME_BYTES = 96 * 1024 * 1024
MAX_READ_BYTES = 16 * 1024 * 1024
"""The most a reader may ask for at once."""

_HEAD = struct.Struct("<cI")
_RANGE = struct.Struct("<IQQ")
_LENGTH = struct.Struct("<I")


class WireClosed(Exception):
    """The other side is gone."""


def send(sock: socket.socket, kind: bytes, body: bytes | memoryview = b"") -> None:
    """Sends one frame. Raises `WireClosed`, `TimeoutError`."""
    try:
        sock.sendall(_HEAD.pack(kind, len(body)))
        if len(body):  # a frame without a body is whole: the peer may have read it and gone
            sock.sendall(body)
    except (BrokenPipeError, ConnectionError):
        raise WireClosed from None


def receive(sock: socket.socket) -> tuple[bytes, bytearray]:
    """Kind and body of the next frame. Raises `WireClosed`, `TimeoutError`."""
    kind, length = _HEAD.unpack(_exactly(sock, _HEAD.size))
    if length > MAX_FRAME_BYTES:
        raise WireClosed
    return kind, _exactly(sock, length)


def _exactly(sock: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        try:
            count = sock.recv_into(view[at:])
        except ConnectionError:
            raise WireClosed from None
        if not count:
            raise WireClosed
        at += count
    return data


def pack_range(number: int, start: int, end: int) -> bytes:
    return _RANGE.pack(number, start, end)


def unpack_range(body: bytes | bytearray) -> tuple[int, int, int]:
    """File number, start and end. Raises `WireClosed` for anything else."""
    if len(body) != _RANGE.size:
        raise WireClosed
    number, start, end = _RANGE.unpack(body)
    return number, start, end


def pack_answer(value: dict[str, Any], tail: bytes = b"") -> bytes:
    """A JSON value with bytes behind it."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return _LENGTH.pack(len(text)) + text + tail


def unpack_answer(body: bytes | bytearray) -> tuple[Any, bytes]:
    """Raises `WireClosed` for a body that no reader of ours sends."""
    try:
        (length,) = _LENGTH.unpack_from(body)
        text = bytes(body[_LENGTH.size : _LENGTH.size + length])
        return json.loads(text), bytes(body[_LENGTH.size + length :])
    except (struct.error, ValueError, RecursionError):
        raise WireClosed from None


def read_value(file: BinaryIO) -> Any:
    """The value of a packed answer; the file then stands at the bytes behind it.

    Raises:
        WireClosed: no packed answer lies there.
    """
    try:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        return json.loads(file.read(length))
    except (struct.error, ValueError, RecursionError):
        raise WireClosed from None


def pack_error(error: ReadError) -> bytes:
    return pack_answer({"code": error.code, "message": error.message, "details": error.details})
