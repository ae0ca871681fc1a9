"""Settings → Webhooks: the list, one with what it was sent, and the forms."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contributions.actions.deliveries import send_again, send_test, used_today
from contributions.actions.webhooks import (
    create_webhook,
    delete_webhook,
    disable_webhook,
    enable_webhook,
    update_webhook,
)
from contributions.models import Webhook
from contributions.portal.webhook_forms import WebhookForm
from contributions.portal.webhook_page import DeliveryRow, WebhookRow
from contributions.webhooks.access import get_delivery, get_owner, get_webhook, get_webhooks
from hub.auth import actor_of
from hub.errors import HubError, InvalidInput
from hub.site import base_url

PAGE_SIZE = 25


@login_required
@require_GET
def webhooks(request: HttpRequest) -> HttpResponse:
    rows = [WebhookRow.of(webhook) for webhook in get_webhooks(actor_of(request))]
    context = {"rows": rows, "base_url": base_url(request), "active": "webhooks"}
    return render(request, "contributions/webhooks.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("secret", "url")
def new_webhook(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    owner = get_owner(actor, is_change=True)
    initial = {"watched": request.GET.get("watch", owner.username)[:250]}
    form = WebhookForm(request.POST or None, actor=actor, initial=initial)
    if form.is_valid():
        try:
            made = create_webhook(owner=owner, **form.given())
        except HubError as error:
            _show_refusal(form, error)
        else:
            messages.success(request, _("The webhook is made. Send a test to try it."))
            return redirect("webhook", made.public_id)
    return _form_page(request, form, None)


@login_required
@require_GET
def webhook(request: HttpRequest, webhook_id: str) -> HttpResponse:
    shown = get_webhook(actor_of(request), webhook_id, is_change=False)
    deliveries = shown.deliveries.order_by("-pk").defer("response", "facts")
    page = Paginator(deliveries, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "row": WebhookRow.of(shown),
        "webhook": shown,
        "deliveries": [DeliveryRow(delivery) for delivery in page],
        "page": page,
        "used_today": used_today(shown),
        "daily_limit": settings.WEBHOOK_DAILY_LIMIT,
        "kept_days": settings.WEBHOOK_DELIVERY_DAYS,
        "active": "webhooks",
    }
    return render(request, "contributions/webhook.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("secret", "url")
def edit_webhook(request: HttpRequest, webhook_id: str) -> HttpResponse:
    actor = actor_of(request)
    changed = get_webhook(actor, webhook_id)
    form = WebhookForm.of(changed, actor, request.POST or None)
    if form.is_valid():
        try:
            update_webhook(webhook=changed, **form.given(), acting_user=actor.require_user())
        except InvalidInput as error:
            _show_refusal(form, error)
        else:
            messages.success(request, _("The webhook is saved."))
            return redirect("webhook", changed.public_id)
    return _form_page(request, form, changed)


@login_required
@require_POST
def switch_webhook(request: HttpRequest, webhook_id: str) -> HttpResponse:
    """On where it rests, off where it is in use."""
    actor = actor_of(request)
    switched = get_webhook(actor, webhook_id)
    switch = enable_webhook if request.POST.get("to") == "on" else disable_webhook
    switch(webhook=switched, acting_user=actor.require_user())
    return redirect("webhook", switched.public_id)


@login_required
@require_POST
def test_webhook(request: HttpRequest, webhook_id: str) -> HttpResponse:
    tried = get_webhook(actor_of(request), webhook_id)
    delivery = send_test(webhook=tried)
    return redirect("webhook_delivery", tried.public_id, delivery.public_id)


@login_required
@require_POST
def drop_webhook(request: HttpRequest, webhook_id: str) -> HttpResponse:
    actor = actor_of(request)
    gone = get_webhook(actor, webhook_id)
    if request.POST.get("confirm", "").strip() != WebhookRow.of(gone).host:
        messages.error(request, _("That was not the name of the host. Nothing was deleted."))
        return redirect("webhook", gone.public_id)
    delete_webhook(webhook=gone, acting_user=actor.require_user())
    messages.success(request, _("The webhook is deleted."))
    return redirect("settings_webhooks")


@login_required
@require_GET
def delivery(request: HttpRequest, webhook_id: str, delivery_id: str) -> HttpResponse:
    """One delivery. While it waits, the part that changes asks for itself again."""
    shown = get_webhook(actor_of(request), webhook_id, is_change=False)
    row = DeliveryRow(get_delivery(shown, delivery_id))
    context = {"row": row, "webhook": shown, "delivery": row.delivery, "active": "webhooks"}
    is_part = request.htmx  # type: ignore[attr-defined]  # django-htmx
    whole, part = (
        "contributions/webhook_delivery.html",
        "contributions/components/delivery_panel.html",
    )
    return render(request, part if is_part else whole, context)


@login_required
@require_POST
def send_delivery_again(request: HttpRequest, webhook_id: str, delivery_id: str) -> HttpResponse:
    shown = get_webhook(actor_of(request), webhook_id)
    made = send_again(delivery=get_delivery(shown, delivery_id))
    return redirect("webhook_delivery", shown.public_id, made.public_id)


def _show_refusal(form: WebhookForm, error: HubError) -> None:
    name = error.details.get("field")
    form.add_error(name if name in form.fields else None, _(error.message))


def _form_page(request: HttpRequest, form: WebhookForm, changed: Webhook | None) -> HttpResponse:
    context = {"form": form, "webhook": changed, "active": "webhooks"}
    status = 422 if form.errors else 200
    return render(request, "contributions/webhook_form.html", context, status=status)
