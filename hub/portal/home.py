"""The home page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from hub.models import Namespace, Repo, RepoType, User
from hub.portal.panels import home_panels
from hub.queries import DEFAULT_SORT, RepoFilter, list_repos, paginate

NEWEST_LIMIT = 5


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    context = newcomer_context(request) | {
        "models": _newest(request, RepoType.MODEL),
        "datasets": _newest(request, RepoType.DATASET),
        "panels": list(home_panels(request)),
    }
    return render(request, "hub/home.html", context)


def newcomer_context(request: HttpRequest) -> dict[str, Any]:
    """`examples` for snippets, and for a signed-in reader the `steps` they have done."""
    context: dict[str, Any] = {"examples": _examples()}
    if isinstance(request.user, User):
        context["steps"] = _first_steps(request.user)
    return context


def _newest(request: HttpRequest, repo_type: RepoType) -> list[Repo]:
    repos = list_repos(request.user, repo_type, RepoFilter())
    return paginate(repos, sort=DEFAULT_SORT, cursor=None, limit=NEWEST_LIMIT).rows


def _examples() -> dict[str, Repo | None]:
    """The repositories that snippets name: the most downloaded public ones."""
    public = Repo.objects.filter(is_private=False).select_related("namespace")
    return {
        repo_type.value: public.filter(repo_type=repo_type).order_by("-downloads", "pk").first()
        for repo_type in (RepoType.MODEL, RepoType.DATASET)
    }


def _first_steps(user: User) -> dict[str, bool]:
    """Which of a newcomer's steps are done."""
    own = Namespace.objects.filter(user=user)
    return {
        "has_token": user.access_tokens.filter(is_internal=False).exists(),
        "has_model": Repo.objects.filter(namespace__in=own, repo_type=RepoType.MODEL).exists(),
    }
