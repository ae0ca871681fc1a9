"""Scan verdicts in the words of the Hub protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.models import Repo
from hub.scans import entry_statuses, repo_security
from hub.vcs import TreeEntry


def repo_status(repo: Repo, commit_sha: str) -> dict[str, Any]:
    """`securityRepoStatus` of a commit."""
    return repo_security(repo, commit_sha).to_api()


def file_statuses(
    repo: Repo, commit_sha: str, entries: Sequence[TreeEntry], *, is_open: bool = True
) -> dict[str, dict[str, Any]]:
    """`securityFileStatus` by path, of the files among `entries`.

    Args:
        is_open: whether what was read out of the files, such as a pickle's imports, may be told.
    """
    statuses = entry_statuses(repo, commit_sha, entries)
    told = {path: status.to_api() for path, status in statuses.items()}
    if not is_open:
        for status in told.values():
            if status["pickleImportScan"] is not None:
                status["pickleImportScan"]["pickleImports"] = []
    return told
