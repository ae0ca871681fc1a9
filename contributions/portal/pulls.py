"""Pages of a pull request: its commits, its files, and the merge."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from contributions import access
from contributions.actions.pull_requests import merge_pull_request
from contributions.portal.discussion_page import MAX_COMMITS, open_pull_page
from contributions.portal.forms import MergeForm
from contributions.portal.snippets import add_command
from contributions.pulls import pull_commits
from hub.access import check_may_read_contents
from hub.errors import Conflict, InvalidInput
from hub.portal.changes import page_number_of, read_changes
from hub.vcs.errors import ParentMoved


@require_GET
def commits(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    opened = open_pull_page(request, repo_type, namespace, name, num)
    found = pull_commits(opened.discussion, limit=MAX_COMMITS + 1)
    context = {
        "commits": found[:MAX_COMMITS],
        "has_more": len(found) > MAX_COMMITS,
        "add_command": add_command(opened.discussion),
    }
    return opened.render("contributions/pull_commits.html", context, part="commits")


@require_GET
def files(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    opened = open_pull_page(request, repo_type, namespace, name, num)
    check_may_read_contents(opened.actor, opened.discussion.repo)
    old_sha, new_sha = opened.changed_range
    changes = read_changes(
        opened.page.repo, opened.page.git, old_sha, new_sha, page_number=page_number_of(request)
    )
    context = {"changes": changes, "add_command": add_command(opened.discussion)}
    return opened.render("contributions/pull_files.html", context, part="files")


@login_required
@require_POST
def merge(
    request: HttpRequest, repo_type: str, namespace: str, name: str, num: int
) -> HttpResponse:
    """Merges what the reader looked at; what stands in the way is said on the page."""
    opened = open_pull_page(request, repo_type, namespace, name, num)
    access.check_may_merge(opened.actor, opened.discussion)
    form = MergeForm(request.POST)
    if not form.is_valid():
        raise InvalidInput("The merge form is not complete: reload the page and try again.")
    try:
        merge_pull_request(pull=opened.discussion, **form.cleaned_data, acting_user=opened.user)
    except ParentMoved:
        messages.error(
            request,
            _("New commits came while you were looking. Nothing was merged; look at them first."),
        )
    except Conflict:  # the page says why, with all reasons
        messages.error(request, _("It cannot be merged as it is now. Nothing was changed."))
    return opened.redirect()
