"""The page that says how to take part, and who does."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from contributions.queries import (
    active_contributors,
    open_pull_requests,
    recent_contributions,
)
from hub.portal.home import newcomer_context

RECENT_LIMIT = 8
PEOPLE_LIMIT = 8


@require_GET
def contribute(request: HttpRequest) -> HttpResponse:
    context = newcomer_context(request) | {
        "pull_requests": open_pull_requests(request.user, limit=RECENT_LIMIT),
        "contributions": recent_contributions(request.user, limit=RECENT_LIMIT),
        "contributors": active_contributors(request.user, limit=PEOPLE_LIMIT),
    }
    return render(request, "contributions/contribute.html", context)
