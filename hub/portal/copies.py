"""The page that duplicates a repository."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hub.access import get_namespace_for_create
from hub.actions.copies import duplicate_repo
from hub.errors import Conflict, InvalidInput, QuotaExceeded
from hub.portal.forms import DuplicateForm
from hub.portal.repo_page import open_contents_page
from hub.portal.tabs import repo_page_url


@login_required
@require_http_methods(["GET", "POST"])
def duplicate(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_contents_page(request, repo_type, namespace, name)
    user = page.actor.require_user()
    initial = {"owner": user.username, "name": name, "is_private": page.repo.is_private}
    form = DuplicateForm(request.POST or None, user=user, initial=initial)
    if form.is_valid():
        data = form.cleaned_data
        target = get_namespace_for_create(page.actor, data["owner"])
        try:
            copy = duplicate_repo(
                source=page.repo,
                namespace=target,
                name=data["name"],
                is_private=data["is_private"],
                acting_user=user,
            )
        except (InvalidInput, Conflict, QuotaExceeded) as error:
            form.add_error("name", error.message)
        else:
            messages.success(request, _("This is your copy. It goes its own way from here."))
            return redirect(repo_page_url("repo", copy))
    return page.render("hub/repo_duplicate.html", "", {"form": form})
