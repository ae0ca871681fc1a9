"""What a webhook is told, in the form of the Hub.

Source: the Hub's page on webhooks, version 3 of the payload; `WebhookPayload` of the official
client reads it. Ids are texts: those of owners and authors are of their namespaces.
"""

from __future__ import annotations

import json
from typing import Any

from contributions.models import Discussion, DiscussionEvent, Webhook, WebhookDelivery
from contributions.webhooks.hearing import TEST_SCOPE
from hub.models import Repo, RepoType, User
from hub.site import base_url

VERSION = 3


def payload_text(webhook: Webhook, delivery: WebhookDelivery, repo: Repo | None) -> str | None:
    """The body to send; None where what it would speak of is gone.

    Args:
        repo: the repository as it is now; None for one that was deleted.
    """
    parts = _parts(webhook, delivery, repo)
    if parts is None:
        return None
    event = {"action": delivery.action, "scope": delivery.scope}
    about = {"id": webhook.public_id, "version": VERSION}
    return json.dumps({"event": event, **parts, "webhook": about}, ensure_ascii=False)


def _parts(webhook: Webhook, delivery: WebhookDelivery, repo: Repo | None) -> dict[str, Any] | None:
    if delivery.scope == TEST_SCOPE:
        return {"repo": _example(webhook.owner)}
    if delivery.scope.startswith("discussion"):
        return _about_discussion(delivery, repo) if repo else None
    if repo is None and "repo" not in delivery.facts:
        return None
    return _about_repo(delivery, repo)


def _about_repo(delivery: WebhookDelivery, repo: Repo | None) -> dict[str, Any]:
    facts = delivery.facts
    part = _repo_part(repo) if repo else {}
    if "repo" in facts:  # under the name that it had
        part |= {**facts["repo"], "url": _urls(facts["repo"]["type"], facts["repo"]["name"])}
    if repo and repo.head_sha:
        part["headSha"] = repo.head_sha
    kept = ("updatedRefs", "updatedConfig", "movedTo")
    return {"repo": part, **{key: facts[key] for key in kept if key in facts}}


def _about_discussion(delivery: WebhookDelivery, repo: Repo) -> dict[str, Any] | None:
    found = Discussion.objects.select_related("author__namespace")
    discussion = found.filter(repo=repo, num=delivery.facts["discussion"]).first()
    if discussion is None:
        return None
    discussion.repo = repo
    parts = {"repo": _repo_part(repo), "discussion": _discussion_part(discussion)}
    if delivery.comment_id:
        comments = discussion.events.select_related("author__namespace")
        comment = comments.filter(public_id=delivery.comment_id).first()
        if comment is not None:
            parts["comment"] = _comment_part(discussion, comment)
    return parts


def _repo_part(repo: Repo) -> dict[str, Any]:
    return {
        "type": repo.repo_type,
        "name": repo.full_name,
        "id": str(repo.pk),
        "private": repo.is_private,
        "url": _urls(repo.repo_type, repo.full_name),
        "tags": repo.tags,
        "owner": {"id": str(repo.namespace_id)},
    }


def _urls(repo_type: str, full_name: str) -> dict[str, str]:
    prefix = RepoType(repo_type).address_prefix
    base = base_url()
    return {
        "web": f"{base}/{prefix}{full_name}",
        "api": f"{base}/api/{repo_type}s/{full_name}",
    }


def _discussion_part(discussion: Discussion) -> dict[str, Any]:
    repo = discussion.repo
    part: dict[str, Any] = {
        "id": str(discussion.pk),
        "title": discussion.title,
        "url": {
            "web": base_url() + discussion.url_path,
            "api": f"{base_url()}{repo.api_path}/discussions/{discussion.num}",
        },
        "status": discussion.status,
        "author": _author(discussion.author),
        "isPullRequest": discussion.is_pull_request,
        "num": discussion.num,
    }
    if discussion.is_pull_request:
        part["changes"] = {"base": discussion.base_ref}
        if discussion.merge_commit_sha:
            part["changes"]["mergeCommitId"] = discussion.merge_commit_sha
    return part


def _comment_part(discussion: Discussion, comment: DiscussionEvent) -> dict[str, Any]:
    part = {
        "id": comment.public_id,
        "author": _author(comment.author),
        "hidden": comment.is_hidden,
        "url": {"web": f"{base_url()}{discussion.url_path}#event-{comment.public_id}"},
    }
    return part if comment.is_hidden else {**part, "content": comment.text}


def _author(user: User | None) -> dict[str, str]:
    """Clients want an id; that of an account that is gone is empty."""
    return {"id": str(user.namespace.pk) if user else ""}


def _example(owner: User) -> dict[str, Any]:
    """No repository: a test says what one would look like, and nothing of any."""
    name = f"{owner.username}/example"
    return {
        "type": RepoType.MODEL,
        "name": name,
        "id": "0",
        "private": False,
        "url": _urls(RepoType.MODEL, name),
        "owner": {"id": str(owner.namespace.pk)},
    }
