"""Addresses below `/.well-known/` (RFC 8615), which no version of the API moves."""

from django.urls import path

from evaluation.api.views import InstanceKeys

urlpatterns = [
    path("modelguild-keys.json", InstanceKeys.as_view(), name="instance_keys"),
]
