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
    repo: Repo, commit_sha: str, entries: Sequence[TreeEntry]
) -> dict[str, dict[str, Any]]:
    """`securityFileStatus` by path, of the files among `entries`."""
    statuses = entry_statuses(repo, commit_sha, entries)
    return {path: status.to_api() for path, status in statuses.items()}
