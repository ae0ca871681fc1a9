"""The content of one file of a repository as a seekable stream, wherever its bytes lie."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from hub.content import blob_content, blob_link
from hub.errors import EntryNotFound
from hub.models import Repo
from hub.site import git_of
from hub.vcs import Repository, TreeEntry
from ml_core.formats.streams import RangeStream

AHEAD_BYTES = 1 << 20


def open_file(repo: Repo, entry: TreeEntry, *, git: Repository | None = None) -> BinaryIO:
    """The content of `entry`, to be closed by the caller; large content is read as it is asked for.

    Args:
        git: the repository, where the caller has it open already.

    Raises:
        EntryNotFound: the content of a large file is not stored, or not this repository's.
        StorageError, XetError: from here or while reading.
    """
    if entry.lfs is None:
        return io.BytesIO((git or git_of(repo)).read_blob(entry.oid))
    link = blob_link(repo, entry.lfs.oid)
    if link is None:
        raise EntryNotFound(f"The content of {entry.path} is not stored here.")
    content = blob_content(link)
    if content.local_path is not None:
        return content.local_path.open("rb")
    stream = RangeStream(
        lambda start, end: b"".join(content.stream(start, end)), content.size_bytes
    )
    return cast(BinaryIO, io.BufferedReader(stream, AHEAD_BYTES))
