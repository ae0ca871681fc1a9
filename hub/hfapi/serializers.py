"""Domain objects as the JSON that Hub clients parse. No query here: callers bring what is needed.

Source: Hub protocol, tables of sections 4.3, 4.4 and 4.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.html import escape

from hub.models import Repo
from hub.vcs import CommitInfo, Ref, TreeEntry

HIDDEN_DIGEST = "*" * 64
NOREPLY_PREFIX = "@users.noreply."


def date_text(when: datetime) -> str:
    """ISO with milliseconds and a literal Z: the one form every client parses."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def repo_url_of(repo: Repo, base_url: str) -> str:
    return base_url + repo.url_path


def tree_entry(
    entry: TreeEntry,
    *,
    xet_hashes: Mapping[str, str],
    with_digests: bool = True,
    last_commits: Mapping[str, CommitInfo] | None = None,
    security: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """One row of a tree or of paths-info.

    Args:
        xet_hashes: Xet file hash by SHA-256, of files that came through Xet.
        with_digests: False where the caller may not read contents: stars stand for their digests.
        last_commits, security: by path, where the caller asked for more (`expand`).
    """
    row: dict[str, Any] = {
        "type": entry.kind,
        "oid": entry.oid,
        "size": entry.size_bytes,
        "path": entry.path,
    }
    if entry.lfs:
        row["lfs"] = {
            "oid": entry.lfs.oid if with_digests else HIDDEN_DIGEST,
            "size": entry.lfs.size_bytes,
            "pointerSize": entry.pointer_size_bytes,
        }
        if entry.lfs.oid in xet_hashes:
            row["xetHash"] = xet_hashes[entry.lfs.oid] if with_digests else HIDDEN_DIGEST
    if last_commits is not None and entry.path in last_commits:
        row["lastCommit"] = last_commit(last_commits[entry.path])
    if security is not None and entry.path in security:
        row["securityFileStatus"] = security[entry.path]
    return row


def sibling(entry: TreeEntry, *, with_blobs: bool, with_digests: bool = True) -> dict[str, Any]:
    """One file in the info of a repository."""
    row: dict[str, Any] = {"rfilename": entry.path}
    if with_blobs:
        row["size"] = entry.size_bytes
        row["blobId"] = entry.oid
        if entry.lfs:
            row["lfs"] = {
                "size": entry.lfs.size_bytes,
                "sha256": entry.lfs.oid if with_digests else HIDDEN_DIGEST,
                "pointerSize": entry.pointer_size_bytes,
            }
    return row


def last_commit(commit: CommitInfo) -> dict[str, Any]:
    return {"id": commit.sha, "title": commit.title, "date": date_text(commit.author.when)}


def commit_row(commit: CommitInfo, *, formatted: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": commit.sha,
        "title": commit.title,
        "message": commit.message,
        "date": date_text(commit.author.when),
        "authors": [{"user": author_name(commit)}],
    }
    if formatted:
        row["formatted"] = {"title": escape(commit.title), "message": escape(commit.message)}
    return row


def author_name(commit: CommitInfo) -> str:
    """The user name, where the commit was made here; else the name git has."""
    name, marker, _ = commit.author.email.partition(NOREPLY_PREFIX)
    return name if marker else commit.author.name


def ref_row(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, "ref": ref.full_name, "targetCommit": ref.commit_sha}
