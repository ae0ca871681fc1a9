"""Answers that are the same for everyone: S46, S47."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.hfapi.base import HubView


class AgentHarnesses(HubView):
    """Every client process asks this; with an answer it does not ask again for a day."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse({"standardEnvVars": [], "harnesses": {}})


class Telemetry(HubView):
    """Nothing is kept."""

    def head(self, request: HttpRequest, topic: str) -> HttpResponse:
        return HttpResponse()
