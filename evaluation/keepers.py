"""Who acts for a repository where nobody asked in person."""

from __future__ import annotations

from hub.models import Membership, Repo, Role, User


def keeper_of(repo: Repo) -> User | None:
    """The owner, or the first admin of the organisation; None where there is nobody."""
    if repo.namespace.user is not None:
        return repo.namespace.user
    admins = Membership.objects.filter(
        organization=repo.namespace.organization, role=Role.ADMIN, user__is_active=True
    )
    first = admins.select_related("user").order_by("created_at", "pk").first()
    return first.user if first is not None else None
