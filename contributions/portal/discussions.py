"""The page of one discussion or pull request, and the forms on it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from contributions import access
from contributions.actions import discussions as actions
from contributions.actions.pull_requests import mend_pull_request
from contributions.models import DiscussionStatus
from contributions.portal.discussion_page import DiscussionPage, may_write, open_discussion_page
from contributions.portal.forms import CommentForm, StatusForm, TitleForm
from contributions.portal.merge_box import merge_box
from contributions.portal.snippets import conflict_commands, pull_snippets
from contributions.portal.timeline import Timeline
from hub.access import check_may_contribute
from hub.site import base_url


@require_GET
def discussion(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    if opened.discussion.is_pull_request:
        mend_pull_request(pull=opened.discussion)
    return _conversation(opened)


def _conversation(
    opened: DiscussionPage,
    *,
    comment_form: CommentForm | None = None,
    title_form: TitleForm | None = None,
) -> HttpResponse:
    """The page; with a form that was refused, its errors and what was typed."""
    found = opened.discussion
    context = {
        "timeline": Timeline(
            found,
            number=opened.page.request.GET.get("page"),
            user_id=opened.actor.user.pk if opened.actor.user else None,
            may_take_part=opened.may_take_part,
            may_write=may_write(opened.page),
        ),
        "comment_form": comment_form or CommentForm(),
        "title_form": title_form or TitleForm(initial={"title": found.title}),
        "is_renaming": title_form is not None,
    }
    if found.is_pull_request:
        context["merge"] = merge_box(opened.actor, found)
        context["may_push"] = opened.may_push
        context["conflict_commands"] = conflict_commands(found)
        context["snippets"] = pull_snippets(found, base_url(opened.page.request))
    response = opened.render("contributions/discussion.html", context)
    return _refused(response, comment_form or title_form)


def _refused(response: HttpResponse, form: Form | None) -> HttpResponse:
    """The answer with the status of a refused form, where there is one."""
    if form is not None:
        response.status_code = 422
    return response


@login_required
@require_POST
def comment(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    check_may_contribute(opened.actor, opened.discussion.repo)
    form = CommentForm(request.POST)
    if not form.is_valid():
        return _conversation(opened, comment_form=form)
    event = actions.add_comment(
        discussion=opened.discussion, text=form.cleaned_data["comment"], acting_user=opened.user
    )
    return opened.redirect(event)


@login_required
@require_POST
def status(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    """Closes, reopens or publishes, with a comment before it where one was written."""
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    access.check_may_change(opened.actor, opened.discussion)
    form = StatusForm(request.POST)
    if not form.is_valid():
        return _conversation(opened, comment_form=CommentForm(request.POST))
    event = actions.change_status(
        discussion=opened.discussion,
        status=DiscussionStatus(form.cleaned_data["status"]),
        comment=form.cleaned_data["comment"],
        acting_user=opened.user,
    )
    return opened.redirect(event)


@login_required
@require_POST
def title(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    access.check_may_change(opened.actor, opened.discussion)
    form = TitleForm(request.POST)
    if not form.is_valid():
        return _conversation(opened, title_form=form)
    new_title = form.cleaned_data["title"]
    if new_title == opened.discussion.title:
        return opened.redirect()
    actions.rename_discussion(
        discussion=opened.discussion, title=new_title, acting_user=opened.user
    )
    return opened.redirect()


@login_required
@require_http_methods(["GET", "POST"])
def edit_comment(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int, event_id: str
) -> HttpResponse:
    """The form to change a comment: a page, or for htmx the form alone; and what it sends."""
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    event = access.get_event(opened.discussion, event_id)
    access.check_may_edit(opened.actor, event)
    form = CommentForm(request.POST or None, initial={"comment": event.text}, auto_id="id_edit_%s")
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["comment"]
        actions.edit_comment(event=event, text=text, acting_user=opened.user)
        return opened.redirect(event)
    context = {"edit_form": form, "event": event}
    if request.htmx and request.method == "GET":  # type: ignore[attr-defined]  # django-htmx
        context |= {"repo": opened.discussion.repo, "discussion": opened.discussion}
        return render(request, "contributions/components/comment_edit.html", context)
    response = opened.render("contributions/comment_edit.html", context)
    return _refused(response, form if form.errors else None)


@login_required
@require_POST
def hide_comment(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int, event_id: str
) -> HttpResponse:
    opened = open_discussion_page(request, repo_type, namespace, name, num)
    event = access.get_event(opened.discussion, event_id)
    access.check_may_hide(opened.actor, event)
    actions.hide_comment(event=event, acting_user=opened.user)
    return opened.redirect(event)
