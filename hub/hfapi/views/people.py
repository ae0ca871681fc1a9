"""S5 to S12: users, organisations, who follows them, and what their repositories hold."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.access import (
    get_organization,
    get_organization_for_member,
    get_user,
    visible_repos,
)
from hub.auth import Actor
from hub.hfapi.base import HubView
from hub.hfapi.pagination import answer_in_pages
from hub.hfapi.people import count_fields, namespace_row, organization_row, user_row
from hub.hfapi.serializers import date_text
from hub.models import Follow, Membership, Namespace, Repo
from hub.people import (
    followed_by,
    followers_of,
    is_following,
    members_of,
    organizations_of,
    repo_counts,
)
from hub.site import base_url
from hub.usage import with_logical_bytes


class UserOverview(HubView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        user = get_user(name)
        base = base_url(request)
        organizations = organizations_of(user)
        return JsonResponse(
            {
                **user_row(user, base_url=base),
                "details": user.bio or None,
                "createdAt": date_text(user.date_joined),
                "orgs": [organization_row(one, base_url=base) for one in organizations],
                "numFollowing": followed_by(user).count(),
                **_standing(self.actor, user.namespace),
            }
        )


class OrganizationOverview(HubView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        organization = get_organization(name)
        return JsonResponse(
            {
                **organization_row(organization, base_url=base_url(request)),
                "details": organization.bio or None,
                "isVerified": False,
                "createdAt": date_text(organization.created_at),
                "numUsers": members_of(organization).count(),
                **_standing(self.actor, organization.namespace),
            }
        )


class Followers(HubView):
    def get(self, request: HttpRequest, name: str, is_organization: bool) -> HttpResponse:
        owner = get_organization(name) if is_organization else get_user(name)

        def row(follow: Follow) -> dict[str, Any]:
            return user_row(follow.follower, base_url=base_url(request))

        return answer_in_pages(request, followers_of(owner.namespace), row)


class Following(HubView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        def row(follow: Follow) -> dict[str, Any]:
            return namespace_row(follow.namespace, base_url=base_url(request))

        return answer_in_pages(request, followed_by(get_user(name)), row)


class Members(HubView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        def row(membership: Membership) -> dict[str, Any]:
            user = user_row(membership.user, base_url=base_url(request))
            return {**user, "role": membership.role}

        return answer_in_pages(request, members_of(get_organization(name)), row)


class OwnStorage(HubView):
    def get(self, request: HttpRequest) -> HttpResponse:
        namespace = self.actor.require_user().namespace
        return _storage(request, self.actor, namespace)


class OrganizationStorage(HubView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        user = self.actor.require_user()
        organization = get_organization_for_member(user, name)
        return _storage(request, self.actor, organization.namespace)


def _standing(actor: Actor, namespace: Namespace) -> dict[str, Any]:
    """What overviews of users and organisations share."""
    fields: dict[str, Any] = {
        **count_fields(repo_counts(actor, namespace)),
        "numFollowers": followers_of(namespace).count(),
    }
    if actor.user is not None:
        fields["isFollowing"] = is_following(actor, namespace)
    return fields


def _storage(request: HttpRequest, actor: Actor, namespace: Namespace) -> HttpResponse:
    repos = with_logical_bytes(visible_repos(actor).filter(namespace=namespace))
    total = repos.aggregate(total=Sum("held_bytes"))["total"] or 0

    def row(repo: Repo) -> dict[str, Any]:
        held: int = repo.held_bytes  # type: ignore[attr-defined]  # annotated above
        return {
            "id": repo.full_name,
            "type": repo.repo_type,
            "updatedAt": date_text(repo.last_modified),
            "visibility": "private" if repo.is_private else "public",
            "storage": held,
            "storagePercent": round(100 * held / total, 2) if total else 0,
        }

    return answer_in_pages(request, repos.select_related("namespace"), row)
