"""The discussions and pull requests of a repository, and the forms that open new ones."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contributions.actions.discussions import open_discussion
from contributions.actions.pull_requests import open_pull_request
from contributions.comments import html_of
from contributions.portal.forms import NewDiscussionForm, NewPullRequestForm
from contributions.portal.snippets import propose_command, propose_snippets
from contributions.queries import KINDS, STATUSES, count_open, list_discussions
from contributions.texts import MAX_COMMENT_CHARS
from hub.access import check_may_contribute
from hub.actions.repos import DEFAULT_BRANCH
from hub.portal.repo_page import RepoPage, open_contents_page, open_page
from hub.site import base_url

PAGE_SIZE = 30


@require_GET
def discussions(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name)
    chosen = {
        "kind": _one_of(request.GET.get("type"), KINDS, "all"),
        "status": _one_of(request.GET.get("status"), STATUSES, "open"),
        "author": request.GET.get("author", "").strip()[:150],
    }
    found = list_discussions(page.repo, **chosen)
    rows = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = chosen | {
        "rows": rows,
        "n_open": count_open(page.repo),
        "has_any": bool(rows) or page.repo.discussions.exists(),
        "propose_command": propose_command(page.repo),
        "is_filtered": bool(chosen["author"]) or chosen["kind"] != "all",
    }
    return page.render("contributions/discussions.html", "community", context)


def _one_of(given: str | None, allowed: Any, default: str) -> str:
    return given if given is not None and given in allowed else default


@login_required
@require_http_methods(["GET", "POST"])
def new_discussion(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name)
    check_may_contribute(page.actor, page.repo)
    form = NewDiscussionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = open_discussion(
            repo=page.repo, **form.cleaned_data, acting_user=page.actor.require_user()
        )
        return redirect(made.url_path)
    return _form_page(page, "contributions/discussion_new.html", {"form": form}, form)


@login_required
@require_http_methods(["GET", "POST"])
def new_pull_request(
    request: HttpRequest, repo_type: str, namespace: str, name: str
) -> HttpResponse:
    page = open_contents_page(request, repo_type, namespace, name)
    check_may_contribute(page.actor, page.repo)
    form = NewPullRequestForm(request.POST or None, branches=_branches(page))
    if request.method == "POST" and form.is_valid():
        made = open_pull_request(
            repo=page.repo, **form.cleaned_data, acting_user=page.actor.require_user()
        )
        return redirect(made.url_path)
    context = {"form": form, "snippets": propose_snippets(page.repo, base_url(request))}
    return _form_page(page, "contributions/pull_request_new.html", context, form)


def _branches(page: RepoPage) -> list[str]:
    """Names of branches, the default one first."""
    names = [ref.name for ref in page.git.branches()]
    return sorted(names, key=lambda name: (name != DEFAULT_BRANCH, name))


def _form_page(page: RepoPage, template: str, context: dict[str, Any], form: Form) -> HttpResponse:
    response = page.render(template, "community", context)
    response.status_code = 422 if form.errors else 200
    return response


@login_required
@require_POST
def preview(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    """What a text will look like as a comment; nothing is stored."""
    page = open_page(request, repo_type, namespace, name)
    text = request.POST.get("comment") or request.POST.get("description") or ""
    html = html_of(text[:MAX_COMMENT_CHARS], repo_path=page.repo.url_path)
    return render(request, "contributions/components/preview.html", {"html": html})
