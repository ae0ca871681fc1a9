"""S44, S45: a machine logs in through its user's browser. The page is hub/portal/devices.py.

Source: RFC 8628, sections 3.1 to 3.5; RFC 6749, sections 5.1 and 6. Clients are not registered:
whoever says who they are is only shown to the user.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from hub import oauth
from hub.actions.devices import (
    INTERVAL_S,
    IssuedTokens,
    ask_for_login,
    redeem_device_code,
    refresh_tokens,
)
from hub.addresses import client_address
from hub.devices import shown_code
from hub.hfapi.base import HubView
from hub.rates import Address, take
from hub.site import base_url

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class DeviceCode(HubView):
    @method_decorator(sensitive_variables("made", "answer"))
    def post(self, request: HttpRequest) -> HttpResponse:
        made = ask_for_login(
            client_id=request.POST.get("client_id", ""),
            agent=request.headers.get("User-Agent", ""),
            address=client_address(request),
        )
        page = base_url(request) + reverse("device")
        code = shown_code(made.request.user_code)
        lifetime = made.request.expires_at - made.request.created_at
        answer = {
            "device_code": made.device_code,
            "user_code": code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={code}",
            "expires_in": round(lifetime.total_seconds()),
            "interval": INTERVAL_S,
        }
        return _not_kept(JsonResponse(answer))


class Token(HubView):
    @method_decorator(sensitive_post_parameters("device_code", "refresh_token"))
    @method_decorator(sensitive_variables("issued"))
    def post(self, request: HttpRequest) -> HttpResponse:
        take("login_poll", Address(client_address(request)))
        grant, client_id = request.POST.get("grant_type", ""), _given(request, "client_id")
        if grant == DEVICE_CODE_GRANT:
            code = _given(request, "device_code")
            issued = redeem_device_code(device_code=code, client_id=client_id)
        elif grant == "refresh_token":
            refresh_token = _given(request, "refresh_token")
            issued = refresh_tokens(refresh_token=refresh_token, client_id=client_id)
        else:
            raise oauth.UnsupportedGrant
        return _not_kept(JsonResponse(_answer(issued)))


def _given(request: HttpRequest, name: str) -> str:
    value: str = request.POST.get(name, "")
    if not value:
        raise oauth.InvalidRequest(f"“{name}” is missing.")
    return value


def _answer(issued: IssuedTokens) -> dict[str, str | int]:
    return {
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.expires_in_s,
        "refresh_token": issued.refresh_token,
        "scope": issued.scope,
    }


def _not_kept(response: JsonResponse) -> JsonResponse:
    response["Cache-Control"] = "no-store"
    return response
