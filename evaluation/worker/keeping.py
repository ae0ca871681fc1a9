"""Files out of a job's folder into the store and back: never trusted, hashed on each way."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from evaluation.errors import JobFailed
from hub.site import store
from hub.storage.errors import StorageError

CHUNK_BYTES = 1 << 20
SAFE_SUFFIXES = frozenset(
    {".safetensors", ".onnx", ".json", ".jsonl", ".txt", ".md", ".model", ".jinja", ".spm"}
)
"""What a model may consist of; anything else that a job leaves is none of its model."""
MAX_FILES = 200
PLAIN_PATH = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,3}"
)

StoredFile = dict[str, Any]
"""`{"path": …, "sha256": …, "size_bytes": …}`"""


class NotWhole(Exception):
    """A file is missing, is no plain file, or is not what its digest says."""


def keep_files(
    files: Iterable[StoredFile],
    *,
    source: Path,
    below: str,
    scratch: Path,
    folder: str,
    max_bytes: int,
    check: Callable[[], None] = lambda: None,
) -> list[StoredFile]:
    """Stores what a job wrote, once each file is found to have the digest that the job gave.

    A link, a pipe or a path that leads elsewhere is refused: the job may have put it there.

    Args:
        source: folder of ours into which the job writes; the files lie in `below` in it.
        scratch: folder out of the job's reach, where a file is hashed while it is copied.
        folder: of the store.
        check: called between files; may raise.

    Raises: NotWhole; StorageError: nothing of `folder` is left.
    """
    kept: list[StoredFile] = []
    chosen = list(files)
    if len(chosen) > MAX_FILES or sum(file["size_bytes"] for file in chosen) > max_bytes:
        raise NotWhole("too many files or bytes")
    try:
        for file in chosen:
            check()
            _keep(file, source, below, scratch, folder)
            kept.append({name: file[name] for name in ("path", "sha256", "size_bytes")})
    except BaseException:
        with suppress(StorageError):
            forget_files(kept, folder=folder)
        raise
    return kept


def fetch_kept(files: Iterable[StoredFile], *, folder: str, target: Path) -> None:
    """Writes stored files below `target`. Raises `NotWhole` for one that is gone or damaged."""
    for file in files:
        path = target / _checked(file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with path.open("wb") as stream:
                for chunk in store().stream(f"{folder}/{file['path']}"):
                    digest.update(chunk)
                    stream.write(chunk)
        except StorageError as error:
            raise NotWhole(f"{file['path']}: {error}") from error
        if digest.hexdigest() != file["sha256"]:
            raise NotWhole(f"{file['path']} is damaged")


def forget_files(files: Iterable[StoredFile], *, folder: str) -> None:
    """Removes stored files. Raises `StorageError`."""
    for file in files:
        store().delete(f"{folder}/{file['path']}")


def as_stored_failure(error: StorageError) -> JobFailed:
    """A fault of the store as the end of a run."""
    return JobFailed("system", "storage_unavailable", f"A file could not be stored: {error}")


def open_below(root: Path, relative: str, *, max_bytes: int) -> IO[bytes]:
    """The plain file at `relative` below `root`, with no link anywhere on the way.

    Each folder is opened from the one above, so that a job that is still at work cannot swap one
    for a link behind our back.

    Raises: NotWhole.
    """
    *folders, name = _checked(relative).split("/")
    opened = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        for folder in folders:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            opened.append(os.open(folder, flags, dir_fd=opened[-1]))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(name, flags, dir_fd=opened[-1])
    except OSError as error:
        raise NotWhole(f"{relative} is missing or lies behind a link") from error
    finally:
        for each in opened:
            os.close(each)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > max_bytes:
        os.close(handle)
        raise NotWhole(f"{relative} is no plain file of at most {max_bytes:,} bytes")
    return os.fdopen(handle, "rb")


def _keep(file: StoredFile, source: Path, below: str, scratch: Path, folder: str) -> None:
    path, size = file["path"], file["size_bytes"]
    copy = scratch / "keeping"
    digest = hashlib.sha256()
    try:
        with (
            open_below(source, f"{below}/{path}", max_bytes=size) as stream,
            copy.open("wb") as target,
        ):
            while data := stream.read(CHUNK_BYTES):
                digest.update(data)
                target.write(data)
        if digest.hexdigest() != file["sha256"] or copy.stat().st_size != size:
            raise NotWhole(f"{path} is not what its digest says")
        store().put_file(f"{folder}/{path}", copy)
    finally:
        copy.unlink(missing_ok=True)


def _checked(path: str) -> str:
    if not PLAIN_PATH.fullmatch(path):
        raise NotWhole(f"{path[:100]!r} is no name of a file")
    return path
