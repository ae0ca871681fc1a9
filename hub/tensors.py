"""The tensors of a safetensors checkpoint at two commits, compared by reading headers only."""

from __future__ import annotations

import logging
import re
from contextlib import closing
from dataclasses import dataclass

from hub.blob_stream import open_file
from hub.errors import HubError
from hub.models import Repo
from hub.site import git_of
from hub.storage import StorageError
from hub.vcs import Repository, TreeEntry
from hub.xet.errors import XetError
from ml_core.formats import FormatError, LimitExceeded
from ml_core.formats.safetensors import SafetensorsHeader, read_header
from ml_core.formats.shards import MAX_INDEX_BYTES, ShardIndex, parse_index
from ml_core.formats.tensor_diff import (
    EMPTY,
    TensorDiff,
    TensorSet,
    diff_tensors,
    sharded,
    whole_file,
)

logger = logging.getLogger(__name__)

MAX_HEADERS_BYTES = 32 * 1024**2
"""All headers of one version together; 90,000 tensors take about half."""
MAX_SHARDS = 256

_SUFFIX = ".safetensors"
_INDEX_SUFFIX = ".safetensors.index.json"
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors\Z")


@dataclass(frozen=True)
class Version:
    """Where one side of a comparison lies; `commit_sha` None stands for nothing at all."""

    commit_sha: str | None
    path: str


@dataclass(frozen=True)
class Unreadable:
    """Why the tensors of a file cannot be told; `tensor` is the one at fault, where one is.

    `code` and `message` are those of the error behind it; `hub.scan_words` has the sentences.
    """

    path: str
    code: str
    message: str
    tensor: str = ""


def has_tensors(path: str) -> bool:
    """Whether `path` is a safetensors file, or the index of several."""
    return path.endswith((_SUFFIX, _INDEX_SUFFIX))


def index_of(path: str) -> str | None:
    """Path of the index to which the shard at `path` would belong; None for other files."""
    return _SHARD.sub(_INDEX_SUFFIX, path) if _SHARD.search(path) else None


def header_of(
    repo: Repo, entry: TreeEntry, *, max_bytes: int, git: Repository | None = None
) -> SafetensorsHeader:
    """The header of the safetensors file at `entry`; no more of it is read.

    Raises:
        FormatError: it is none, or its header is longer than `max_bytes`.
        HubError, StorageError, XetError, OSError
    """
    with closing(open_file(repo, entry, git=git)) as stream:
        return read_header(stream, size_bytes=entry.size_bytes, max_header_bytes=max_bytes)


def compare_tensors(repo: Repo, old: Version, new: Version) -> TensorDiff | Unreadable:
    """What differs between two versions of a checkpoint.

    A version that lies in one file compares with one in shards: `model.safetensors` stands for
    `model.safetensors.index.json` where only the other is there.

    Raises:
        RevisionNotFound (hub.vcs.errors): there is no such commit.
    """
    git = git_of(repo)
    sides: list[TensorSet] = []
    for version in (old, new):
        path = version.path
        try:
            sides.append(_tensors(repo, git, version))
        except FormatError as error:
            tensor = error.detail.get("name") or error.detail.get("tensor") or ""
            return Unreadable(path, error.code, error.message, str(tensor))
        except HubError as error:
            return Unreadable(path, error.code, error.message)
        except (StorageError, XetError, OSError) as error:
            logger.warning("no tensors of %s %s: %s", repo, path, error)
            return Unreadable(path, "unreadable", "")
    return diff_tensors(*sides)


def _tensors(repo: Repo, git: Repository, version: Version) -> TensorSet:
    """The tensors of the file, of what stands in its place, or of nothing."""
    if version.commit_sha is None:
        return EMPTY
    for path in (version.path, _other_form(version.path)):
        found = git.entries(version.commit_sha, [path])
        if found and found[0].kind == "file":
            reader = _HeaderReader(repo, git, version.commit_sha)
            return reader.read(found[0])
    return EMPTY


def _other_form(path: str) -> str:
    """The file that holds a whole model for its index, and the other way round."""
    if path.endswith(_INDEX_SUFFIX):
        return path.removesuffix(_INDEX_SUFFIX) + _SUFFIX
    return path.removesuffix(_SUFFIX) + _INDEX_SUFFIX


class _HeaderReader:
    """Reads the headers of one version; all together stay within `MAX_HEADERS_BYTES`."""

    def __init__(self, repo: Repo, git: Repository, commit_sha: str) -> None:
        self._repo = repo
        self._git = git
        self._commit_sha = commit_sha
        self._left_bytes = MAX_HEADERS_BYTES

    def read(self, entry: TreeEntry) -> TensorSet:
        """The tensors of the file or index at `entry`.

        Raises:
            FormatError, HubError, StorageError, XetError, OSError
        """
        if not entry.path.endswith(_INDEX_SUFFIX):
            return whole_file(self._header(entry))
        index = self._index(entry)
        return sharded(index, self._shard_headers(index, entry.path.rpartition("/")[0]))

    def _index(self, entry: TreeEntry) -> ShardIndex:
        if entry.size_bytes > MAX_INDEX_BYTES:
            raise LimitExceeded("index-too-large", "The index is too large.")
        with closing(open_file(self._repo, entry, git=self._git)) as stream:
            return parse_index(stream.read(MAX_INDEX_BYTES + 1))

    def _shard_headers(self, index: ShardIndex, folder: str) -> dict[str, SafetensorsHeader]:
        if len(index.shards) > MAX_SHARDS:
            raise LimitExceeded("too-many-shards", "The index names too many files.")
        paths = [f"{folder}/{name}" if folder else name for name in index.shards]
        entries = self._git.entries(self._commit_sha, paths)
        return {
            entry.path.rpartition("/")[2]: self._header(entry)
            for entry in entries
            if entry.kind == "file"
        }

    def _header(self, entry: TreeEntry) -> SafetensorsHeader:
        header = header_of(self._repo, entry, max_bytes=self._left_bytes, git=self._git)
        self._left_bytes -= header.header_size_bytes
        return header
