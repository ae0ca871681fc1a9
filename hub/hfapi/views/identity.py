"""C1, C2: who the caller is, and whether a repository is open to them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.auth import Actor
from hub.hfapi.base import HubView
from hub.hfapi.serializers import date_text
from hub.models import Membership, TokenScope, User
from hub.people import has_verified_email

_ROLES = {
    TokenScope.READ: "read",
    TokenScope.WRITE: "write",
    TokenScope.FINE_GRAINED: "fineGrained",
}


class WhoAmI(HubView):
    def get(self, request: HttpRequest) -> HttpResponse:
        user = self.actor.require_user()
        memberships = user.memberships.select_related("organization__namespace")
        return JsonResponse(
            {
                "type": "user",
                "id": f"{user.pk:024x}",
                "name": user.username,
                "fullname": user.get_full_name(),
                "email": user.email or None,
                "emailVerified": User.objects.filter(has_verified_email(), pk=user.pk).exists(),
                "isPro": False,
                "canPay": False,
                "orgs": [_organization(row) for row in memberships],
                "auth": _auth(self.actor),
            }
        )


class AuthCheck(HubView):
    def get(self, request: HttpRequest, **ids: str) -> HttpResponse:
        self.repo_for_contents()
        return JsonResponse({})


class AuthCheckWrite(HubView):
    def get(self, request: HttpRequest, **ids: str) -> HttpResponse:
        self.repo_for_write()
        return JsonResponse({})


def _organization(membership: Membership) -> dict[str, Any]:
    organization = membership.organization
    return {
        "type": "org",
        "id": f"{organization.pk:024x}",
        "name": organization.namespace.name,
        "fullname": organization.full_name or organization.namespace.name,
        "roleInOrg": membership.role,
    }


def _auth(actor: Actor) -> dict[str, Any]:
    token = actor.token
    if token is None:
        return {"type": "session"}
    return {
        "type": "access_token",
        "accessToken": {
            "displayName": token.name,
            "role": _ROLES[TokenScope(token.scope)],
            "createdAt": date_text(token.created_at),
        },
    }
