"""Addresses of discussions in the Hub API; they come before the hub's own, which end in a 501."""

from django.urls import URLPattern, path

import hub.hfapi.urls  # noqa: F401  (registers the converter of repository types)
from contributions.hfapi import views

_ALL = "api/<repotype:repo_type>/<name:namespace>/<name:name>/discussions"
_ONE = f"{_ALL}/<str:num>"
_COMMENT = f"{_ONE}/comment/<str:event_id>"

urlpatterns: list[URLPattern] = [
    path("uploads", views.Uploads.as_view(), name="hf_uploads"),
    path(_ALL, views.Discussions.as_view(), name="hf_discussions"),
    path(_ONE, views.DiscussionDetails.as_view(), name="hf_discussion"),
    path(f"{_ONE}/comment", views.Comments.as_view(), name="hf_discussion_comment"),
    path(f"{_ONE}/status", views.Status.as_view(), name="hf_discussion_status"),
    path(f"{_ONE}/title", views.Title.as_view(), name="hf_discussion_title"),
    path(f"{_ONE}/merge", views.Merge.as_view(), name="hf_discussion_merge"),
    path(f"{_COMMENT}/edit", views.CommentEdit.as_view(), name="hf_comment_edit"),
    path(f"{_COMMENT}/hide", views.CommentHide.as_view(), name="hf_comment_hide"),
]
