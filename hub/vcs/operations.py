"""The changes a commit is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddFile:
    """Write a regular file, replacing one that is there."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class AddPointer:
    """Write an LFS pointer to content held elsewhere; `oid` is its SHA-256."""

    path: str
    oid: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CopyFile:
    """Write a copy of the file at `source_path` in the commit `source_sha` of this repository."""

    path: str
    source_path: str
    source_sha: str


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove the file, or the folder with all it holds, at the path."""

    path: str


@dataclass(frozen=True, slots=True)
class DeleteFolder:
    """Remove the folder with all it holds; the path may end with a slash."""

    path: str


Operation = AddFile | AddPointer | CopyFile | DeleteFile | DeleteFolder
