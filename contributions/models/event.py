"""What happened in a discussion, in order."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from contributions.models.discussion import Discussion


class EventKind(models.TextChoices):
    COMMENT = "comment", _("Comment")
    STATUS_CHANGE = "status-change", _("Status change")
    TITLE_CHANGE = "title-change", _("Title change")
    COMMIT = "commit", _("Commit")


def new_public_id() -> str:
    return uuid.uuid4().hex


class Written(models.Model):
    """Markdown, and the HTML that was made of it: `html_of` says by which renderer, and where."""

    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    html_of = models.CharField(max_length=64, blank=True)

    class Meta:
        abstract = True


class DiscussionEvent(Written):
    """One event; the first of a discussion is the comment that opened it.

    `data` by kind: status-change `{"status"}`, title-change `{"from", "to"}`, commit `{"subject",
    "oid"}`; empty for a comment, whose `text` is what it says now, and empty once it is hidden.
    """

    discussion = models.ForeignKey(Discussion, on_delete=models.CASCADE, related_name="events")
    public_id = models.CharField(max_length=32, unique=True, default=new_public_id, editable=False)
    """Lower-case hex, as clients send it back."""
    kind = models.CharField(max_length=16, choices=EventKind)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    is_hidden = models.BooleanField(default=False)
    edited_at = models.DateTimeField(null=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["discussion", "id"], name="discussion_event_order")]

    def __str__(self) -> str:
        return f"{self.discussion} {self.kind}"

    @property
    def is_comment(self) -> bool:
        return self.kind == EventKind.COMMENT


class CommentVersion(Written):
    """What a comment said before an edit."""

    event = models.ForeignKey(DiscussionEvent, on_delete=models.CASCADE, related_name="versions")
    written_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.event} at {self.written_at:%F %T}"
