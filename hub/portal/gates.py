"""Asking for access to a gated repository, and the page where its maintainers answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from hub.access import Level, check_may_contribute, get_user, is_inside
from hub.actions.gates import (
    check_gated,
    decide_request,
    grant_access,
    request_access,
    withdraw_request,
)
from hub.errors import InvalidInput, NotFound
from hub.models import AccessRequest, RequestStatus
from hub.people import has_verified_email
from hub.portal.gate_box import ask_form
from hub.portal.gate_forms import DecisionForm, GrantForm
from hub.portal.repo_page import RepoPage, open_page
from hub.portal.repos import card_page
from hub.portal.tabs import repo_page_url
from hub.queries import Page
from hub.spreadsheets import plain_text

PAGE_SIZE = 50
_HEAD = ["user", "fullname", "email", "email_verified", "status", "requested", "decided"]
_HEAD += ["decided_by", "reason"]


@login_required
@require_POST
def ask(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    """Sends the form of the card."""
    page = open_page(request, repo_type, namespace, name)
    check_may_contribute(page.actor, page.repo)
    check_gated(page.repo)
    user = page.actor.require_user()
    form = ask_form(page, request.POST)
    if not form.is_valid():
        return card_page(page, form)
    if not is_inside(user, page.repo):
        asked, is_new = request_access(repo=page.repo, fields=form.answers(), acting_user=user)
        if is_new and asked.status == RequestStatus.ACCEPTED:
            messages.success(request, _("You have access now."))
        elif is_new:
            messages.success(request, _("Your request is sent. You see here what became of it."))
    return redirect(page.repo.url_path)


@login_required
@require_POST
def withdraw(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name)
    check_may_contribute(page.actor, page.repo)
    try:
        withdraw_request(repo=page.repo, acting_user=page.actor.require_user())
    except NotFound:
        messages.error(request, _("Your request has been answered meanwhile."))
    else:
        messages.success(request, _("Your request is withdrawn, with all that it said."))
    return redirect(page.repo.url_path)


@login_required
@require_GET
def requests(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    """Who asked, by what became of it."""
    return _requests_page(_open(request, repo_type, namespace, name))


@login_required
@require_POST
def decide(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = _open(request, repo_type, namespace, name)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        raise InvalidInput("The form is not complete: reload the page and try again.")
    data = form.cleaned_data
    try:
        decided = decide_request(
            repo=page.repo,
            user=get_user(data["user"]),
            status=data["status"],
            reason=data["reason"],
            acting_user=page.actor.require_user(),
        )
    except NotFound:
        messages.error(request, _("This request has changed meanwhile. Nothing was done."))
    else:
        messages.success(request, _outcome(decided) % {"name": decided.user.username})
    back = request.POST.get("back", "")
    status = back if back in RequestStatus.values else RequestStatus.PENDING
    return redirect(f"{repo_page_url('access_requests', page.repo)}?status={status}")


@login_required
@require_POST
def grant(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = _open(request, repo_type, namespace, name)
    form = GrantForm(request.POST)
    if not form.is_valid() or form.user is None:
        return _requests_page(page, form)
    try:
        grant_access(repo=page.repo, user=form.user, acting_user=page.actor.require_user())
    except InvalidInput:
        form.add_error("username", _("This user has access already."))
        return _requests_page(page, form)
    messages.success(request, _("%(name)s has access now.") % {"name": form.user.username})
    return redirect(f"{repo_page_url('access_requests', page.repo)}?status=accepted")


@login_required
@require_GET
def report(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    """All requests as CSV, with a column for each thing that was asked."""
    page = _open(request, repo_type, namespace, name)
    answer = StreamingHttpResponse(_lines(page), content_type="text/csv; charset=utf-8")
    file_name = f"access-requests-{page.repo.namespace.name}-{page.repo.name}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer["Cache-Control"] = "private, no-store"
    return answer  # type: ignore[return-value]  # a response like any other


def _open(request: HttpRequest, repo_type: str, namespace: str, name: str) -> RepoPage:
    return open_page(request, repo_type, namespace, name, level=Level.WRITE)


def _requests_page(page: RepoPage, form: GrantForm | None = None) -> HttpResponse:
    given = page.request.GET.get("status", "")
    status = given if given in RequestStatus.values else RequestStatus.PENDING.value
    counts = {one: page.repo.access_requests.filter(status=one).count() for one in RequestStatus}
    context = {
        "status": status,
        "statuses": [(one.value, one.label, counts[one]) for one in RequestStatus],
        "page": _page_of(page, status),
        "grant_form": form or GrantForm(),
    }
    response = page.render("hub/access_requests.html", "settings", context)
    response.status_code = 422 if form is not None else 200
    return response


def _page_of(page: RepoPage, status: str) -> Page[AccessRequest]:
    """Those of one status, the oldest first."""
    after = page.request.GET.get("cursor", "0")
    if not after.isdecimal() or len(after) > 18:
        raise InvalidInput("This page address is not valid: start again from the first.")
    found = page.repo.access_requests.filter(status=status, pk__gt=int(after))
    found = found.annotate(email_is_verified=has_verified_email("user"))
    found = found.select_related("user", "decided_by").order_by("pk")
    rows: list[AccessRequest] = [*found[: PAGE_SIZE + 1]]
    shown = rows[:PAGE_SIZE]
    return Page(shown, str(shown[-1].pk) if len(rows) > PAGE_SIZE else None)


def _outcome(decided: AccessRequest) -> str:
    if decided.status == RequestStatus.ACCEPTED:
        return _("%(name)s has access now.")
    if decided.status == RequestStatus.REJECTED:
        return _("%(name)s has no access, and reads why.")
    return _("%(name)s has no access, and waits again.")


def _lines(page: RepoPage) -> Iterator[str]:
    asked = page.repo.access_requests.select_related("user", "decided_by").order_by("pk")
    asked = asked.annotate(email_is_verified=has_verified_email("user"))
    labels = dict.fromkeys(label for fields in asked.values_list("fields") for label in fields[0])
    yield _line([*_HEAD, *labels])
    for each in asked.iterator(chunk_size=500):
        yield _line([*_cells(each), *(each.fields.get(label, "") for label in labels)])


def _cells(asked: AccessRequest) -> list[Any]:
    user, decided_by = asked.user, asked.decided_by
    return [
        user.username,
        user.get_full_name(),
        user.email if asked.shares_email else "",
        "yes" if asked.shares_email and getattr(asked, "email_is_verified", False) else "no",
        asked.status,
        asked.created_at.isoformat(timespec="seconds"),
        asked.decided_at.isoformat(timespec="seconds") if asked.decided_at else "",
        decided_by.username if decided_by else "",
        asked.reason,
    ]


def _line(cells: list[Any]) -> str:
    """One line. What a spreadsheet would take for a formula is marked as text."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([plain_text(str(cell)) for cell in cells])
    return buffer.getvalue()
