"""Scan verdicts in the words of the Hub protocol. What was not scanned never looks safe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.models import Repo
from hub.vcs import TreeEntry


def repo_status(repo: Repo, commit_sha: str) -> dict[str, Any]:
    """`securityRepoStatus` of a commit."""
    return {"scansDone": False, "filesWithIssues": []}


def file_statuses(
    repo: Repo, commit_sha: str, entries: Sequence[TreeEntry]
) -> dict[str, dict[str, Any]]:
    """`securityFileStatus` by path, of the files among `entries`."""
    return {}
