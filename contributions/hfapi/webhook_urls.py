"""Addresses of webhooks in the Hub API; they come before the hub's own, which end in a 501."""

from django.urls import URLPattern, path

from contributions.hfapi import webhooks

_ALL = "api/settings/webhooks"
_ONE = f"{_ALL}/<slug:webhook_id>"

urlpatterns: list[URLPattern] = [
    path(_ALL, webhooks.Webhooks.as_view(), name="hf_webhooks"),
    path(_ONE, webhooks.OneWebhook.as_view(), name="hf_webhook"),
    path(f"{_ONE}/enable", webhooks.EnableWebhook.as_view(), name="hf_webhook_enable"),
    path(f"{_ONE}/disable", webhooks.DisableWebhook.as_view(), name="hf_webhook_disable"),
]
