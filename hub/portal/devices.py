"""The page on which a user lets a machine log in: type the code, see who asks, allow or deny."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from hub.actions.devices import allow_device, deny_device, free_name
from hub.addresses import client_address
from hub.devices import program_of, read_code, shown_code
from hub.models import DeviceRequest, DeviceState, User
from hub.portal.account_forms import DeviceCodeForm, DeviceForm
from hub.rates import take


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def device(request: HttpRequest) -> HttpResponse:
    """Without a code the form for it; with one, who asks; with an answer, what comes of it."""
    assert isinstance(request.user, User)
    given = request.POST if request.method == "POST" else request.GET
    if not given.get("user_code"):
        return render(request, "hub/device_code.html", {"form": DeviceCodeForm()})
    waiting = _waiting(request.user, given["user_code"])
    if waiting is None:
        form = DeviceCodeForm(given)
        form.add_error(
            "user_code", _("No machine waits with this code. Is it mistyped or too old?")
        )
        return render(request, "hub/device_code.html", {"form": form}, status=422)
    if "answer" in request.POST:
        return _answered(request, waiting, request.user)
    name = free_name(request.user, _name_of(waiting))
    return _asked(request, waiting, DeviceForm(user=request.user, initial={"name": name}))


def _waiting(user: User, typed: str) -> DeviceRequest | None:
    """The machine that waits with this code. Codes are short, so that looking is counted."""
    take("login_try", user)
    return DeviceRequest.objects.filter(
        user_code=read_code(typed), state=DeviceState.WAITING, expires_at__gt=timezone.now()
    ).first()


def _answered(request: HttpRequest, waiting: DeviceRequest, user: User) -> HttpResponse:
    if request.POST["answer"] != "allow":
        deny_device(request=waiting, user=user)
        return render(request, "hub/device_done.html", {"is_allowed": False})
    form = DeviceForm(request.POST, user=user)
    if not form.is_valid():
        return _asked(request, waiting, form)
    allow_device(request=waiting, user=user, **form.cleaned_data)
    context = {"is_allowed": True, "name": form.cleaned_data["name"]}
    return render(request, "hub/device_done.html", context)


def _asked(request: HttpRequest, waiting: DeviceRequest, form: DeviceForm) -> HttpResponse:
    context = {
        "form": form,
        "waiting": waiting,
        "code": shown_code(waiting.user_code),
        "program": program_of(waiting.client_id, waiting.agent),
        "is_same_address": waiting.address == client_address(request),
    }
    return render(request, "hub/device.html", context, status=422 if form.errors else 200)


def _name_of(waiting: DeviceRequest) -> str:
    """Where it asks from, as nothing else tells machines apart."""
    return _("Login from %(address)s") % {"address": waiting.address or "?"}
