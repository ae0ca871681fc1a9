"""The page of a user or an organisation, and a user's own profile settings."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from hub.actions.organizations import is_admin
from hub.actions.profiles import update_user_profile
from hub.errors import NotFound
from hub.models import Namespace, Organization, RepoType, User
from hub.portal.account_forms import ProfileForm
from hub.queries import DEFAULT_SORT, Page, RepoFilter, list_repos, paginate

PAGE_SIZE = 30
OVERVIEW_SIZE = 6
SHOWN = {"models": RepoType.MODEL, "datasets": RepoType.DATASET}


@require_GET
def profile(request: HttpRequest, name: str) -> HttpResponse:
    namespace = _namespace(name)
    if namespace.name != name:
        return redirect("profile", namespace.name)
    shown = request.GET.get("show", "")
    kinds = {shown: SHOWN[shown]} if shown in SHOWN else SHOWN
    lists = {
        key: list_repos(request.user, kind, RepoFilter(author=namespace.name))
        for key, kind in SHOWN.items()
    }
    limit = PAGE_SIZE if len(kinds) == 1 else OVERVIEW_SIZE
    cursor = request.GET.get("cursor") if len(kinds) == 1 else None
    pages = {
        key: paginate(lists[key], sort=DEFAULT_SORT, cursor=cursor, limit=limit) for key in kinds
    }
    context = {
        "namespace": namespace,
        "owner": namespace.user or namespace.organization,
        "shown": shown if shown in SHOWN else "",
        "page": next(iter(pages.values())) if len(kinds) == 1 else Page([], None),
        "pages": pages,
        "counts": {key: repos.count() for key, repos in lists.items()},
        **_people(request, namespace),
    }
    return render(request, "hub/profile.html", context)


def _namespace(name: str) -> Namespace:
    found = Namespace.objects.select_related("user", "organization").filter(name__iexact=name)
    namespace = found.exclude(user__is_active=False).first()
    if namespace is None:
        raise NotFound(f"There is no user or organisation called {name}.")
    return namespace


def _people(request: HttpRequest, namespace: Namespace) -> dict[str, object]:
    """Members of an organisation, or organisations of a user, and what the reader may change."""
    user = request.user if isinstance(request.user, User) else None
    if organization := namespace.organization:
        members = organization.memberships.select_related("user").order_by("user__username")
        return {
            "memberships": members.filter(user__is_active=True),
            "may_edit": user is not None and is_admin(organization, user),
        }
    of_user = Organization.objects.filter(members=namespace.user)
    return {
        "organizations": of_user.select_related("namespace").order_by("namespace__name"),
        "may_edit": user is not None and namespace.user_id == user.pk,
    }


@login_required
@require_http_methods(["GET", "POST"])
def edit_profile(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = ProfileForm.of(request.user, request.POST or None)
    if form.is_valid():
        update_user_profile(user=request.user, **form.cleaned_data)
        messages.success(request, _("Your profile is saved."))
        return redirect("settings_profile")
    return render(request, "hub/settings_profile.html", {"form": form, "active": "profile"})
