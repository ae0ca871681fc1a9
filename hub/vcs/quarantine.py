"""Objects that have arrived and that nobody can see: received, looked at, then let in or dropped.

Source: gitformat-pack(5); git's own quarantine, git-receive-pack(1).
"""

import contextlib
import errno
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, Self

import pygit2
from pygit2.enums import RepositoryOpenFlag

from hub.vcs.errors import PackRefused, RepositoryFull
from hub.vcs.gitprocess import GitProcess, ProcessLimits
from hub.vcs.pack import LOOSE_LIMIT, no_space_as_domain_error, sync_folder, with_folder

PREFIX = "push-"
NOT_HERE = (
    "they build on objects that are not here; a shallow clone must be made whole first: "
    "git fetch --unshallow"
)

_CHUNK_BYTES = 1 << 18
_HEADER_BYTES = 12
# The rules of git's own check, but for those that hub.vcs.names words better, with the path.
_MISSING = ("unresolved delta", "did not receive expected", "unexpected type", "failed to read")
_STRICT = "--strict=hasDot=ignore,hasDotdot=ignore,hasDotgit=ignore"


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PackLimits:
    """The largest pack that is taken, and what unpacking it may use."""

    size_bytes: int
    objects: int
    process: ProcessLimits


class Quarantine:
    """A folder of objects beside a repository, gone with the block unless they were let in.

    Args:
        repository: the bare repository; its objects are visible from the quarantine.
        folder: where quarantines are made; on the file system of the repository.
    """

    def __init__(self, repository: Path, folder: Path) -> None:
        self._repository = repository
        self._folder = folder

    def __enter__(self) -> Self:
        with no_space_as_domain_error():
            self._folder.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._folder))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def receive(self, stream: Readable, limits: PackLimits) -> None:
        """Take a pack from a stream; its objects are complete and well-formed afterwards.

        Raises:
            PackRefused: it is broken, too large, or names objects that are not here.
            RepositoryFull
        """
        header = _read_header(stream, limits)
        process = GitProcess(
            _command(header, limits),
            limits=limits.process,
            stdin=subprocess.PIPE,
            variables={
                "GIT_DIR": os.fspath(self._repository),
                "GIT_OBJECT_DIRECTORY": os.fspath(self.path),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.fspath(self._repository / "objects"),
            },
        )
        with process:
            _feed(process, header, stream)
            _await(process, limits)

    def open(self) -> pygit2.Repository:
        """The repository as it would be with the objects let in."""
        flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE
        repo = pygit2.Repository(os.fspath(self._repository), flags)
        repo.odb.add_disk_alternate(os.fspath(self.path))
        return repo

    def objects(self) -> pygit2.Odb:
        """What has arrived, alone."""
        return pygit2.Odb(os.fspath(self.path))

    def size_bytes(self) -> int:
        """How much the repository will grow by on disk."""
        return sum(path.stat().st_size for path in _in_safe_order(self.path))

    def let_in(self) -> None:
        """Move all objects into the repository. Call it with the repository's lock held."""
        target = self._repository / "objects"
        with no_space_as_domain_error():
            for path in _in_safe_order(self.path):
                place = target / path.relative_to(self.path)
                with_folder(place.parent, partial(path.replace, place))
            sync_folder(target / "pack")


def _command(header: bytes, limits: PackLimits) -> list[str]:
    (count,) = struct.unpack(">8xI", header)
    size = f"--max-input-size={limits.size_bytes}"
    if count <= LOOSE_LIMIT:
        return ["unpack-objects", "-q", _STRICT, size]
    return ["index-pack", "--stdin", "--fix-thin", _STRICT, size]


def _read_header(stream: Readable, limits: PackLimits) -> bytes:
    header = b""
    while len(header) < _HEADER_BYTES:
        data = _read(stream, _HEADER_BYTES - len(header))
        if not data:
            raise PackRefused("the pack ends before it begins")
        header += data
    signature, version, count = struct.unpack(">4sII", header)
    if signature != b"PACK" or version not in (2, 3):
        raise PackRefused("this is no pack of git objects")
    if count > limits.objects:
        raise PackRefused(f"{count} objects at once, {limits.objects} are allowed")
    return header


def _feed(process: GitProcess, header: bytes, stream: Readable) -> None:
    """Hand the pack to the process, for as long as it wants more and there is time."""
    data = header
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        while data and not process.is_late():
            pipe.write(data)
            data = _read(stream, _CHUNK_BYTES)


def _read(stream: Readable, size_bytes: int) -> bytes:
    try:
        return stream.read(size_bytes)
    except OSError as error:
        raise PackRefused("the connection was lost") from error


def _await(process: GitProcess, limits: PackLimits) -> None:
    try:
        status = process.wait()
    except subprocess.TimeoutExpired:
        raise PackRefused(f"it took longer than {limits.process.time_s:.0f} seconds") from None
    if status == 0:
        return
    text = process.errors()
    if os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text:
        raise RepositoryFull
    if "exceeds maximum allowed size" in text:
        raise PackRefused(f"they have more than {limits.size_bytes} bytes")
    if status < 0 or "ut of memory" in text or "alloc" in text or "mmap" in text:
        raise PackRefused("unpacking them takes too much memory")
    raise PackRefused(_first_line(text))


def _first_line(text: str) -> str:
    """The reason in git's words; what it says of a thin pack's bases, in ours."""
    lines = [line for line in text.splitlines() if line.startswith(("fatal: ", "error: "))]
    line = lines[0].partition(": ")[2] if lines else "git could not unpack them"
    if any(words in line for words in _MISSING):
        return f"{NOT_HERE} ({line[:100]})"
    return line[:300]


def _in_safe_order(folder: Path) -> Iterator[Path]:
    """Loose objects and packs, the index of a pack last: with it the pack becomes visible."""
    files = [path for path in folder.glob("*/*") if not path.name.startswith("tmp_")]
    yield from sorted(files, key=lambda path: (path.suffix == ".idx", path.name))
