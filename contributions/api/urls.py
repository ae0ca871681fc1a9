"""Addresses of contributions below `/api/v1/`."""

from django.urls import path

from contributions.api import views

_ONE = "webhooks/<slug:webhook_id>"

urlpatterns = [
    path(f"{_ONE}/deliveries", views.DeliveryList.as_view(), name="api_deliveries"),
    path(f"{_ONE}/test", views.TestDelivery.as_view(), name="api_webhook_test"),
    path(
        f"{_ONE}/deliveries/<slug:delivery_id>/send-again",
        views.Redelivery.as_view(),
        name="api_send_again",
    ),
]
