"""The one way to a file's bytes, whether they lie in git, plain in the store, or as Xet chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hub.errors import ContentDamaged, EntryNotFound
from hub.models import Blob, Repo, RepoBlob, XetFile
from hub.site import git_of, store
from hub.storage import KeyMissing
from hub.vcs import TreeEntry
from hub.vcs.errors import EntryNotFound as NoSuchEntry
from hub.xet.content import stream_xet_file


class Source(Protocol):
    """Where bytes come from."""

    def stream(self, start: int, end: int) -> Iterator[bytes | bytearray]: ...


@dataclass(frozen=True)
class Content:
    """A file's content, not read yet.

    `etag` is the git blob id of a regular file and the SHA-256 of a large one. `store_key` is
    given where the store holds the content as it is, under one key; `local_path` where that is a
    file of this machine. `xet_hash` is given where a client may fetch the content by Xet.
    """

    size_bytes: int
    etag: str
    sha256: str | None
    xet_hash: str | None
    store_key: str | None
    local_path: Path | None
    _source: Source = field(repr=False)

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes | bytearray]:
        """The bytes [start, end) in pieces."""
        stop = self.size_bytes if end is None else min(end, self.size_bytes)
        return self._source.stream(start, stop)

    def read(self) -> bytes:
        """All bytes; for files known to be small."""
        return b"".join(self.stream())


@dataclass(frozen=True)
class _GitBlob:
    repo: Repo
    oid: str

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        yield git_of(self.repo).read_blob(self.oid)[start:end]


@dataclass(frozen=True)
class _StoredObject:
    key: str

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        try:
            return store().stream(self.key, start, end)
        except KeyMissing:
            raise EntryNotFound("The content is no longer stored.") from None


@dataclass(frozen=True)
class _XetChunks:
    xet_file: XetFile

    def stream(self, start: int, end: int) -> Iterator[bytes | bytearray]:
        return stream_xet_file(self.xet_file, start, end)


def open_content(repo: Repo, commit_sha: str, path: str) -> Content:
    """The content of the file at `path` in a commit.

    Raises:
        EntryNotFound: there is no file there, or its large content was never sent to `repo`.
    """
    git = git_of(repo)
    try:
        entry = git.entry(commit_sha, path)
        if entry.kind == "directory":
            raise EntryNotFound(f"{path} is a folder.", commit_sha=commit_sha)
        if entry.lfs is None:
            return _regular(repo, entry)
    except NoSuchEntry:
        raise EntryNotFound(f"There is no file {path}.", commit_sha=commit_sha) from None
    link = blob_link(repo, entry.lfs.oid)
    if link is None:
        message = f"The content of {path} was never uploaded to this repository."
        raise EntryNotFound(message, commit_sha=commit_sha)
    return blob_content(link)


def stored_content(key: str, *, size_bytes: int, etag: str) -> Content:
    """What the store holds under a key and no repository knows of; sent by ourselves, always.

    Raises:
        EntryNotFound: it is no longer stored.
    """
    try:
        local_path = store().local_path(key)
    except KeyMissing:
        raise EntryNotFound("The content is no longer stored.") from None
    return Content(
        size_bytes=size_bytes,
        etag=etag,
        sha256=None,
        xet_hash=None,
        store_key=key if local_path is not None else None,
        local_path=local_path,
        _source=_StoredObject(key),
    )


def blob_link(repo: Repo, sha256: str) -> RepoBlob | None:
    """The right of `repo` to large content, with its rows; None if it has none."""
    links = RepoBlob.objects.select_related("blob", "xet_file")
    return links.filter(repo=repo, blob__sha256=sha256).first()


def blob_content(link: RepoBlob) -> Content:
    """Large content that a repository has a right to.

    Raises:
        EntryNotFound: it is no longer stored.
        ContentDamaged: it is, and is not what it was.
    """
    if link.blob.quarantined_at is not None:
        raise ContentDamaged
    xet_file = link.xet_file
    if link.blob.is_plain and (plain := _plain(link.blob, xet_file)) is not None:
        return plain
    xet_file = xet_file or XetFile.objects.filter(sha256=link.blob.sha256).first()
    if xet_file is None:
        raise EntryNotFound("The content is no longer stored.")
    return Content(
        size_bytes=link.blob.size_bytes,
        etag=link.blob.sha256,
        sha256=link.blob.sha256,
        xet_hash=xet_file.file_hash,
        store_key=None,
        local_path=None,
        _source=_XetChunks(xet_file),
    )


def _plain(blob: Blob, xet_file: XetFile | None) -> Content | None:
    """The content under its own key; None where a local store has lost it."""
    try:
        local_path = store().local_path(blob.store_key)
    except KeyMissing:
        return None
    return Content(
        size_bytes=blob.size_bytes,
        etag=blob.sha256,
        sha256=blob.sha256,
        xet_hash=xet_file.file_hash if xet_file else None,
        store_key=blob.store_key,
        local_path=local_path,
        _source=_StoredObject(blob.store_key),
    )


def _regular(repo: Repo, entry: TreeEntry) -> Content:
    return Content(
        size_bytes=entry.size_bytes,
        etag=entry.oid,
        sha256=None,
        xet_hash=None,
        store_key=None,
        local_path=None,
        _source=_GitBlob(repo, entry.oid),
    )
