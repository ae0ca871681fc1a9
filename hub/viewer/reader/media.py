"""Pictures and sound by their first bytes: what they are, and whether a browser may meet them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

HEAD_BYTES = 64 * 1024
"""Enough of a file to find the size of a picture."""
MAX_PIXELS = 64_000_000
"""More would cost the reader's browser hundreds of megabytes."""


@dataclass(frozen=True)
class Media:
    """`content_type` is one of our own list; sizes are in pixels, None where not found."""

    content_type: str
    width: int | None = None
    height: int | None = None

    @property
    def is_too_large(self) -> bool:
        return (self.width or 0) * (self.height or 0) > MAX_PIXELS

    @property
    def kind(self) -> str:
        return self.content_type.partition("/")[0]


def sniff(head: bytes) -> Media | None:
    """What bytes that begin with `head` are; None for anything that is not shown."""
    for magic, describe in _KINDS:
        if head.startswith(magic):
            try:
                return describe(head)
            except struct.error:
                return None  # cut short inside its own header
    return None


def _png(head: bytes) -> Media:
    width, height = struct.unpack_from(">II", head, 16)
    return Media("image/png", width, height)


def _gif(head: bytes) -> Media:
    width, height = struct.unpack_from("<HH", head, 6)
    return Media("image/gif", width, height)


def _bmp(head: bytes) -> Media:
    width, height = struct.unpack_from("<ii", head, 18)
    return Media("image/bmp", abs(width), abs(height))


def _riff(head: bytes) -> Media | None:
    form = head[8:12]
    if form == b"WAVE":
        return Media("audio/wav")
    return _webp(head) if form == b"WEBP" else None


def _webp(head: bytes) -> Media:
    variant = head[12:16]
    if variant == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
    elif variant == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 26))
    return Media("image/webp", width, height)


def _jpeg(head: bytes) -> Media:
    """Walks the segments up to the frame header, which says height and width."""
    at = 2
    while at + 9 <= len(head):
        marker, length = struct.unpack_from(">HH", head, at)
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return Media("image/jpeg", width, height)
        at += 2 + max(length, 2)
    return Media("image/jpeg")


def _is(content_type: str) -> Callable[[bytes], Media]:
    return lambda head: Media(content_type)


_KINDS: tuple[tuple[bytes, Callable[[bytes], Media | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF87a", _gif),
    (b"GIF89a", _gif),
    (b"BM", _bmp),
    (b"RIFF", _riff),
    (b"fLaC", _is("audio/flac")),
    (b"OggS", _is("audio/ogg")),
    (b"ID3", _is("audio/mpeg")),
    (b"\xff\xfb", _is("audio/mpeg")),
    (b"\xff\xf3", _is("audio/mpeg")),
    (b"\xff\xf2", _is("audio/mpeg")),
)
