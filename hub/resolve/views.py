"""HEAD and GET of one file at a revision."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from hub.access import check_may_read_file, get_repo_for_read
from hub.actions.downloads import count_download
from hub.auth import actor_of
from hub.content import Content, open_content
from hub.models import Repo
from hub.resolve.safe_types import describe_download
from hub.resolve.sending import send_content
from hub.site import base_url, git_of

_A_YEAR_S = 365 * 24 * 3600


@require_safe
def resolve(
    request: HttpRequest, repo_type: str, namespace: str, name: str, revision: str, path: str
) -> HttpResponseBase:
    """A file for clients, with what they need to cache it."""
    actor = actor_of(request)
    repo = get_repo_for_read(actor, repo_type, namespace, name)
    commit_sha = git_of(repo).resolve(revision)
    check_may_read_file(actor, repo, commit_sha, path)
    content = open_content(repo, commit_sha, path)
    count_download(request, repo, actor)
    is_wanted_as_file = request.GET.get("download", "").lower() in {"1", "true"}
    headers = {
        **_file_headers(request, repo, commit_sha, content, is_pinned=revision == commit_sha),
        **describe_download(path, is_attachment=is_wanted_as_file),
    }
    return send_content(request, content, headers)


@require_safe
def raw(
    request: HttpRequest, repo_type: str, namespace: str, name: str, revision: str, path: str
) -> HttpResponseBase:
    """A file for browsers: shown as text or picture where that is safe."""
    actor = actor_of(request)
    repo = get_repo_for_read(actor, repo_type, namespace, name)
    commit_sha = git_of(repo).resolve(revision)
    check_may_read_file(actor, repo, commit_sha, path)
    content = open_content(repo, commit_sha, path)
    headers = {
        **_file_headers(request, repo, commit_sha, content, is_pinned=revision == commit_sha),
        **describe_download(path, is_attachment=False),
    }
    return send_content(request, content, headers)


def _file_headers(
    request: HttpRequest, repo: Repo, commit_sha: str, content: Content, *, is_pinned: bool
) -> dict[str, str]:
    headers = {
        "X-Repo-Commit": commit_sha,
        "ETag": f'"{content.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={_A_YEAR_S}, immutable"
        if is_pinned
        else "private, no-cache",
    }
    if content.sha256:
        headers["X-Linked-Etag"] = f'"{content.sha256}"'
        headers["X-Linked-Size"] = str(content.size_bytes)
    if content.xet_hash:
        headers["X-Xet-Hash"] = content.xet_hash
        headers["Link"] = f'<{_xet_token_url(request, repo, commit_sha)}>; rel="xet-auth"'
    return headers


def _xet_token_url(request: HttpRequest, repo: Repo, commit_sha: str) -> str:
    return f"{base_url(request)}{repo.api_path}/xet-read-token/{commit_sha}"
