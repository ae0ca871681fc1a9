"""Following a person or an organisation, and the pages that list who follows whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hub import people
from hub.access import get_namespace, get_user
from hub.actions.follows import follow, unfollow
from hub.auth import actor_of
from hub.models import Follow, Namespace

PAGE_SIZE = 60


@login_required
@require_POST
def set_follow(request: HttpRequest, name: str) -> HttpResponse:
    """Follows, or with `stop` in the form follows no longer."""
    namespace = get_namespace(name)
    change = unfollow if request.POST.get("stop") else follow
    change(namespace=namespace, acting_user=actor_of(request).require_user())
    return redirect("profile", namespace.name)


@require_GET
def followers(request: HttpRequest, name: str) -> HttpResponse:
    namespace = get_namespace(name)
    title = _("Followers of %(name)s") % {"name": namespace.name}
    rows = people.followers_of(namespace).select_related("follower__namespace")
    return _people_page(request, namespace, title, rows, lambda row: row.follower.namespace)


@require_GET
def following(request: HttpRequest, name: str) -> HttpResponse:
    user = get_user(name)
    title = _("Whom %(name)s follows") % {"name": user.username}
    rows = people.followed_by(user)
    return _people_page(request, user.namespace, title, rows, lambda row: row.namespace)


def _people_page(
    request: HttpRequest,
    namespace: Namespace,
    title: str,
    rows: QuerySet[Follow],
    listed: Callable[[Follow], Namespace],
) -> HttpResponse:
    """The newest first; `listed` says whom a row is about."""
    before = request.GET.get("cursor", "")
    if before.isdecimal():
        rows = rows.filter(pk__lt=int(before[:18]))
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    context: dict[str, Any] = {
        "namespace": namespace,
        "title": title,
        "people": [listed(row) for row in found[:PAGE_SIZE]],
        "page": {"next_cursor": str(found[PAGE_SIZE - 1].pk) if more else None},
    }
    return render(request, "hub/people.html", context)
