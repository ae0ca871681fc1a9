"""C17: checking the front matter of a card before it is committed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.cards import check_card
from hub.hfapi.base import HubView, text_of
from hub.models import RepoType


class ValidateYaml(HubView):
    def post(self, request: HttpRequest) -> HttpResponse:
        body = self.json_body()
        repo_type = text_of(body, "repoType", default=RepoType.MODEL)
        report = check_card(text_of(body, "content"), repo_type)
        if report.errors and request.headers.get("Accept") == "text/plain":
            return HttpResponse("\n".join(report.errors), "text/plain; charset=utf-8", status=400)
        answer = {
            "errors": [{"message": text} for text in report.errors],
            "warnings": [{"message": text} for text in report.warnings],
        }
        return JsonResponse(answer, status=400 if report.errors else 200)
