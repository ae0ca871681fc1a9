"""C16: one commit, sent as a stream of lines, to a branch or as a new pull request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.actions.commits import commit_files, propose_files
from hub.actions.refs import branch_ref
from hub.hfapi.base import HubView
from hub.hfapi.bodies import input_of
from hub.hfapi.ndjson import CommitBody, Limits, reading_commit
from hub.models import User
from hub.site import git_of, repo_url


class Commit(HubView):
    def post(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        repo = self.repo_for_commit(revision)
        branch_ref(git_of(repo), revision)
        limits = Limits(settings.MAX_REGULAR_FILE_BYTES, settings.MAX_COMMIT_BYTES)
        with reading_commit(
            input_of(request), limits=limits, staging_dir=settings.STAGING_DIR
        ) as body:
            asked = _arguments(body, self.actor.require_user())
            if self.flag("create_pr"):
                result = propose_files(repo=repo, base=revision, **asked)
            else:
                result = commit_files(repo=repo, ref=revision, **asked)
        address, sha = repo_url(repo, request), result.commit_sha
        answer = {"success": True, "commitUrl": f"{address}/commit/{sha}", "commitOid": sha}
        if result.pull_number is not None:
            answer["pullRequestUrl"] = f"{address}/discussions/{result.pull_number}"
        return JsonResponse(answer)


def _arguments(body: CommitBody, user: User) -> dict[str, Any]:
    """What both actions are given. Any: keyword arguments."""
    return {
        "operations": body.changes,
        "message": body.message,
        "parent": body.parent,
        "acting_user": user,
    }
