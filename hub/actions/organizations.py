"""Organisations and their members."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from hub.actions.audit import record
from hub.errors import Conflict, InvalidInput, PermissionDenied
from hub.models import Membership, Namespace, Organization, Role, User
from hub.names import validate_namespace


def create_organization(*, name: str, full_name: str = "", acting_user: User) -> Organization:
    """A new organisation with `acting_user` as its first admin.

    Raises: InvalidInput, Conflict: the name is malformed, reserved or taken.
    """
    validate_namespace(name)
    try:
        with transaction.atomic():
            organization = Organization.objects.create(full_name=full_name)
            Namespace.objects.create(name=name, organization=organization)
            Membership.objects.create(organization=organization, user=acting_user, role=Role.ADMIN)
            record(verb="organization.created", actor=acting_user, target=name)
    except IntegrityError:
        raise Conflict(f"The name “{name}” is taken.") from None
    return organization


def set_member(
    *, organization: Organization, user: User, role: str, acting_user: User
) -> Membership:
    """Adds `user`, or changes their role.

    Raises:
        PermissionDenied: `acting_user` is no admin of the organisation.
        InvalidInput: unknown role, or the last admin would be gone.
    """
    _require_admin(organization, acting_user)
    if role not in Role.values:
        raise InvalidInput(f"Role must be one of {', '.join(Role.values)}.")
    with transaction.atomic():
        if role != Role.ADMIN:
            _keep_an_admin(organization, user)
        membership, _ = Membership.objects.update_or_create(
            organization=organization, user=user, defaults={"role": role}
        )
        record(
            verb="organization.member_set",
            actor=acting_user,
            target=organization.namespace.name,
            user=user.username,
            role=role,
        )
    return membership


def remove_member(*, organization: Organization, user: User, acting_user: User) -> None:
    """Removes `user`; a member may also leave. Raises as `set_member`."""
    if user != acting_user:
        _require_admin(organization, acting_user)
    with transaction.atomic():
        _keep_an_admin(organization, user)
        Membership.objects.filter(organization=organization, user=user).delete()
        record(
            verb="organization.member_removed",
            actor=acting_user,
            target=organization.namespace.name,
            user=user.username,
        )


def is_admin(organization: Organization, user: User) -> bool:
    if user.is_superuser:
        return True
    return organization.memberships.filter(user_id=user.pk, role=Role.ADMIN).exists()


def _require_admin(organization: Organization, user: User) -> None:
    if not is_admin(organization, user):
        raise PermissionDenied("Only an admin of the organisation may do this.")


def _keep_an_admin(organization: Organization, leaving: User) -> None:
    others = organization.memberships.select_for_update().filter(role=Role.ADMIN)
    if not others.exclude(user=leaving).exists():
        raise InvalidInput("An organisation keeps at least one admin. Name another one first.")
