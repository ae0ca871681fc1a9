"""S13 to S16: duplicates of repositories, and their large files: listed, copied, deleted."""

from __future__ import annotations

import hashlib
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.access import get_namespace_for_create, get_repo_for_write
from hub.actions.copies import duplicate_repo, link_contents
from hub.actions.large_files import delete_large_files
from hub.content import blob_link
from hub.errors import InvalidInput, RepoMoved, RepoNotFound, TooLarge
from hub.hfapi.base import HubView, is_true, text_of
from hub.hfapi.pagination import answer_in_pages
from hub.hfapi.serializers import date_text
from hub.hfapi.views.repos import conflict_with_url, full_id, privacy_in, refuse_machines
from hub.lfs.pointer import is_lfs_oid
from hub.models import Repo, RepoBlob, RepoType
from hub.site import base_url, git_of, repo_url

MAX_FILES = 1_000
NAMES_KEPT_S = 3600


class Duplicate(HubView):
    def post(self, request: HttpRequest, repo_type: str, **ids: str) -> HttpResponse:
        """A private repository stays private, unless the caller says otherwise."""
        source, user, body = self.repo_for_contents(), self.actor.require_user(), self.json_body()
        refuse_machines(body)
        owner, name = full_id(body, "repository")
        is_private = privacy_in(body)
        namespace = get_namespace_for_create(self.actor, owner)
        with conflict_with_url(base_url(request), repo_type, namespace, name):
            repo = duplicate_repo(
                source=source,
                namespace=namespace,
                name=name,
                is_private=source.is_private if is_private is None else is_private,
                acting_user=user,
            )
        return JsonResponse({"url": repo_url(repo, request), "filesCopyPending": False})


class LargeFiles(HubView):
    def get(self, request: HttpRequest, **ids: str) -> HttpResponse:
        """Every content the repository holds, also those that only history or nothing names."""
        repo = self.repo_for_write()
        named = _named_files(repo)

        def row(link: RepoBlob) -> dict[str, Any]:
            oid = link.blob.sha256
            path, ref = named.get(oid, (oid, None))
            return {
                "fileOid": oid,
                "oid": oid,
                "filename": path,
                "size": link.blob.size_bytes,
                "pushedAt": date_text(link.created_at),
                "ref": ref,
            }

        return answer_in_pages(request, repo.blob_links.select_related("blob"), row)


def _named_files(repo: Repo) -> dict[str, tuple[str, str | None]]:
    """A path, and a ref at whose head it is, by SHA-256 of each large file that history names.

    The walk through all of it serves all pages of the list, until a ref moves.
    """
    git = git_of(repo)
    refs = "\n".join(f"{name} {target}" for name, target in sorted(git.raw_refs().items()))
    state = hashlib.sha256(refs.encode()).hexdigest()

    def walk() -> dict[str, tuple[str, str | None]]:
        heads = git.refs_by_large_oid()
        return {oid: (path, heads.get(oid)) for oid, path in git.large_paths().items()}

    named = cache.get_or_set(f"large-files:{repo.pk}:{state}", walk, NAMES_KEPT_S)
    return named or {}


class DeleteLargeFiles(HubView):
    def post(self, request: HttpRequest, **ids: str) -> HttpResponse:
        repo = self.repo_for_admin()
        wanted = self.json_body().get("deletions")
        oids = wanted.get("sha") if isinstance(wanted, dict) else None
        if not isinstance(oids, list) or not all(is_lfs_oid(oid) for oid in oids):
            raise InvalidInput("“deletions.sha” must be a list of SHA-256 in lower-case hex.")
        if len(oids) > MAX_FILES:
            raise TooLarge(f"At most {MAX_FILES} files a call.")
        assert isinstance(wanted, dict)
        delete_large_files(
            repo=repo,
            oids=oids,
            rewrite_history=is_true(wanted.get("rewriteHistory", True)),
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({"success": True})


class CopyLargeFiles(HubView):
    def post(self, request: HttpRequest, **ids: str) -> HttpResponse:
        """Gives the repository in `target` the right to files of this one."""
        source, body = self.repo_for_contents(), self.json_body()
        files = body.get("files")
        if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
            raise InvalidInput("“files” must be a list of objects with “sha256”.")
        if len(files) > MAX_FILES:
            raise TooLarge(f"At most {MAX_FILES} files a call.")
        target = self._target(body.get("target"))
        faults = {str(file.get("sha256")): _fault(source, file) for file in files}
        link_contents(
            source=source, target=target, oids=[oid for oid, fault in faults.items() if not fault]
        )
        failed = [{"sha256": oid, "error": fault} for oid, fault in faults.items() if fault]
        return JsonResponse({"failed": failed})

    def _target(self, value: Any) -> Repo:
        if not isinstance(value, dict):
            raise InvalidInput("“target” must be an object with “type” and “name”.")
        repo_type = text_of(value, "type", default=RepoType.MODEL)
        if repo_type not in RepoType.values:
            raise InvalidInput(f"“type” must be one of {', '.join(RepoType.values)}.")
        try:
            return get_repo_for_write(self.actor, repo_type, *full_id(value, "name"))
        except RepoMoved as moved:
            raise RepoNotFound(f"It is now called {moved.details['new_id']}.") from None


def _fault(source: Repo, file: dict[str, Any]) -> str | None:
    """Why this file cannot be copied; None if it can."""
    oid = file.get("sha256")
    link = blob_link(source, str(oid)) if is_lfs_oid(oid) else None
    if link is None:
        return "The source has no such file."
    if link.blob.quarantined_at is not None:
        return "The file is damaged in the source; upload it again."
    known = link.xet_file.file_hash if link.xet_file else None
    if file.get("xetHash") and known and file["xetHash"] != known:
        return "The Xet hash is not that of this file."
    return None
