"""The page of a user or an organisation, and a user's own profile settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from hub import people
from hub.access import get_namespace, is_member
from hub.actions.organizations import is_admin
from hub.actions.profiles import update_user_profile
from hub.auth import Actor, actor_of
from hub.collection_access import visible_collections
from hub.likes import liked_by
from hub.models import Like, Namespace, Repo, User
from hub.portal.account_forms import ProfileForm
from hub.portal.kinds import KINDS, KINDS_BY_KEY, RepoKind
from hub.queries import DEFAULT_SORT, Page, RepoFilter, list_repos, paginate
from hub.quotas import quota_of

PAGE_SIZE = 30
OVERVIEW_SIZE = 6
LIKES = "likes"
ACTIVITY_SIZE = 8
MOST_COLLECTIONS = 50


@dataclass(frozen=True)
class Section:
    """One type of repository on a profile: how many there are, and those shown."""

    kind: RepoKind
    count: int
    page: Page[Repo]


@require_GET
def profile(request: HttpRequest, name: str) -> HttpResponse:
    namespace = get_namespace(name)
    if namespace.name != name:
        return redirect("profile", namespace.name)
    shown = KINDS_BY_KEY.get(request.GET.get("show", ""))
    actor = actor_of(request)
    counts = people.repo_counts(actor, namespace)
    sections = [
        Section(kind, counts.get(kind.repo_type, 0), _listed(request, namespace, kind, shown))
        for kind in KINDS.values()
    ]
    page: Page[Any] = next((one.page for one in sections if one.kind is shown), Page([], None))
    shows_likes = False
    if request.GET.get("show") == LIKES and namespace.user:
        shows_likes, page = True, _likes(request, namespace.user)
    context = {
        "namespace": namespace,
        "owner": namespace.user or namespace.organization,
        "shown": LIKES if shows_likes else shown.key if shown else "",
        "page": page,
        "sections": sections,
        "standing": _standing(actor, namespace),
        "collections": visible_collections(actor)
        .filter(namespace=namespace)
        .order_by("position", "pk")[:MOST_COLLECTIONS],
        **_people(actor, namespace),
    }
    return render(request, "hub/profile.html", context)


def _listed(
    request: HttpRequest, namespace: Namespace, kind: RepoKind, shown: RepoKind | None
) -> Page[Repo]:
    """The repositories of one type: a page where it is the one asked for, else the newest."""
    repos = list_repos(request.user, kind.repo_type, RepoFilter(author=namespace.name))
    is_shown = kind is shown
    return paginate(
        repos,
        sort=DEFAULT_SORT,
        cursor=request.GET.get("cursor") if is_shown else None,
        limit=PAGE_SIZE if is_shown else OVERVIEW_SIZE,
    )


def _likes(request: HttpRequest, user: User) -> Page[Like]:
    cursor = request.GET.get("cursor")
    return liked_by(user, request.user, cursor=cursor, limit=PAGE_SIZE)


def _standing(actor: Actor, namespace: Namespace) -> dict[str, object]:
    """Who follows, and whether the reader does or may."""
    return {
        "followers": people.followers_of(namespace).count(),
        "following": people.followed_by(namespace.user).count() if namespace.user else 0,
        "is_following": people.is_following(actor, namespace),
        "may_follow": actor.user is not None and namespace.user_id != actor.user.pk,
    }


def _people(actor: Actor, namespace: Namespace) -> dict[str, object]:
    """Members of an organisation, or organisations and doings of a user; and who may edit."""
    if organization := namespace.organization:
        return {
            "memberships": people.members_of(organization).order_by("user__username"),
            "may_edit": actor.user is not None and is_admin(organization, actor.user),
            "quota": quota_of(namespace) if is_member(actor, namespace) else None,
        }
    assert namespace.user is not None
    return {
        "organizations": people.organizations_of(namespace.user),
        "activity": people.recent_activity(actor, namespace.user, limit=ACTIVITY_SIZE),
        "may_edit": actor.user is not None and namespace.user_id == actor.user.pk,
        "quota": quota_of(namespace) if is_member(actor, namespace) else None,
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
    quota = quota_of(request.user.namespace)
    context = {"form": form, "active": "profile", "quota": quota}
    return render(request, "hub/settings_profile.html", context)
