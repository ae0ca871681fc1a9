"""What a repository hands out: commits, entries, refs and file differences."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hub.lfs.pointer import LfsPointer


@dataclass(frozen=True, slots=True)
class Signature:
    """Who did something and when; `when` is aware, in UTC."""

    name: str
    email: str
    when: datetime


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit; `title` is the first line, `message` what follows it."""

    sha: str
    parents: tuple[str, ...]
    title: str
    message: str
    author: Signature


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file or folder at a commit.

    `oid` is the git object id. `size_bytes` is the size of the true content: that which an LFS
    pointer names, else the blob's own; 0 for a folder.
    """

    path: str
    kind: Literal["file", "directory"]
    oid: str
    size_bytes: int
    lfs: LfsPointer | None = None
    pointer_size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch, tag or pull request ref; an annotated tag is given by its commit."""

    name: str
    full_name: str
    commit_sha: str


@dataclass(frozen=True, slots=True)
class FileDiff:
    """How one file differs between two commits.

    `additions` and `deletions` are None where lines were not counted (binary or too large).
    `patch` is unified text with its file headers; None where there is none to show.
    """

    path: str
    old_path: str | None
    status: Literal["added", "deleted", "modified", "renamed", "copied", "typechange"]
    additions: int | None
    deletions: int | None
    patch: str | None
    is_binary: bool
    too_large: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some of the files that differ between two commits, and how many differ in all."""

    files: tuple[FileDiff, ...]
    n_files: int
