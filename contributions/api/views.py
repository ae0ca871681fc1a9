"""`/api/v1/webhooks/…`: what was sent, and sending it again. The Hub has pages for this, no calls.

The webhooks themselves are under `/api/settings/webhooks`, by the Hub protocol.
"""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contributions.actions.deliveries import send_again, send_test
from contributions.api.serializers import DeliveryOut, DeliveryPageOut
from contributions.models import WebhookDelivery
from contributions.webhooks.access import get_delivery, get_webhook
from hub.auth import actor_of

PAGE_ROWS = 50
_CURSOR = OpenApiParameter("cursor", str, description="`next_cursor` of the page before.")


class DeliveryList(APIView):
    @extend_schema(operation_id="list_deliveries", parameters=[_CURSOR], responses=DeliveryPageOut)
    def get(self, request: Request, webhook_id: str) -> Response:
        """What one of the caller's webhooks was sent, newest first."""
        webhook = get_webhook(actor_of(request), webhook_id, is_change=False)
        rows = webhook.deliveries.order_by("-pk")
        cursor = request.query_params.get("cursor")
        if cursor:
            rows = rows.filter(pk__lt=get_delivery(webhook, cursor).pk)
        page = list(rows[: PAGE_ROWS + 1])
        is_more = len(page) > PAGE_ROWS
        body = {
            "items": page[:PAGE_ROWS],
            "next_cursor": page[PAGE_ROWS - 1].public_id if is_more else None,
        }
        return Response(DeliveryPageOut(body).data)


class TestDelivery(APIView):
    @extend_schema(operation_id="send_test", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, webhook_id: str) -> Response:
        """Sends an example payload that names no repository."""
        webhook = get_webhook(actor_of(request), webhook_id)
        return _accepted(send_test(webhook=webhook))


class Redelivery(APIView):
    @extend_schema(operation_id="send_again", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, webhook_id: str, delivery_id: str) -> Response:
        """Sends a payload once more, under the same event id, to the address of today."""
        webhook = get_webhook(actor_of(request), webhook_id)
        return _accepted(send_again(delivery=get_delivery(webhook, delivery_id)))


def _accepted(delivery: WebhookDelivery) -> Response:
    return Response(DeliveryOut(delivery).data, status=202)
