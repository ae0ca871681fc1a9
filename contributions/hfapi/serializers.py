"""Discussions as the JSON that Hub clients parse. No query here: callers bring what is needed.

Source: Hub protocol, section 4.10. `author` is left out where the user is gone: clients do not
take a null.
"""

from __future__ import annotations

from typing import Any

from contributions.comments import HIDDEN, comment_text, kept_html
from contributions.models import CommentVersion, Discussion, DiscussionEvent
from hub.hfapi.serializers import date_text
from hub.models import User


def discussion_row(discussion: Discussion) -> dict[str, Any]:
    """One discussion in a list."""
    return {
        "num": discussion.num,
        **_author(discussion.author),
        "repo": {"name": discussion.repo.full_name, "type": discussion.repo.repo_type},
        "title": discussion.title,
        "status": discussion.status,
        "createdAt": date_text(discussion.created_at),
        "isPullRequest": discussion.is_pull_request,
        "numComments": discussion.comment_count,
    }


def pull_fields(
    discussion: Discussion, *, conflicts: list[str], diff: str | None
) -> dict[str, Any]:
    """What the details of a pull request say beyond those of a discussion."""
    changes = {"base": discussion.base_ref}
    if discussion.merge_commit_sha:
        changes["mergeCommitId"] = discussion.merge_commit_sha
    fields = {"changes": changes, "filesWithConflicts": conflicts}
    return fields if diff is None else {**fields, "diff": diff}


def event_row(event: DiscussionEvent) -> dict[str, Any]:
    """One event; a comment with what it says now and what it said before."""
    return {
        "id": event.public_id,
        **_author(event.author),
        "createdAt": date_text(event.created_at),
        "type": event.kind,
        "data": _comment(event) if event.is_comment else event.data,
    }


def _comment(event: DiscussionEvent) -> dict[str, Any]:
    written_at, path = event.edited_at or event.created_at, event.discussion.repo.url_path
    latest = {
        "raw": comment_text(event),
        "html": HIDDEN if event.is_hidden else kept_html(event, repo_path=path),
        "updatedAt": date_text(written_at),
        **_author(event.author),
    }
    history = [_version(event, version) for version in event.versions.all()]
    return {
        "edited": event.edited_at is not None,
        "hidden": event.is_hidden,
        "latest": latest,
        "history": history,
        "numEdits": len(history),
    }


def _version(event: DiscussionEvent, version: CommentVersion) -> dict[str, Any]:
    return {
        "raw": version.text,
        "html": kept_html(version, repo_path=event.discussion.repo.url_path),
        "updatedAt": date_text(version.written_at),
        **_author(event.author),
    }


def _author(user: User | None) -> dict[str, Any]:
    """`author` to be merged into an object, or nothing."""
    if user is None:
        return {}
    return {"author": {"name": user.username, "fullname": user.get_full_name(), "type": "user"}}
