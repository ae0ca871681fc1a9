"""Pickles written by hand, opcode by opcode; none of them is ever loaded."""

import io
import struct
import zipfile

PROTO4 = b"\x80\x04"
PROTO2 = b"\x80\x02"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def call(module: str, name: str, argument: str = "id") -> bytes:
    """Protocol 2: import by GLOBAL, call with one text."""
    return (
        PROTO2
        + f"c{module}\n{name}\n".encode()
        + b"X"
        + struct.pack("<I", len(argument))
        + (argument.encode() + b"\x85R.")
    )


def call_protocol_0(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n(S'id'\ntR.".encode()


def stack_call(module: str, name: str) -> bytes:
    """Protocol 4: import by STACK_GLOBAL."""
    return PROTO4 + text(module) + text(name) + b"\x93" + text("id") + b"\x85R."


def zipped(pickle: bytes, *, name: str = "archive/data.pkl", compression: int = 0) -> bytes:
    """The pickle where torch looks for it, beside a raw tensor."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, pickle)
        archive.writestr("archive/data/0", bytes(64))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()
