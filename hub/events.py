"""News from the hub for the other applications, sent once the causing transaction commits."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from django.db import transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepoCreated:
    repo_id: int
    actor_id: int | None


@dataclass(frozen=True)
class RepoDeleted:
    """`repo_id` no longer names a row."""

    repo_id: int
    full_name: str
    actor_id: int | None
    repo_type: str
    namespace_id: int
    is_private: bool


@dataclass(frozen=True)
class RepoRenamed:
    """A repository has another id; the old one leads to it."""

    repo_id: int
    old_full_name: str
    old_namespace_id: int
    actor_id: int | None


@dataclass(frozen=True)
class RepoConfigured:
    """Settings of a repository have changed; `config` has those by the protocol's words."""

    repo_id: int
    config: Mapping[str, Any]
    actor_id: int | None


@dataclass(frozen=True)
class LargeFilesDeleted:
    """A repository has lost its right to contents, for good."""

    repo_id: int
    actor_id: int | None


@dataclass(frozen=True)
class RefUpdated:
    """A branch, tag or pull-request ref has moved; a sha is None where it was made or deleted."""

    repo_id: int
    ref: str
    old_sha: str | None
    new_sha: str | None
    actor_id: int | None


@dataclass(frozen=True)
class RefsUpdated:
    """All that one commit, push or call did to refs: told once, beside a `RefUpdated` for each."""

    repo_id: int
    changes: tuple[RefUpdated, ...]
    actor_id: int | None


@dataclass(frozen=True)
class DiscussionChanged:
    """A discussion or pull request was opened, commented on, or changed in any other way.

    `comment_id` names the comment that was written, edited or hidden, if it was one.
    """

    repo_id: int
    num: int
    is_pull_request: bool
    action: Literal["create", "comment", "update"]
    actor_id: int | None
    comment_id: str | None = None


@dataclass(frozen=True)
class AccessRequestChanged:
    """Somebody asked for the files of a gated repository, was let in, or was turned away.

    `status` is one of `hub.models.RequestStatus`, as it is now; `user_id` is who it is about.
    """

    repo_id: int
    request_id: int
    user_id: int
    status: str
    actor_id: int


Event = (
    RepoCreated
    | RepoDeleted
    | RepoRenamed
    | RepoConfigured
    | LargeFilesDeleted
    | RefUpdated
    | RefsUpdated
    | DiscussionChanged
    | AccessRequestChanged
)

_receivers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)


def receives(event_type: type) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Registers the decorated function for `event_type`. It should ring a task and do no more."""

    def register(receiver: Callable[[Any], None]) -> Callable[[Any], None]:
        _receivers[event_type].append(receiver)
        return receiver

    return register


def emit(event: Event) -> None:
    """Delivers `event` after commit. A receiver that fails is logged and spoils nothing."""
    for receiver in _receivers[type(event)]:
        transaction.on_commit(partial(_deliver, receiver, event))


def _deliver(receiver: Callable[[Any], None], event: Event) -> None:
    try:
        receiver(event)
    except Exception:
        logger.exception("receiver %s failed on %s", receiver.__qualname__, event)
