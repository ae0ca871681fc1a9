"""C16: one commit, sent as a stream of lines."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.actions.commits import commit_files
from hub.actions.refs import branch_ref
from hub.hfapi.base import HubView
from hub.hfapi.bodies import input_of
from hub.hfapi.ndjson import Limits, reading_commit
from hub.site import git_of, repo_url


class Commit(HubView):
    def post(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        self.refuse_pull_request()
        repo = self.repo_for_write()
        branch_ref(git_of(repo), revision)
        limits = Limits(settings.MAX_REGULAR_FILE_BYTES, settings.MAX_COMMIT_BYTES)
        with reading_commit(
            input_of(request), limits=limits, staging_dir=settings.STAGING_DIR
        ) as body:
            result = commit_files(
                repo=repo,
                ref=revision,
                operations=body.changes,
                message=body.message,
                parent=body.parent,
                acting_user=self.actor.require_user(),
            )
        sha = result.commit_sha
        address = f"{repo_url(repo, request)}/commit/{sha}"
        return JsonResponse({"success": True, "commitUrl": address, "commitOid": sha})
