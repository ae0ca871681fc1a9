"""C37 to C45, S43: discussions, pull requests and files for them, as Hub clients speak of them.

Source: Hub protocol, sections 4.10 and 7.
"""

from __future__ import annotations

from collections.abc import Collection

from django.http import HttpRequest, HttpResponse, JsonResponse

from contributions.access import (
    check_may_attach,
    check_may_change,
    check_may_edit,
    check_may_hide,
    check_may_merge,
    get_discussion,
    get_event,
)
from contributions.actions.attachments import keep_attachment
from contributions.actions.discussions import (
    add_comment,
    change_status,
    edit_comment,
    hide_comment,
    open_discussion,
    rename_discussion,
)
from contributions.actions.pull_requests import (
    mend_pull_request,
    merge_pull_request,
    open_pull_request,
)
from contributions.actions.rendering import with_html
from contributions.hfapi.serializers import discussion_row, event_row, pull_fields
from contributions.models import Discussion, DiscussionEvent
from contributions.pulls import merge_state, pull_diff
from contributions.queries import KINDS, STATUSES, events_of, list_discussions
from hub.access import (
    check_may_contribute,
    check_may_read_contents,
    get_repo_for_read,
    may_read_contents,
)
from hub.errors import InvalidInput, NotFound
from hub.hfapi.base import HubView, is_true, proper_text, text_of
from hub.site import base_url, repo_url
from hub.xet.bodies import RequestBody

PAGE_ROWS = 50
_MAX_DIGITS = 9


class Uploads(HubView):
    """A file for a comment; its address is the answer, as text."""

    def post(self, request: HttpRequest) -> HttpResponse:
        user = check_may_attach(self.actor)
        body = RequestBody(request)
        made = keep_attachment(body, size_bytes=body.announced_bytes or None, acting_user=user)
        address = base_url(request) + made.url_path
        return HttpResponse(address, content_type="text/plain; charset=utf-8")


class DiscussionView(HubView):
    """A view of what lies below one discussion."""

    def discussion(self, num: str) -> Discussion:
        """The discussion, in a repository the caller may read. Raises as `get_discussion`."""
        repo = get_repo_for_read(self.actor, **self._repo_id())
        if not (num.isascii() and num.isdigit()) or len(num) > _MAX_DIGITS:
            raise NotFound(f"{repo.full_name} has no discussion “{num[:40]}”: they are numbered.")
        return get_discussion(repo, int(num))

    def event(self, num: str, event_id: str) -> DiscussionEvent:
        return get_event(self.discussion(num), event_id)


class Discussions(HubView):
    def get(self, request: HttpRequest, **ids: str) -> HttpResponse:
        repo = self.repo_for_read()
        found = list_discussions(
            repo,
            kind=_choice(request, "type", KINDS),
            status=_choice(request, "status", STATUSES),
            author=proper_text(request.GET.get("author", ""), "author"),
        )
        start = _page(request) * PAGE_ROWS
        rows = list(found[start : start + PAGE_ROWS])
        for row in rows:
            row.repo = repo
        return JsonResponse(
            {
                "discussions": [discussion_row(row) for row in rows],
                "count": found.count(),
                "start": start,
            }
        )

    def post(self, request: HttpRequest, **ids: str) -> HttpResponse:
        repo = self.repo_for_contribution()
        body = self.json_body()
        is_pull = is_true(body.get("pullRequest"))
        if is_pull:
            check_may_read_contents(self.actor, repo)
        open_it = open_pull_request if is_pull else open_discussion
        opened = open_it(
            repo=repo,
            title=text_of(body, "title"),
            description=text_of(body, "description", default=""),
            acting_user=self.actor.require_user(),
        )
        url = f"{repo_url(repo, request)}/discussions/{opened.num}"
        return JsonResponse({"num": opened.num, "url": url, "pullRequest": is_pull})


class DiscussionDetails(DiscussionView):
    def get(self, request: HttpRequest, num: str, **ids: str) -> HttpResponse:
        discussion = self.discussion(num)
        if discussion.is_pull_request and discussion.is_under_way:
            discussion = mend_pull_request(pull=discussion)
        answer = discussion_row(discussion)
        if discussion.is_pull_request:
            conflicts = list(merge_state(discussion).conflicts)
            diff = pull_diff(discussion) if self._shows_diff(discussion) else None
            answer |= pull_fields(discussion, conflicts=conflicts, diff=diff)
        answer["events"] = [event_row(event) for event in _told(discussion)]
        return JsonResponse(answer)

    def _shows_diff(self, discussion: Discussion) -> bool:
        """Clients always ask for it; behind a gate it is left out rather than the whole refused."""
        return self.flag("diff") and may_read_contents(self.actor, discussion.repo)


class Comments(DiscussionView):
    def post(self, request: HttpRequest, num: str, **ids: str) -> HttpResponse:
        discussion = self.discussion(num)
        check_may_contribute(self.actor, discussion.repo)
        text = text_of(self.json_body(), "comment")
        user = self.actor.require_user()
        event = add_comment(discussion=discussion, text=text, acting_user=user)
        return JsonResponse({"newMessage": event_row(event)})


class Status(DiscussionView):
    def post(self, request: HttpRequest, num: str, **ids: str) -> HttpResponse:
        discussion = self.discussion(num)
        check_may_change(self.actor, discussion)
        body = self.json_body()
        event = change_status(
            discussion=discussion,
            status=text_of(body, "status"),
            comment=text_of(body, "comment", default=""),
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({"newStatus": event_row(event)})


class Title(DiscussionView):
    def post(self, request: HttpRequest, num: str, **ids: str) -> HttpResponse:
        discussion = self.discussion(num)
        check_may_change(self.actor, discussion)
        title = text_of(self.json_body(), "title")
        user = self.actor.require_user()
        event = rename_discussion(discussion=discussion, title=title, acting_user=user)
        return JsonResponse({"newTitle": event_row(event)})


class Merge(DiscussionView):
    def post(self, request: HttpRequest, num: str, **ids: str) -> HttpResponse:
        pull = self.discussion(num)
        check_may_merge(self.actor, pull)
        comment = text_of(self.json_body(), "comment", default="")
        user = self.actor.require_user()
        merged = merge_pull_request(pull=pull, acting_user=user, comment=comment)
        return JsonResponse({"success": True, "mergeCommitId": merged.merge_commit_sha})


class CommentEdit(DiscussionView):
    def post(self, request: HttpRequest, num: str, event_id: str, **ids: str) -> HttpResponse:
        event = self.event(num, event_id)
        check_may_edit(self.actor, event)
        text = text_of(self.json_body(), "content")
        edited = edit_comment(event=event, text=text, acting_user=self.actor.require_user())
        return JsonResponse({"updatedComment": event_row(edited)})


class CommentHide(DiscussionView):
    def post(self, request: HttpRequest, num: str, event_id: str, **ids: str) -> HttpResponse:
        event = self.event(num, event_id)
        check_may_hide(self.actor, event)
        hidden = hide_comment(event=event, acting_user=self.actor.require_user())
        return JsonResponse({"updatedComment": event_row(hidden)})


def _told(discussion: Discussion) -> list[DiscussionEvent]:
    return with_html(events_of(discussion), repo_path=discussion.repo.url_path)


def _choice(request: HttpRequest, name: str, choices: Collection[str]) -> str:
    value = request.GET.get(name) or "all"
    if value not in choices:
        raise InvalidInput(f"“{name}” must be one of {', '.join(choices)}.")
    return value


def _page(request: HttpRequest) -> int:
    text = request.GET.get("p") or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise InvalidInput("“p” must be the number of a page, from 0.")
    return int(text)
