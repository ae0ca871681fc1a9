"""Following people and organisations."""

from __future__ import annotations

from hub.errors import InvalidInput
from hub.models import Follow, Namespace, User


def follow(*, namespace: Namespace, acting_user: User) -> None:
    """Follows; a second time changes nothing.

    Raises:
        InvalidInput: it is the user's own name.
    """
    if namespace.user_id == acting_user.pk:
        raise InvalidInput("You cannot follow yourself.")
    Follow.objects.get_or_create(follower=acting_user, namespace=namespace)


def unfollow(*, namespace: Namespace, acting_user: User) -> None:
    """Follows no longer; it is no error if the user never did."""
    Follow.objects.filter(follower=acting_user, namespace=namespace).delete()
