"""What a receiver is told of each kind of event, in the form of the Hub."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest

from contributions.actions.discussions import (
    add_comment,
    change_status,
    edit_comment,
    hide_comment,
    open_discussion,
    rename_discussion,
)
from contributions.actions.pull_requests import merge_pull_request, open_pull_request
from hub.actions.refs import create_tag, delete_tag
from hub.actions.repos import create_repo, delete_repo, move_repo, update_repo_settings
from tests.contributions.webhooks.conftest import SECRET, Hearing
from tests.support.cast import Cast
from tests.support.factories import commit, make_repo
from tests.support.receiver import Call

pytestmark = pytest.mark.django_db


def kinds(calls: list[Call]) -> list[tuple[str, str]]:
    return [(call.json["event"]["scope"], call.json["event"]["action"]) for call in calls]


def test_a_commit_is_told_with_its_refs_and_signed(cast: Cast, hearing: Callable[..., Hearing]):
    repo = cast.public_repo()
    heard = hearing(cast.stranger, "model:guild/open-model", secret=SECRET)
    before = repo.head_sha
    calls = heard.of(lambda: commit(repo, {"a.txt": "a"}))
    repo.refresh_from_db()
    assert len(calls) == 1
    assert calls[0].json == {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {
            "type": "model",
            "name": "guild/open-model",
            "id": str(repo.pk),
            "private": False,
            "url": {
                "web": "https://hub.example/guild/open-model",
                "api": "https://hub.example/api/models/guild/open-model",
            },
            "tags": [],
            "owner": {"id": str(cast.organization.namespace.pk)},
            "headSha": repo.head_sha,
        },
        "updatedRefs": [
            {"ref": "refs/heads/main", "oldSha": before, "newSha": repo.head_sha},
        ],
        "webhook": {"id": heard.webhook.public_id, "version": 3},
    }
    headers = calls[0].headers
    assert headers["x-webhook-secret"] == SECRET
    assert headers["content-type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + calls[0].body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    delivery = heard.last()
    assert (delivery.state, delivery.status_code, delivery.attempts) == ("delivered", 200, 1)
    assert (delivery.response, delivery.event_id) == ("thanks", headers["webhook-id"])
    assert delivery.payload.encode() == calls[0].body
    assert delivery.duration_ms is not None


def test_without_a_secret_nothing_is_signed(cast: Cast, hearing: Callable[..., Hearing]):
    repo = cast.public_repo()
    heard = hearing(cast.stranger, "org:guild")
    headers = heard.of(lambda: commit(repo, {"a.txt": "a"}))[0].headers
    assert not {"x-webhook-secret", "webhook-signature"} & headers.keys()
    assert headers["webhook-id"]


def test_several_refs_of_one_change_are_one_event(cast: Cast, hearing: Callable[..., Hearing]):
    from hub.actions.refs import copy_refs
    from hub.site import git_of

    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    git = git_of(repo)
    for name in ("refs/heads/a", "refs/heads/b"):
        git.create_ref(name, repo.head_sha)

    def follow() -> None:
        with git.lock():
            copy_refs(repo=repo, acting_user=cast.owner)

    (call,) = heard.of(follow)
    assert call.json["updatedRefs"] == [
        {"ref": f"refs/heads/{name}", "oldSha": None, "newSha": repo.head_sha} for name in "ab"
    ]


def test_tags_come_and_go(cast: Cast, hearing: Callable[..., Hearing]):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    sha = repo.head_sha
    made = heard.of(
        lambda: create_tag(
            repo=repo, tag="v1", revision="main", message=None, acting_user=cast.owner
        )
    )
    gone = heard.of(lambda: delete_tag(repo=repo, tag="v1", acting_user=cast.owner))
    ref = "refs/tags/v1"
    assert made[0].json["updatedRefs"] == [{"ref": ref, "oldSha": None, "newSha": sha}]
    assert gone[0].json["updatedRefs"] == [{"ref": ref, "oldSha": sha, "newSha": None}]


def test_a_repository_is_made_hidden_renamed_and_deleted(
    cast: Cast, hearing: Callable[..., Hearing]
):
    heard = hearing(cast.owner, "org:guild")
    namespace, owner = cast.organization.namespace, cast.owner

    made = heard.of(
        lambda: create_repo(
            repo_type="dataset", namespace=namespace, name="digits", acting_user=owner
        )
    )
    assert kinds(made) == [("repo", "create")]
    assert made[0].json["repo"]["url"]["web"] == "https://hub.example/datasets/guild/digits"
    repo = namespace.repos.get(name="digits")
    hidden = heard.of(lambda: update_repo_settings(repo=repo, is_private=True, acting_user=owner))
    assert kinds(hidden) == [("repo.config", "update")]
    assert hidden[0].json["updatedConfig"] == {"private": True}
    assert hidden[0].json["repo"]["private"] is True
    same = heard.of(lambda: update_repo_settings(repo=repo, is_private=True, acting_user=owner))
    assert same == []
    gated = heard.of(lambda: update_repo_settings(repo=repo, gated="auto", acting_user=owner))
    assert gated[0].json["updatedConfig"] == {"gated": "auto"}
    moved = heard.of(
        lambda: move_repo(repo=repo, namespace=namespace, name="numbers", acting_user=owner)
    )
    assert kinds(moved) == [("repo", "move")]
    assert moved[0].json["repo"]["name"] == "guild/digits"
    assert moved[0].json["movedTo"] == {
        "name": "guild/numbers", "owner": {"id": str(namespace.pk)}
    }  # fmt: skip
    repo_id = str(repo.pk)
    gone = heard.of(lambda: delete_repo(repo=repo, acting_user=owner))
    assert kinds(gone) == [("repo", "delete")]
    assert gone[0].json["repo"] == {
        "type": "dataset",
        "name": "guild/numbers",
        "id": repo_id,
        "private": True,
        "owner": {"id": str(namespace.pk)},
        "url": {
            "web": "https://hub.example/datasets/guild/numbers",
            "api": "https://hub.example/api/datasets/guild/numbers",
        },
    }


def test_a_repository_that_comes_from_elsewhere_is_heard_by_both_owners(
    cast: Cast, hearing: Callable[..., Hearing]
):
    repo = make_repo(cast.owner, "wanderer")
    old, new = hearing(cast.stranger, "user:olive"), hearing(cast.stranger, "org:guild")
    by_id = hearing(cast.stranger, "model:olive/wanderer")
    target = cast.organization.namespace
    calls = old.of(
        lambda: move_repo(repo=repo, namespace=target, name="settler", acting_user=cast.owner)
    )
    assert len(calls) == 1
    assert len(new.of(lambda: None)) == len(by_id.of(lambda: None)) == 1
    assert by_id.webhook.watched.get().name == "guild/settler"


def test_a_discussion_from_first_to_last(cast: Cast, hearing: Callable[..., Hearing]):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model", domains=["discussion"])
    made: list[Any] = []
    calls = heard.of(
        lambda: made.append(
            open_discussion(
                repo=repo, title="Why?", description="Because.", acting_user=cast.stranger
            )
        )
    )
    talk = made[0]
    author = {"id": str(cast.stranger.namespace.pk)}
    opening = talk.events.get()
    assert kinds(calls) == [("discussion", "create")]
    body = calls[0].json
    assert "headSha" not in body["repo"]
    assert body["discussion"] == {
        "id": str(talk.pk),
        "title": "Why?",
        "url": {
            "web": "https://hub.example/guild/open-model/discussions/1",
            "api": "https://hub.example/api/models/guild/open-model/discussions/1",
        },
        "status": "open",
        "author": author,
        "isPullRequest": False,
        "num": 1,
    }
    assert body["comment"] == {
        "id": opening.public_id,
        "author": author,
        "content": "Because.",
        "hidden": False,
        "url": {
            "web": f"https://hub.example/guild/open-model/discussions/1#event-{opening.public_id}"
        },
    }
    said = heard.of(lambda: add_comment(discussion=talk, text="Oh.", acting_user=cast.owner))
    assert kinds(said) == [("discussion.comment", "create")]
    comment = talk.events.order_by("-pk").first()
    edited = heard.of(lambda: edit_comment(event=comment, text="Ah.", acting_user=cast.owner))
    assert kinds(edited) == [("discussion.comment", "update")]
    assert edited[0].json["comment"]["content"] == "Ah."
    renamed = heard.of(
        lambda: rename_discussion(discussion=talk, title="Why not", acting_user=cast.owner)
    )
    assert kinds(renamed) == [("discussion", "update")]
    assert "comment" not in renamed[0].json
    closed = heard.of(
        lambda: change_status(
            discussion=talk, status="closed", comment="Done.", acting_user=cast.owner
        )
    )
    assert kinds(closed) == [("discussion.comment", "create"), ("discussion", "update")]
    assert closed[1].json["discussion"]["status"] == "closed"
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []


def test_a_hidden_comment_is_told_without_its_text_and_taken_from_what_is_kept(
    cast: Cast, hearing: Callable[..., Hearing]
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    talk = open_discussion(repo=repo, title="A", description="", acting_user=cast.owner)
    with_text = heard.of(
        lambda: add_comment(discussion=talk, text="my password", acting_user=cast.stranger)
    )
    comment = talk.events.order_by("-pk").first()
    assert with_text[0].json["comment"]["content"] == "my password"
    (hidden,) = heard.of(lambda: hide_comment(event=comment, acting_user=cast.owner))
    assert hidden.json["event"] == {"action": "update", "scope": "discussion.comment"}
    assert hidden.json["comment"]["hidden"] is True
    assert "content" not in hidden.json["comment"]
    assert not heard.webhook.deliveries.filter(payload__contains="my password").exists()


def test_a_pull_request_is_opened_filled_and_merged(cast: Cast, hearing: Callable[..., Hearing]):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    made: list[Any] = []
    opened = heard.of(
        lambda: made.append(
            open_pull_request(repo=repo, title="Add", description="", acting_user=cast.owner)
        )
    )
    pull = made[0]
    assert ("discussion", "create") in kinds(opened)
    assert ("repo.content", "update") in kinds(opened)
    told = next(call.json for call in opened if call.json["event"]["scope"] == "discussion")
    assert told["discussion"]["isPullRequest"] is True
    assert told["discussion"]["changes"] == {"base": "refs/heads/main"}
    filled = heard.of(lambda: commit(repo, {"b": "b"}, ref=pull.head_ref))
    moved = next(call.json for call in filled if call.json["event"]["scope"] == "repo.content")
    assert moved["updatedRefs"][0]["ref"] == "refs/pr/1"
    pull.refresh_from_db()
    change_status(discussion=pull, status="open", acting_user=cast.owner)
    merged = heard.of(lambda: merge_pull_request(pull=pull, acting_user=cast.owner, comment="Yes"))
    states = [
        call.json["discussion"]["status"]
        for call in merged
        if call.json["event"] == {"scope": "discussion", "action": "update"}
    ]
    assert "merged" in states
    assert ("discussion.comment", "create") in kinds(merged)
    last = next(
        call.json["discussion"] for call in merged if call.json["event"]["scope"] == "discussion"
    )
    assert last["changes"]["mergeCommitId"]
