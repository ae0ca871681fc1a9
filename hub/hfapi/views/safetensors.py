"""S20: the headers of all shards of a model in one answer."""

from __future__ import annotations

import json
from posixpath import dirname, join, normpath
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.actions.metadata import MAX_CONFIG_BYTES, MAX_HEADER_BYTES, MAX_WEIGHT_FILES
from hub.actions.repos import DEFAULT_REF
from hub.content import open_content
from hub.errors import EntryNotFound, InvalidInput, TooLarge
from hub.hfapi.base import HubView
from hub.models import Repo
from hub.site import git_of
from hub.tensors import header_of
from hub.vcs import TreeEntry
from ml_core.formats.errors import FormatError
from ml_core.formats.safetensors import SafetensorsHeader

MAX_ANSWER_BYTES = 64 * 1024**2
_INDEX_SUFFIX = ".safetensors.index.json"


class SafetensorsMetadata(HubView):
    def get(self, request: HttpRequest, path: str, **ids: str) -> HttpResponse:
        """The index file at `path` on the default branch, and the header of each of its shards."""
        repo = self.repo_for_contents()
        if not path.endswith(_INDEX_SUFFIX):
            raise InvalidInput(f"Name an index file: it ends in “{_INDEX_SUFFIX}”.")
        commit_sha = git_of(repo).resolve(DEFAULT_REF)
        index = _index_at(repo, commit_sha, path)
        headers = _headers(repo, commit_sha, path, sorted(set(index["weight_map"].values())))
        return JsonResponse({"index": {"metadata": index.get("metadata")}, "headers": headers})


def _index_at(repo: Repo, commit_sha: str, path: str) -> dict[str, Any]:
    """The index: its `weight_map` gives the shard of each tensor. Raises `InvalidInput`."""
    content = open_content(repo, commit_sha, path)
    if content.size_bytes > MAX_CONFIG_BYTES:
        raise TooLarge(f"{path} is larger than {MAX_CONFIG_BYTES} bytes: too large for an index.")
    try:
        index = json.loads(content.read())
    except (ValueError, RecursionError):
        raise InvalidInput(f"{path} is not JSON.") from None
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise InvalidInput(f"{path} is no index: it has no “weight_map” from tensors to files.")
    return index


def _headers(
    repo: Repo, commit_sha: str, index_path: str, names: list[str]
) -> dict[str, dict[str, Any]]:
    if len(names) > MAX_WEIGHT_FILES:
        raise TooLarge(f"{index_path} names more than {MAX_WEIGHT_FILES} files.")
    paths = {normpath(join(dirname(index_path), name)): name for name in names}
    found = git_of(repo).entries(commit_sha, paths)
    missing = paths.keys() - {entry.path for entry in found if entry.kind == "file"}
    if missing:
        message = f"{index_path} names {paths[min(missing)][:200]}, which is not there."
        raise EntryNotFound(message, commit_sha=commit_sha)
    headers, size_bytes = {}, 0
    for entry in found:
        header = _header(repo, entry)
        size_bytes += header.header_size_bytes
        if size_bytes > MAX_ANSWER_BYTES:
            raise TooLarge("The headers are too large for one answer: read them file by file.")
        headers[paths[entry.path]] = _as_in_file(header)
    return headers


def _header(repo: Repo, entry: TreeEntry) -> SafetensorsHeader:
    try:
        return header_of(repo, entry, max_bytes=MAX_HEADER_BYTES)
    except FormatError as error:
        raise InvalidInput(f"{entry.path} is damaged. {error}") from error


def _as_in_file(header: SafetensorsHeader) -> dict[str, Any]:
    tensors = {
        tensor.name: {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": (tensor.start, tensor.end),
        }
        for tensor in header.tensors
    }
    metadata = {"__metadata__": dict(header.metadata)} if header.metadata else {}
    return {**metadata, **tensors}
