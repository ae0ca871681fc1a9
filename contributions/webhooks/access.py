"""The doors to webhooks: each is its owner's alone, and so is what it may watch.

A webhook hears whatever its owner may read. So a token that was made for chosen repositories is
refused here, and one that may only read changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from contributions.models import WatchKind, Webhook, WebhookDelivery, WebhookWatch
from hub.access import get_namespace, get_repo_for_read
from hub.auth import Actor
from hub.errors import InvalidInput, NotFound, PermissionDenied, RepoMoved
from hub.models import TokenScope, User

_OWNERS = frozenset({WatchKind.USER, WatchKind.ORG})


@dataclass(frozen=True)
class Watched:
    """Something that can be watched, found under `name`."""

    kind: WatchKind
    target_id: int
    name: str


def get_owner(actor: Actor, *, is_change: bool) -> User:
    """The caller, if they may look at their webhooks, or change them.

    Raises:
        AuthenticationRequired: nobody is signed in.
        PermissionDenied: the token does not reach so far.
    """
    user = actor.require_user()
    if actor.token is None or actor.token.scope == TokenScope.WRITE:
        return user
    if is_change or actor.token.scope != TokenScope.READ:
        raise PermissionDenied("Webhooks need a token of scope “write”.")
    return user


def get_webhooks(actor: Actor) -> QuerySet[Webhook]:
    """The caller's webhooks, newest first. Raises as `get_owner`."""
    owner = get_owner(actor, is_change=False)
    return Webhook.objects.filter(owner=owner).prefetch_related("watched").order_by("-pk")


def get_webhook(actor: Actor, public_id: str, *, is_change: bool = True) -> Webhook:
    """The caller's webhook of that id. Raises `NotFound`, and as `get_owner`."""
    owner = get_owner(actor, is_change=is_change)
    found = Webhook.objects.select_related("owner__namespace").prefetch_related("watched")
    webhook = found.filter(owner=owner, public_id=public_id.lower()).first()
    if webhook is None:
        raise NotFound("You have no such webhook.")
    return webhook


def get_delivery(webhook: Webhook, public_id: str) -> WebhookDelivery:
    """The delivery of that id. Raises `NotFound`."""
    delivery = webhook.deliveries.filter(public_id=public_id.lower()).first()
    if delivery is None:
        raise NotFound("This webhook has no such delivery; old ones are deleted.")
    delivery.webhook = webhook
    return delivery


def find_watched(
    actor: Actor, kind: str, name: str, *, present: Iterable[WebhookWatch] = ()
) -> Watched:
    """What a webhook of the caller is to watch.

    Args:
        present: what it watches already; that may stay, whoever may read it today.

    Raises:
        InvalidInput: no kind of thing that can be watched, or no name.
        NotFound: there is none of that name, or the caller may not know of it.
    """
    if kind not in WatchKind.values:
        raise InvalidInput(f"“type” must be one of {', '.join(WatchKind.values)}.")
    kept = _kept({kind}, name, present)
    if kept is not None:
        return kept
    if kind not in _OWNERS:
        return _find_repo(actor, WatchKind(kind), name)
    found = find_watched_owner(name)
    if found.kind != kind:
        word = "organisation" if kind == WatchKind.ORG else "user"
        raise NotFound(f"There is no {word} called {name}.")
    return found


def find_watched_owner(name: str, *, present: Iterable[WebhookWatch] = ()) -> Watched:
    """The user or organisation of that name. Raises `NotFound`."""
    kept = _kept(_OWNERS, name, present)
    if kept is not None:
        return kept
    namespace = get_namespace(name)
    kind = WatchKind.ORG if namespace.is_organization else WatchKind.USER
    return Watched(kind, namespace.pk, namespace.name)


def _kept(kinds: Collection[str], name: str, present: Iterable[WebhookWatch]) -> Watched | None:
    for watch in present:
        if watch.kind in kinds and watch.name.lower() == name.lower():
            return Watched(WatchKind(watch.kind), watch.target_id, watch.name)
    return None


def _find_repo(actor: Actor, kind: WatchKind, name: str) -> Watched:
    namespace, slash, repo_name = name.partition("/")
    if not slash or not repo_name:
        raise InvalidInput(f"A {kind.value} is watched by its id: namespace/name.")
    try:
        repo = get_repo_for_read(actor, kind, namespace, repo_name)
    except RepoMoved as moved:
        return _find_repo(actor, kind, moved.details["new_id"])
    return Watched(kind, repo.pk, repo.full_name)
