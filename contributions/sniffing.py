"""What a file for a comment is, by its first bytes. Pure.

Only what browsers show without running anything: no SVG, no HTML, whatever the sender calls it.
Source: Hub protocol S43; the WHATWG standard on sniffing, section 6; ISO/IEC 14496-12, section 4.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 64
"""How many bytes decide."""


class Medium(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file, named by the ending that its address gets."""

    ending: str
    medium: Medium
    start: re.Pattern[bytes]


def _kind(ending: str, medium: Medium, start: bytes) -> FileKind:
    return FileKind(ending, medium, re.compile(start, re.DOTALL))


KINDS = (
    _kind("png", Medium.IMAGE, rb"\x89PNG\r\n\x1a\n"),
    _kind("jpg", Medium.IMAGE, rb"\xff\xd8\xff"),
    _kind("gif", Medium.IMAGE, rb"GIF8[79]a"),
    _kind("webp", Medium.IMAGE, rb"RIFF.{4}WEBPVP8"),
    _kind("wav", Medium.AUDIO, rb"RIFF.{4}WAVE"),
    _kind("mov", Medium.VIDEO, rb".{4}ftypqt  "),
    _kind("mp4", Medium.VIDEO, rb".{4}ftyp(?:iso[m2-9]|mp4[12]|avc1|M4V |dash|MSNV)"),
    _kind("webm", Medium.VIDEO, rb"\x1aE\xdf\xa3.{0,40}\x42\x82.{1,8}?webm"),
    _kind("mp3", Medium.AUDIO, rb"ID3[\x02-\x04]|\xff[\xfa\xfb\xf2\xf3\xe2\xe3][\x10-\xef]"),
)
"""An MP3 without a tag begins with a frame: layer III of MPEG 1, 2 or 2.5, and a bit rate."""

ENDINGS = ", ".join(kind.ending.upper() for kind in KINDS)


def kind_of(head: bytes) -> FileKind | None:
    """The kind of a file that begins with `head`; None for one that is not taken."""
    return next((kind for kind in KINDS if kind.start.match(head)), None)
