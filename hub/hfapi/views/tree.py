"""C11, C12: folders, and single paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, quote

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.access import may_read_contents
from hub.errors import InvalidInput, TooLarge
from hub.hfapi.base import HubView, is_true
from hub.hfapi.pagination import decode_cursor, encode_cursor, limit_of, page_answer
from hub.hfapi.security import file_statuses
from hub.hfapi.serializers import tree_entry
from hub.models import Repo, RepoBlob
from hub.site import git_of
from hub.vcs import Repository, TreeEntry

PAGE_ENTRIES = 1000
PAGE_ENTRIES_EXPANDED = 50
MAX_PAGE_ENTRIES_EXPANDED = 200
MAX_PATHS = 20_000
_OIDS_PER_QUERY = 500


class Tree(HubView):
    def get(self, request: HttpRequest, revision: str, path: str = "", **ids: str) -> HttpResponse:
        repo = self.repo_for_read()
        git = git_of(repo)
        commit_sha = git.resolve(revision)
        expand = self.flag("expand")
        entries = git.tree(
            commit_sha,
            path,
            recursive=self.flag("recursive"),
            after=decode_cursor(request.GET.get("cursor")),
        )
        page = list(islice(entries, _page_size(request, expand) + 1))
        more = len(page) == _page_size(request, expand) + 1
        page = page[:-1] if more else page
        is_open = may_read_contents(self.actor, repo)
        rows = _rows(repo, git, commit_sha, page, expand=expand, is_open=is_open)
        address = f"{repo.api_path}/tree/{commit_sha}/{quote(path.strip('/'))}".rstrip("/")
        cursor = encode_cursor(page[-1].path) if more else None
        return page_answer(request, rows, path=address, next_cursor=cursor)


class PathsInfo(HubView):
    def post(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        repo = self.repo_for_read()
        paths, expand = self._wanted()
        git = git_of(repo)
        commit_sha = git.resolve(revision)
        entries = git.entries(commit_sha, paths)
        is_open = may_read_contents(self.actor, repo)
        rows = _rows(repo, git, commit_sha, entries, expand=expand, is_open=is_open)
        return JsonResponse(rows, safe=False)

    def _wanted(self) -> tuple[list[str], bool]:
        """Paths and the wish for more, from a form or from JSON."""
        if "json" in (self.request.content_type or ""):
            body = self.json_body()
            paths, expand = body.get("paths", []), body.get("expand", False)
        else:
            form = _form(self.body())
            paths, expand = form.get("paths", []), form.get("expand", [""])[0]
        if isinstance(paths, str):
            paths = [paths]
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise InvalidInput("“paths” must be a list of strings.")
        if len(paths) > MAX_PATHS:
            raise TooLarge(f"At most {MAX_PATHS} paths a call.")
        return paths, is_true(expand)


def xet_hashes(repo: Repo, oids: Iterable[str]) -> dict[str, str]:
    """Xet file hash by SHA-256, of content that this repository received through Xet."""
    wanted = sorted(set(oids))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _OIDS_PER_QUERY):
        links = RepoBlob.objects.filter(
            repo=repo,
            blob__sha256__in=wanted[start : start + _OIDS_PER_QUERY],
            xet_file__isnull=False,
        )
        found.update(links.values_list("blob__sha256", "xet_file__file_hash"))
    return found


def _rows(
    repo: Repo,
    git: Repository,
    commit_sha: str,
    entries: Sequence[TreeEntry],
    *,
    expand: bool,
    is_open: bool,
) -> list[dict[str, Any]]:
    hashes = xet_hashes(repo, (entry.lfs.oid for entry in entries if entry.lfs))
    if not expand:
        return [tree_entry(entry, xet_hashes=hashes, with_digests=is_open) for entry in entries]
    commits = git.last_commits(commit_sha, [entry.path for entry in entries])
    security = file_statuses(repo, commit_sha, entries, is_open=is_open)
    return [
        tree_entry(
            entry,
            xet_hashes=hashes,
            with_digests=is_open,
            last_commits=commits,
            security=security,
        )
        for entry in entries
    ]


def _page_size(request: HttpRequest, expand: bool) -> int:
    if expand:
        return limit_of(request, default=PAGE_ENTRIES_EXPANDED, maximum=MAX_PAGE_ENTRIES_EXPANDED)
    return limit_of(request, default=PAGE_ENTRIES, maximum=PAGE_ENTRIES)


def _form(data: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(data.decode(), keep_blank_values=True, max_num_fields=MAX_PATHS + 10)
    except ValueError:
        raise InvalidInput("The form is not readable, or has too many fields.") from None
