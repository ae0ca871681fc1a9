"""The only doors to a collection for anything a caller names, and what they see of its items.

Who may not see a private collection is told that it does not exist; items that a reader may not
see are left out.
"""

from __future__ import annotations

import re

from django.db.models import Prefetch, Q, QuerySet

from hub.access import get_namespace, get_repo_for_read, visible_repos
from hub.auth import Actor
from hub.errors import AuthenticationRequired, NotFound, PermissionDenied, RepoMoved
from hub.models import (
    Collection,
    CollectionItem,
    Membership,
    Namespace,
    Repo,
    RepoType,
    Role,
    TokenScope,
)

_PUBLIC_ID = re.compile(r"(?:^|-)([0-9a-f]{24})\Z")


def visible_collections(actor: Actor) -> QuerySet[Collection]:
    """Public collections, and private ones of the caller's own name and organisations."""
    collections = Collection.objects.select_related("namespace")
    user = actor.user
    if user is None or (actor.token and actor.token.scope == TokenScope.FINE_GRAINED):
        return collections.filter(is_private=False)
    if user.is_superuser:
        return collections
    organizations = user.memberships.values("organization_id")
    return collections.filter(
        Q(is_private=False)
        | Q(namespace__user=user)
        | Q(namespace__organization_id__in=organizations)
    )


def with_visible_items(collections: QuerySet[Collection], actor: Actor) -> QuerySet[Collection]:
    """`collections`, each with the items the caller may see, in order, as `visible_items`."""
    return collections.prefetch_related(
        Prefetch("items", queryset=visible_items(actor), to_attr="visible_items")
    )


def visible_items(actor: Actor) -> QuerySet[CollectionItem]:
    """Items whose repository or collection `actor` may see, in order."""
    items = CollectionItem.objects.filter(
        ~Q(paper_id="")
        | Q(repo__in=visible_repos(actor))
        | Q(listed__in=visible_collections(actor))
    )
    related = items.select_related("repo__namespace", "listed__namespace")
    return related.order_by("position", "pk")


def get_collection_for_read(actor: Actor, namespace: str, slug: str) -> Collection:
    """The collection that the end of `slug` names, under whatever title.

    Raises:
        NotFound: there is none, or it is private to others (401 for an anonymous caller).
    """
    match = _PUBLIC_ID.search(slug)
    found = visible_collections(actor).filter(
        public_id=match.group(1) if match else "", namespace__name__iexact=namespace
    )
    collection = found.first()
    if collection is None:
        error = NotFound("There is no such collection, or you have no access to it.")
        if actor.user is None:
            error.status = 401
        raise error
    return collection


def get_collection_for_write(actor: Actor, namespace: str, slug: str) -> Collection:
    """The collection, if `actor` may change it.

    Raises: as `get_collection_for_read`; `AuthenticationRequired`, `PermissionDenied` where
        it can be read.
    """
    collection = get_collection_for_read(actor, namespace, slug)
    if actor.user is None:
        raise AuthenticationRequired
    if not may_edit(actor, collection):
        raise PermissionDenied("You may read this collection, but not change it.")
    return collection


def get_item_for_write(actor: Actor, namespace: str, slug: str, item_id: str) -> CollectionItem:
    """An item of a collection that `actor` may change, if they may see it. Raises as above."""
    collection = get_collection_for_write(actor, namespace, slug)
    item = visible_items(actor).filter(collection=collection, public_id=item_id).first()
    if item is None:
        raise NotFound("There is no such item in this collection.")
    item.collection = collection
    return item


def get_namespace_for_collection(actor: Actor, name: str) -> Namespace:
    """The namespace in which `actor` may keep collections. Raises `PermissionDenied`."""
    actor.require_user()
    try:
        namespace = get_namespace(name)
    except NotFound:
        raise PermissionDenied(f"You may not keep collections under “{name}”.") from None
    if not _may_keep(actor, namespace):
        raise PermissionDenied(f"You may not keep collections under “{name}”.")
    return namespace


def may_edit(actor: Actor, collection: Collection) -> bool:
    return _may_keep(actor, collection.namespace)


def _may_keep(actor: Actor, namespace: Namespace) -> bool:
    """Whoever may write in the namespace, with a token that may."""
    user = actor.user
    if user is None or (actor.token and actor.token.scope != TokenScope.WRITE):
        return False
    if user.is_superuser or namespace.user_id == user.pk:
        return True
    roles = [Role.WRITE, Role.ADMIN]
    memberships = Membership.objects.filter(user=user, role__in=roles)
    if namespace.organization_id is None:
        return False
    return memberships.filter(organization_id=namespace.organization_id).exists()


def get_listable_repo(actor: Actor, repo_type: str, full_name: str) -> Repo:
    """A repository to put into a collection, also by an id it once had. Raises `RepoNotFound`."""
    namespace, _, name = full_name.partition("/")
    try:
        return get_repo_for_read(actor, RepoType(repo_type), namespace, name)
    except RepoMoved as moved:
        namespace, _, name = moved.details["new_id"].partition("/")
        return get_repo_for_read(actor, RepoType(repo_type), namespace, name)
