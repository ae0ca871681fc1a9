"""C15: how each file of a commit to come is to be sent."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.errors import InvalidInput, TooLarge
from hub.hfapi.base import HubView, text_of
from hub.hfapi.upload_mode import (
    MAX_PATTERN_FILE_BYTES,
    IgnorePatterns,
    LfsPatterns,
    choose_mode,
)
from hub.models import Repo
from hub.quotas import require_room
from hub.site import git_of
from hub.usage import linked_file_sizes
from hub.vcs import Repository, TreeEntry, validate_path
from hub.vcs.errors import EntryNotFound, EntryTooLarge

MAX_FILES = 1000
"""The official client sends 256 a call."""
_SAMPLE_BYTES = 512


class Preupload(HubView):
    def post(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        repo = self.repo_for_commit(revision)
        body = self.json_body()
        files = _files_in(body)
        git = git_of(repo)
        commit_sha = git.resolve(revision)
        lfs = LfsPatterns(_read_text(git, commit_sha, ".gitattributes"))
        given = body.get("gitIgnore")
        own = given if isinstance(given, str) else _read_text(git, commit_sha, ".gitignore")
        ignored = IgnorePatterns(own)
        present = {
            entry.path: entry for entry in git.entries(commit_sha, [file.path for file in files])
        }
        require_room(repo.namespace, _new_bytes(repo, files, ignored, present))
        rows = [_answer(file, lfs, ignored, present.get(file.path)) for file in files]
        return JsonResponse({"files": rows})


@dataclass(frozen=True)
class _File:
    path: str
    size_bytes: int
    sample: bytes


def _new_bytes(
    repo: Repo, files: list[_File], ignored: IgnorePatterns, present: dict[str, TreeEntry]
) -> int:
    """How much the files seem to add; only their sizes are known here.

    What has the size of the file that is there, or of one that was sent before, is taken for the
    same: the bytes themselves are counted when they come.
    """
    sizes = [
        file.size_bytes
        for file in files
        if not ignored.names(file.path)
        and (file.path not in present or present[file.path].size_bytes != file.size_bytes)
    ]
    known = linked_file_sizes(repo, set(sizes))
    return sum(size for size in sizes if size not in known)


def _answer(
    file: _File, lfs: LfsPatterns, ignored: IgnorePatterns, present: TreeEntry | None
) -> dict[str, Any]:
    mode = choose_mode(
        file.path,
        file.size_bytes,
        file.sample,
        lfs,
        max_regular_bytes=settings.MAX_REGULAR_FILE_BYTES,
    )
    row: dict[str, Any] = {
        "path": file.path,
        "uploadMode": mode,
        "shouldIgnore": ignored.names(file.path),
    }
    if present is not None and present.kind == "file":
        row["oid"] = present.lfs.oid if present.lfs else present.oid
    return row


def _files_in(body: dict[str, Any]) -> list[_File]:
    entries = body.get("files")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput("“files” must be a list of objects.")
    if len(entries) > MAX_FILES:
        raise TooLarge(f"At most {MAX_FILES} files a call.")
    return [_file(entry) for entry in entries]


def _file(entry: dict[str, Any]) -> _File:
    path, size = text_of(entry, "path"), entry.get("size")
    validate_path(path)
    if type(size) is not int or size < 0:
        raise InvalidInput("“size” must be a number of bytes.")
    sample = text_of(entry, "sample", default="")
    try:
        data = base64.b64decode(sample, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"The sample of {path} is not base64.") from None
    return _File(path, size, data[:_SAMPLE_BYTES])


def _read_text(git: Repository, commit_sha: str, path: str) -> str:
    """The file, or nothing where there is none or it is too large to hold patterns."""
    try:
        data = git.read(commit_sha, path, max_bytes=MAX_PATTERN_FILE_BYTES)
    except (EntryNotFound, EntryTooLarge):
        return ""
    return data.decode("utf-8", "replace")
