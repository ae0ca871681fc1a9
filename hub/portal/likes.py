"""The like button of a repository's page."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from hub.access import get_repo_for_contribution
from hub.actions.likes import like_repo, unlike_repo
from hub.auth import actor_of


@login_required
@require_POST
def like(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    """Likes, or with `like=no` takes it back: the button anew for htmx, else the page."""
    actor = actor_of(request)
    repo = get_repo_for_contribution(actor, repo_type, namespace, name)
    is_liked = request.POST.get("like") != "no"
    change = like_repo if is_liked else unlike_repo
    change(repo=repo, acting_user=actor.require_user())
    if request.htmx:  # type: ignore[attr-defined]
        context = {"repo": repo, "is_liked": is_liked}
        return render(request, "hub/components/like_button.html", context)
    return redirect(repo.url_path)
