"""Git repositories without Django: bare repositories read and written through libgit2."""

from hub.vcs.names import validate_path, validate_ref_name
from hub.vcs.operations import (
    AddFile,
    AddPointer,
    CopyFile,
    DeleteFile,
    DeleteFolder,
    Operation,
)
from hub.vcs.repository import Repository, tune_process
from hub.vcs.values import CommitInfo, FileDiff, Ref, Signature, TreeEntry

__all__ = [
    "AddFile",
    "AddPointer",
    "CommitInfo",
    "CopyFile",
    "DeleteFile",
    "DeleteFolder",
    "FileDiff",
    "Operation",
    "Ref",
    "Repository",
    "Signature",
    "TreeEntry",
    "tune_process",
    "validate_path",
    "validate_ref_name",
]
