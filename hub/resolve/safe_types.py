"""How a stranger's file is labelled, so that no browser runs it on our pages' behalf."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'"
"""A document shown under this policy runs no script and shares no origin with the site."""

_SHOWN = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".ico": "image/x-icon",
    ".svg": "image/svg+xml",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
}
_TEXT = frozenset(
    ".c .cc .cfg .conf .cpp .css .csv .eval .gitattributes .gitignore .h .html .htm .ini .ipynb"
    " .java .jinja .js .json .jsonl .log .lua .md .mjs .po .py .r .rs .rst .sh"
    " .sql .tex .toml .ts .tsv .txt .vocab .xml .yaml .yml".split()
)
_TEXT_NAMES = frozenset(["license", "readme", "makefile", "dockerfile", "notice", "modelfile"])
_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]|[%]")


def content_type_of(path: str) -> str:
    """The type a file is sent as: pictures, sound and film as such, texts as plain text.

    HTML and scripts are texts here; what is not known is bytes to save.
    """
    name = PurePosixPath(path).name.lower()
    suffix = PurePosixPath(name).suffix or (name if name.startswith(".") else "")
    if suffix in _SHOWN:
        return _SHOWN[suffix]
    if suffix in _TEXT or name in _TEXT_NAMES:
        return "text/plain; charset=utf-8"
    return "application/octet-stream"


def describe_download(path: str, *, is_attachment: bool) -> dict[str, str]:
    """Headers that name the file and keep a browser from trusting it."""
    content_type = content_type_of(path)
    kind = "attachment" if is_attachment or content_type == "application/octet-stream" else "inline"
    name = PurePosixPath(path).name
    plain = _NOT_PLAIN.sub("_", name)
    return {
        "Content-Type": content_type,
        "Content-Disposition": (
            f"{kind}; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\";"
        ),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": SANDBOX,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
