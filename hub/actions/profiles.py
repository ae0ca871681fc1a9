"""What people and organisations say about themselves."""

from __future__ import annotations

from django.db import transaction

from hub.actions.audit import record
from hub.actions.organizations import is_admin
from hub.errors import PermissionDenied
from hub.models import Organization, User

PROFILE_FIELDS = ["full_name", "bio", "homepage"]


def update_user_profile(*, user: User, full_name: str, bio: str, homepage: str) -> User:
    """Changes the user's own profile."""
    user.full_name, user.bio, user.homepage = full_name, bio, homepage
    with transaction.atomic():
        user.save(update_fields=PROFILE_FIELDS)
        record(verb="user.profile_changed", actor=user, target=user.username)
    return user


def update_organization_profile(
    *, organization: Organization, full_name: str, bio: str, homepage: str, acting_user: User
) -> Organization:
    """Changes an organisation's profile.

    Raises:
        PermissionDenied: `acting_user` is no admin of the organisation.
    """
    if not is_admin(organization, acting_user):
        raise PermissionDenied("Only an admin of the organisation may do this.")
    organization.full_name, organization.bio = full_name, bio
    organization.homepage = homepage
    with transaction.atomic():
        organization.save(update_fields=PROFILE_FIELDS)
        record(
            verb="organization.profile_changed",
            actor=acting_user,
            target=organization.namespace.name,
        )
    return organization
