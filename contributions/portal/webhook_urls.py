"""Addresses of Settings → Webhooks."""

from django.urls import path

from contributions.portal import webhooks

_ALL = "settings/webhooks"
_ONE = f"{_ALL}/<slug:webhook_id>"
_DELIVERY = f"{_ONE}/deliveries/<slug:delivery_id>"

urlpatterns = [
    path(_ALL, webhooks.webhooks, name="settings_webhooks"),
    path(f"{_ALL}/new", webhooks.new_webhook, name="webhook_new"),
    path(_ONE, webhooks.webhook, name="webhook"),
    path(f"{_ONE}/edit", webhooks.edit_webhook, name="webhook_edit"),
    path(f"{_ONE}/switch", webhooks.switch_webhook, name="webhook_switch"),
    path(f"{_ONE}/test", webhooks.test_webhook, name="webhook_test"),
    path(f"{_ONE}/delete", webhooks.drop_webhook, name="webhook_delete"),
    path(_DELIVERY, webhooks.delivery, name="webhook_delivery"),
    path(f"{_DELIVERY}/send-again", webhooks.send_delivery_again, name="webhook_send_again"),
]
