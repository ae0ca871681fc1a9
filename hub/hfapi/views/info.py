"""C9, C10: one repository, at its head or at a revision."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.hfapi.base import HubView
from hub.hfapi.repo_info import RepoView, describe_repo, info_fields
from hub.site import git_of


class RepoInfo(HubView):
    def get(
        self, request: HttpRequest, repo_type: str, revision: str = "", **ids: str
    ) -> HttpResponse:
        repo = self.repo_for_read()
        wanted = info_fields(repo_type, request.GET)
        commit_sha = git_of(repo).resolve(revision) if revision else repo.head_sha
        view = RepoView(repo, commit_sha, sized=self.flag("blobs"), actor=self.actor)
        return JsonResponse(describe_repo(view, wanted))
