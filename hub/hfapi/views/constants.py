"""Answers that are the same for everyone: S17, S18, S46 to S48."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.hfapi.base import HubView
from hub.tag_catalogue import tags_by_type, tasks


class AgentHarnesses(HubView):
    """Every client process asks this; with an answer it does not ask again for a day."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse({"standardEnvVars": [], "harnesses": {}})


class Telemetry(HubView):
    """Nothing is kept."""

    def head(self, request: HttpRequest, topic: str) -> HttpResponse:
        return HttpResponse()


class TagsByType(HubView):
    def get(self, request: HttpRequest, repo_type: str) -> HttpResponse:
        return JsonResponse(tags_by_type(repo_type))


class Tasks(HubView):
    def get(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse(tasks())
