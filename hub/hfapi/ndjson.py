"""The body of a commit call: one JSON object a line, read as a stream.

Source: Hub protocol C16. Contents are decoded as they arrive and spooled; beyond a few MiB they
wait on disk until git takes them, one at a time.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hub.actions.commits import AddLarge, AddWaiting, Change
from hub.errors import InvalidInput, TooLarge
from hub.hfapi.bodies import lines_of
from hub.lfs.pointer import POINTER_MAX_BYTES, is_lfs_oid, parse_pointer
from hub.vcs import DeleteFile, DeleteFolder, validate_path
from hub.vcs.pack import no_space_as_domain_error

MAX_CHANGES = 50_000
MAX_MESSAGE_CHARS = 64 * 1024
SPOOL_MEMORY_BYTES = 8 * 1024**2
_LINE_OVERHEAD_BYTES = 16 * 1024
_PARENT = re.compile(r"[0-9a-f]{5,40}")


@dataclass(frozen=True)
class Limits:
    """How much one commit may bring, in bytes."""

    file_bytes: int
    total_bytes: int

    @property
    def line_bytes(self) -> int:
        return self.file_bytes * 4 // 3 + _LINE_OVERHEAD_BYTES


@dataclass
class CommitBody:
    """What a commit call asks for. Contents can be read while `reading_commit` is open."""

    summary: str = ""
    description: str = ""
    parent: str | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def message(self) -> str:
        return f"{self.summary}\n\n{self.description}".strip() or "Update files"


@contextmanager
def reading_commit(stream: IO[bytes], *, limits: Limits, staging_dir: Path) -> Iterator[CommitBody]:
    """The commit that `stream` describes; its spool lasts as long as the context.

    Raises:
        InvalidInput: a line that is no JSON or not of the protocol, with its number.
        InvalidPath (vcs): a path git must not hold.
        TooLarge: a line, a file, the body, or the number of changes.
        RepositoryFull (vcs): the disk has no room for the spool.
    """
    with tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES, dir=str(staging_dir)) as spool:
        reader = _Reader(limits, spool)
        lines = lines_of(
            stream, max_line_bytes=limits.line_bytes, max_total_bytes=limits.total_bytes
        )
        for number, line in enumerate(lines, start=1):
            if line.strip():
                reader.take(number, line)
        if not reader.has_header:
            raise InvalidInput("The body has no header line.")
        yield reader.body


class _Reader:
    def __init__(self, limits: Limits, spool: IO[bytes]) -> None:
        self.body = CommitBody()
        self.has_header = False
        self._limits = limits
        self._spool = spool
        self._line = 0
        self._takers: dict[str, Callable[[dict[str, Any]], None]] = {
            "header": self._header,
            "file": self._file,
            "lfsFile": self._large_file,
            "deletedFile": self._deleted_file,
            "deletedFolder": self._deleted_folder,
        }

    def take(self, number: int, line: bytes) -> None:
        self._line = number
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise self._fault("it is not JSON") from None
        key = entry.get("key") if isinstance(entry, dict) else None
        value = entry.get("value") if isinstance(entry, dict) else None
        if not isinstance(key, str) or not isinstance(value, dict):
            raise self._fault("it must be an object with “key” and “value”")
        if key not in self._takers:
            raise self._fault(f"“{key[:40]}” is no kind of change")
        if self.has_header == (key == "header"):
            raise self._fault("exactly one header is needed, and it comes first")
        if len(self.body.changes) >= MAX_CHANGES:
            raise TooLarge(f"One commit may hold at most {MAX_CHANGES} changes.")
        self._takers[key](value)

    def _header(self, value: dict[str, Any]) -> None:
        self.has_header = True
        self.body.summary = self._text(value, "summary", default="").strip()
        self.body.description = self._text(value, "description", default="").strip()
        if len(self.body.message) > MAX_MESSAGE_CHARS:
            raise self._fault(f"the message is longer than {MAX_MESSAGE_CHARS} characters")
        parent = value.get("parentCommit")
        if parent is not None and not (isinstance(parent, str) and _PARENT.fullmatch(parent)):
            raise self._fault("“parentCommit” must be 5 to 40 hex digits")
        self.body.parent = parent

    def _file(self, value: dict[str, Any]) -> None:
        path = self._path(value)
        content = self._content(value)
        if len(content) > self._limits.file_bytes:
            raise TooLarge(
                f"{path} has {len(content)} bytes. A regular file may have "
                f"{self._limits.file_bytes}; send a larger one by Xet or LFS."
            )
        pointer = parse_pointer(content) if len(content) <= POINTER_MAX_BYTES else None
        self.body.changes.append(AddWaiting(path, self._put_aside(content), len(content), pointer))

    def _large_file(self, value: dict[str, Any]) -> None:
        oid, size = value.get("oid"), value.get("size")
        if value.get("algo", "sha256") != "sha256" or not isinstance(oid, str):
            raise self._fault("“algo” must be sha256 and “oid” a string")
        if not is_lfs_oid(oid):
            raise self._fault("“oid” must be 64 lower-case hex digits")
        if size is not None and (type(size) is not int or size < 0):
            raise self._fault("“size” must be a number of bytes")
        self.body.changes.append(AddLarge(self._path(value), oid, size))

    def _deleted_file(self, value: dict[str, Any]) -> None:
        self.body.changes.append(DeleteFile(self._path(value)))

    def _deleted_folder(self, value: dict[str, Any]) -> None:
        self.body.changes.append(DeleteFolder(self._path(value)))

    def _path(self, value: dict[str, Any]) -> str:
        path = self._text(value, "path")
        validate_path(path.removesuffix("/"))
        return path

    def _content(self, value: dict[str, Any]) -> bytes:
        text = self._text(value, "content")
        encoding = value.get("encoding", "base64")
        try:
            if encoding == "base64":
                return base64.b64decode(text, validate=True)
            if encoding == "utf-8":
                return text.encode()
        except (binascii.Error, ValueError):
            raise self._fault(f"“content” is not {encoding}") from None
        raise self._fault("“encoding” must be base64")

    def _put_aside(self, content: bytes) -> Callable[[], bytes]:
        """Spools `content`; gives what reads it back. All writing comes before all reading."""
        start, spool = self._spool.tell(), self._spool
        with no_space_as_domain_error():
            size_bytes = spool.write(content)

        def read() -> bytes:
            spool.seek(start)
            return spool.read(size_bytes)

        return read

    def _text(self, value: dict[str, Any], key: str, *, default: str | None = None) -> str:
        text = value.get(key)
        text = default if text is None else text
        if not isinstance(text, str):
            raise self._fault(f"“{key}” must be a string")
        return text

    def _fault(self, reason: str) -> InvalidInput:
        return InvalidInput(f"Line {self._line} of the commit: {reason}.", line=self._line)
