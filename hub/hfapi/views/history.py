"""C31: commits."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from hub.errors import InvalidInput
from hub.hfapi.base import HubView
from hub.hfapi.pagination import decode_cursor, encode_cursor, limit_of, page_answer
from hub.hfapi.serializers import commit_row
from hub.site import git_of

PAGE_COMMITS = 50
MAX_PAGE_COMMITS = 1000
_MAX_SKIP = 10**7


class Commits(HubView):
    def get(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        repo = self.repo_for_read()
        git = git_of(repo)
        commit_sha = git.resolve(revision)
        limit = limit_of(request, default=PAGE_COMMITS, maximum=MAX_PAGE_COMMITS)
        skip = _skip_in(request)
        page = list(git.log(commit_sha, skip=skip, limit=limit + 1))
        formatted = "formatted" in request.GET.getlist("expand[]") + request.GET.getlist("expand")
        rows = [commit_row(commit, formatted=formatted) for commit in page[:limit]]
        cursor = encode_cursor(str(skip + limit)) if len(page) > limit else None
        address = f"{repo.api_path}/commits/{commit_sha}"
        return page_answer(request, rows, path=address, next_cursor=cursor)


def _skip_in(request: HttpRequest) -> int:
    text = decode_cursor(request.GET.get("cursor")) or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 8 or int(text) > _MAX_SKIP:
        raise InvalidInput("This page address is not valid: start again from the first.")
    return int(text)
