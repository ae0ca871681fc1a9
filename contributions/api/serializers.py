"""Forms of `/api/v1/webhooks/…`: what goes out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from contributions.models import WebhookDelivery


class DeliveryOut(serializers.ModelSerializer[WebhookDelivery]):
    """One piece of news for one webhook, and how sending it went the last time."""

    id = serializers.CharField(source="public_id")

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "event_id", "scope", "action", "is_by_hand", "state", "attempts",
            "next_attempt_at", "attempted_at", "duration_ms", "status_code", "error", "payload",
            "response", "created_at",
        ]  # fmt: skip


class DeliveryPageOut(serializers.Serializer[Any]):
    """Deliveries, newest first; `next_cursor` leads to the older ones."""

    items = DeliveryOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)
