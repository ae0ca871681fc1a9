"""What contributions do when news arrives from the hub: write down who is to hear it, and ring."""

from __future__ import annotations

from typing import Any

from contributions.actions.deliveries import queue_news
from contributions.webhooks.hearing import News, RepoFacts
from hub import events
from hub.models import Repo

_DISCUSSION_NEWS = {
    "create": ("discussion", "create"),
    "comment": ("discussion.comment", "create"),
    "update": ("discussion", "update"),
}


@events.receives(events.RepoCreated)
def tell_of_new_repo(event: events.RepoCreated) -> None:
    _tell(event.repo_id, "repo", "create")


@events.receives(events.RepoRenamed)
def tell_of_rename(event: events.RepoRenamed) -> None:
    repo = _repo(event.repo_id)
    if repo is None:
        return
    facts = {
        "repo": {"name": event.old_full_name, "type": repo.repo_type},
        "movedTo": {"name": repo.full_name, "owner": {"id": str(repo.namespace_id)}},
    }
    queue_news(
        News("repo", "move", RepoFacts.of(repo), facts, former_namespace_id=event.old_namespace_id)
    )


@events.receives(events.RepoConfigured)
def tell_of_settings(event: events.RepoConfigured) -> None:
    _tell(event.repo_id, "repo.config", "update", {"updatedConfig": dict(event.config)})


@events.receives(events.RepoDeleted)
def tell_of_deleted_repo(event: events.RepoDeleted) -> None:
    part = {
        "type": event.repo_type,
        "name": event.full_name,
        "id": str(event.repo_id),
        "private": event.is_private,
        "owner": {"id": str(event.namespace_id)},
    }
    facts = RepoFacts(event.repo_id, event.repo_type, event.namespace_id, event.is_private)
    queue_news(News("repo", "delete", facts, {"repo": part}))


@events.receives(events.RefsUpdated)
def tell_of_refs(event: events.RefsUpdated) -> None:
    refs = [
        {"ref": change.ref, "oldSha": change.old_sha, "newSha": change.new_sha}
        for change in event.changes
    ]
    _tell(event.repo_id, "repo.content", "update", {"updatedRefs": refs})


@events.receives(events.DiscussionChanged)
def tell_of_discussion(event: events.DiscussionChanged) -> None:
    scope, action = _DISCUSSION_NEWS[event.action]
    if event.action == "update" and event.comment_id:
        scope = "discussion.comment"
    facts = {"discussion": event.num}
    _tell(event.repo_id, scope, action, facts, comment_id=event.comment_id or "")


def _tell(
    repo_id: int,
    scope: str,
    action: str,
    facts: dict[str, Any] | None = None,
    *,
    comment_id: str = "",
) -> None:
    repo = _repo(repo_id)
    if repo is not None:
        queue_news(News(scope, action, RepoFacts.of(repo), facts or {}, comment_id))


def _repo(repo_id: int) -> Repo | None:
    return Repo.objects.select_related("namespace").filter(pk=repo_id).first()
