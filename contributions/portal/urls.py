"""Addresses of the contribute page, and of each repository's discussions and pull requests."""

from django.urls import path

from contributions.portal import attachments, discussions, lists, pulls, views
from hub.portal.routes import repo_routes

_LIST = "/discussions"
_ONE = "/discussions/<int:num>"
_COMMENT = f"{_ONE}/comments/<slug:event_id>"

urlpatterns = [
    path("uploads/new", attachments.new_attachment, name="attachment_new"),
    path("uploads/<slug:public_id>.<slug:ending>", attachments.attachment, name="attachment"),
    path("contribute", views.contribute, name="contribute"),
    *repo_routes(_LIST, lists.discussions, "discussions"),
    *repo_routes(f"{_LIST}/new", lists.new_discussion, "discussion_new"),
    *repo_routes(f"{_LIST}/new-pull-request", lists.new_pull_request, "pull_request_new"),
    *repo_routes(f"{_LIST}/preview", lists.preview, "discussion_preview"),
    *repo_routes(_ONE, discussions.discussion, "discussion"),
    *repo_routes(f"{_ONE}/comment", discussions.comment, "discussion_comment"),
    *repo_routes(f"{_ONE}/status", discussions.status, "discussion_status"),
    *repo_routes(f"{_ONE}/title", discussions.title, "discussion_title"),
    *repo_routes(f"{_COMMENT}/edit", discussions.edit_comment, "discussion_edit_comment"),
    *repo_routes(f"{_COMMENT}/hide", discussions.hide_comment, "discussion_hide_comment"),
    *repo_routes(f"{_ONE}/commits", pulls.commits, "discussion_commits"),
    *repo_routes(f"{_ONE}/files", pulls.files, "discussion_files"),
    *repo_routes(f"{_ONE}/merge", pulls.merge, "discussion_merge"),
]
