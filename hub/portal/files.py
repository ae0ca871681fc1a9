"""Pages of a repository's content: folder, file, history, one commit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from hub.access import check_may_read_file
from hub.portal.changes import page_number_of, read_changes
from hub.portal.highlight import highlight
from hub.portal.repo_page import RepoPage, open_contents_page, open_page
from hub.portal.snippets import upload_snippets
from hub.portal.tabs import repo_page_url
from hub.scans import FileStatus, entry_statuses
from hub.site import base_url
from hub.tensors import has_tensors
from hub.vcs.values import CommitInfo, TreeEntry

FOLDER_PAGE = 200
COMMITS_PAGE = 50
TEXT_LIMIT_BYTES = 512 * 1024


@dataclass(frozen=True)
class FileRow:
    """One line of a folder's table."""

    entry: TreeEntry
    name: str
    last_commit: CommitInfo | None
    security: FileStatus | None


@require_GET
def tree(
    request: HttpRequest,
    repo_type: str,
    namespace: str,
    name: str,
    revision: str = "main",
    path: str = "",
) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, revision=revision)
    path = path.strip("/")
    after = request.GET.get("after") or None
    found = page.git.tree(page.commit_sha, path, after=after)
    entries = list(islice(found, FOLDER_PAGE + 1))
    context = {
        "path": path,
        "crumbs": _crumbs(path),
        "rows": _rows(page, entries[:FOLDER_PAGE]),
        "next_after": entries[FOLDER_PAGE - 1].path if len(entries) > FOLDER_PAGE else None,
        "commit": next(page.git.log(page.commit_sha, limit=1), None),
        "branches": page.git.branches(),
        "tags_of_repo": page.git.tags(),
        "snippets": upload_snippets(page.repo, base_url(request)),
        "is_fresh": not path and [entry.path for entry in entries] == [".gitattributes"],
    }
    return page.render("hub/repo_tree.html", "files", context)


def _rows(page: RepoPage, entries: list[TreeEntry]) -> list[FileRow]:
    paths = [entry.path for entry in entries]
    commits = page.git.last_commits(page.commit_sha, paths)
    security = entry_statuses(page.repo, page.commit_sha, entries)
    rows = [
        FileRow(
            entry=entry,
            name=entry.path.rsplit("/", 1)[-1],
            last_commit=commits.get(entry.path),
            security=security.get(entry.path),
        )
        for entry in entries
    ]
    return sorted(rows, key=lambda row: row.entry.kind == "file")


@require_GET
def blob(
    request: HttpRequest, repo_type: str, namespace: str, name: str, revision: str, path: str
) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, revision=revision)
    entry = page.git.entry(page.commit_sha, path)
    if entry.kind == "directory":
        return tree(request, repo_type, namespace, name, revision, path)
    check_may_read_file(page.actor, page.repo, page.commit_sha, path)
    context = {
        "path": path,
        "crumbs": _crumbs(path),
        "entry": entry,
        "tensors_url": _tensors_url(page, path),
        "code_html": _code_html(page, entry),
        "commit": page.git.last_commits(page.commit_sha, [path]).get(path),
        "security": entry_statuses(page.repo, page.commit_sha, [entry]).get(path),
    }
    return page.render("hub/repo_blob.html", "files", context)


def _tensors_url(page: RepoPage, path: str) -> str:
    """Where the tensors of the file are listed; empty for files that hold none."""
    if not has_tensors(path):
        return ""
    return repo_page_url("tensors", page.repo, revision=page.commit_sha, path=path)


def _code_html(page: RepoPage, entry: TreeEntry) -> str | None:
    """Highlighted text, or None where the file is large, binary or not UTF-8."""
    if entry.lfs is not None or entry.size_bytes > TEXT_LIMIT_BYTES:
        return None
    content = page.git.read(page.commit_sha, entry.path)
    if b"\0" in content:
        return None
    try:
        return highlight(content.decode("utf-8"), entry.path)
    except UnicodeDecodeError:
        return None


@require_GET
def commits(
    request: HttpRequest, repo_type: str, namespace: str, name: str, revision: str = "main"
) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, revision=revision)
    skip = page_number_of(request) * COMMITS_PAGE
    found = list(page.git.log(page.commit_sha, skip=skip, limit=COMMITS_PAGE + 1))
    context = {
        "commits": found[:COMMITS_PAGE],
        "total": page.git.count_commits(page.commit_sha),
        "page_number": skip // COMMITS_PAGE,
        "has_next": len(found) > COMMITS_PAGE,
        "branches": page.git.branches(),
    }
    return page.render("hub/repo_commits.html", "history", context)


@require_GET
def commit(
    request: HttpRequest, repo_type: str, namespace: str, name: str, revision: str
) -> HttpResponse:
    page = open_contents_page(request, repo_type, namespace, name, revision=revision)
    info = next(page.git.log(page.commit_sha, limit=1))
    parent = info.parents[0] if info.parents else None
    changes = read_changes(
        page.repo, page.git, parent, info.sha, page_number=page_number_of(request)
    )
    context = {"commit": info, "changes": changes}
    return page.render("hub/repo_commit.html", "history", context)


@dataclass(frozen=True)
class Crumb:
    name: str
    path: str


def _crumbs(path: str) -> list[Crumb]:
    parts = path.split("/") if path else []
    return [Crumb(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)]
