"""Making users."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction

from hub.actions.audit import record
from hub.errors import Conflict
from hub.models import Namespace, User
from hub.names import validate_namespace


def create_user(
    *,
    username: str,
    email: str = "",
    password: str | None = None,
    is_maintainer: bool = False,
) -> User:
    """A new user with a namespace of the same name.

    Args:
        password: None makes an account that can only use tokens until a password is set.
        is_maintainer: may use the admin dashboard and sees every repository.

    Raises:
        InvalidInput: the name is malformed or reserved.
        django ValidationError: the password is too weak.
        Conflict: the name is taken.
    """
    user = User(username=username, email=email)
    user.is_staff = user.is_superuser = is_maintainer
    if password is not None:
        validate_password(password, user)
    user.set_password(password)
    return register_user(user=user)


def register_user(*, user: User) -> User:
    """Saves an unsaved `user` and claims the namespace. Raises `InvalidInput`, `Conflict`."""
    validate_namespace(user.username)
    try:
        with transaction.atomic():
            user.save()
            Namespace.objects.create(name=user.username, user=user)
            record(verb="user.created", actor=user, target=user.username)
    except IntegrityError:
        raise Conflict(f"The name “{user.username}” is taken.") from None
    return user
