"""People and organisations as the JSON that Hub clients parse. Source: Hub protocol, S7 to S12."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static

from hub.models import Namespace, Organization, RepoType, User


def user_row(user: User, *, base_url: str) -> dict[str, Any]:
    """One user in a list."""
    return {
        "_id": f"{user.pk:024x}",
        "user": user.username,
        "fullname": user.get_full_name(),
        "avatarUrl": avatar_url(base_url),
        "isPro": False,
        "type": "user",
    }


def organization_row(organization: Organization, *, base_url: str) -> dict[str, Any]:
    """One organisation in a list."""
    name = organization.namespace.name
    return {
        "_id": f"{organization.pk:024x}",
        "name": name,
        "fullname": organization.full_name or name,
        "avatarUrl": avatar_url(base_url),
        "type": "org",
    }


def namespace_row(namespace: Namespace, *, base_url: str) -> dict[str, Any]:
    """One of either; `user` holds the name of both, as clients look there."""
    if namespace.user is not None:
        return user_row(namespace.user, base_url=base_url)
    assert namespace.organization is not None
    row = organization_row(namespace.organization, base_url=base_url)
    return {**row, "user": namespace.name}


def count_fields(counts: dict[str, int]) -> dict[str, int]:
    """Numbers of repositories by type, under the names of the protocol."""
    return {
        "numModels": counts.get(RepoType.MODEL, 0),
        "numDatasets": counts.get(RepoType.DATASET, 0),
        "numSpaces": counts.get(RepoType.SPACE, 0),
    }


def avatar_url(base_url: str) -> str:
    """A picture for everyone: this site keeps none of people."""
    return base_url + static("img/mark.svg")
