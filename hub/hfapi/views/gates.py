"""S29 to S31: requests for access to a gated repository: listed, decided, granted, withdrawn."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.access import get_user
from hub.actions.gates import decide_request, grant_access, withdraw_request
from hub.errors import InvalidInput, NotFound
from hub.hfapi.base import HubView, text_of
from hub.hfapi.pagination import MAX_PAGE_ROWS, answer_in_pages
from hub.hfapi.serializers import date_text
from hub.models import AccessRequest, Repo, RequestStatus, User

_ID = re.compile(r"0{8}0[0-9a-f]{15}")
"""`AccessRequest.public_id`, as far as a database counts."""


class AccessRequests(HubView):
    def get(self, request: HttpRequest, status: str, **ids: str) -> HttpResponse:
        """Those of one status, the oldest first; all at once for clients that know no pages."""
        repo = self.repo_for_write()
        if status not in RequestStatus.values:
            raise NotFound(f"Requests are {', '.join(RequestStatus.values)}.")
        rows = repo.access_requests.filter(status=status).select_related("user", "decided_by")
        return answer_in_pages(request, rows, _row, default=MAX_PAGE_ROWS)


class HandleAccessRequest(HubView):
    def post(self, request: HttpRequest, **ids: str) -> HttpResponse:
        repo, body = self.repo_for_write(), self.json_body()
        decide_request(
            repo=repo,
            user=_asker_in(body, repo),
            status=text_of(body, "status"),
            reason=text_of(body, "rejectionReason", default=""),
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({})


class GrantAccess(HubView):
    def post(self, request: HttpRequest, **ids: str) -> HttpResponse:
        repo = self.repo_for_write()
        user = get_user(text_of(self.json_body(), "user"))
        grant_access(repo=repo, user=user, acting_user=self.actor.require_user())
        return JsonResponse({})


class WithdrawAccessRequest(HubView):
    def post(self, request: HttpRequest, **ids: str) -> HttpResponse:
        """The caller's own, while it waits."""
        repo = self.repo_for_contribution()
        withdraw_request(repo=repo, acting_user=self.actor.require_user())
        return JsonResponse({"ok": True})


def _asker_in(body: dict[str, Any], repo: Repo) -> User:
    """Whom `user` (a name) or `requestId` is about. Raises `InvalidInput`, `NotFound`."""
    name, ident = body.get("user"), body.get("requestId")
    if (name is None) == (ident is None):
        raise InvalidInput("Either “user” or “requestId” must be given, and not both.")
    if name is not None:
        return get_user(text_of(body, "user"))
    public_id = text_of(body, "requestId")
    number = int(public_id, 16) if _ID.fullmatch(public_id) else 0
    asked = repo.access_requests.select_related("user").filter(pk=number).first()
    if asked is None:
        raise NotFound("There is no request of that id here.")
    return asked.user


def _row(asked: AccessRequest) -> dict[str, Any]:
    row: dict[str, Any] = {
        "requestId": asked.public_id,
        "user": _person(asked.user),
        "timestamp": date_text(asked.created_at),
        "status": asked.status,
    }
    if asked.shares_email and asked.user.email:
        row["user"]["email"] = asked.user.email
    if asked.fields:
        row["fields"] = asked.fields
    if asked.decided_at:
        row["reviewedAt"] = date_text(asked.decided_at)
    if asked.decided_by and asked.status == RequestStatus.ACCEPTED:
        row["grantedBy"] = _person(asked.decided_by)
    return row


def _person(user: User) -> dict[str, Any]:
    return {
        "_id": f"{user.pk:024x}",
        "user": user.username,
        "fullname": user.get_full_name(),
        "type": "user",
    }
