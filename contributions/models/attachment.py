"""Pictures, sounds and videos that comments show."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models

from contributions.models.event import DiscussionEvent

ID_CHARS = 32


def new_attachment_id() -> str:
    """128 random bits: whoever knows the address may see the file."""
    return secrets.token_hex(ID_CHARS // 2)


class Attachment(models.Model):
    """A file that somebody sent for a comment; its bytes lie in the store under a key of its own.

    Kept while a comment names it, and for a while after it was sent.
    """

    public_id = models.CharField(max_length=ID_CHARS, unique=True, default=new_attachment_id)
    ending = models.CharField(max_length=4)
    """Of `contributions.sniffing.KINDS`: what the bytes are."""
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    used_by = models.ManyToManyField(DiscussionEvent, related_name="attachments")
    """Comments that name it, now or before an edit."""
    created_at = models.DateTimeField(auto_now_add=True)
    condemned_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """Since when no comment names it: nobody is shown it, and it is deleted after a while."""

    def __str__(self) -> str:
        return f"{self.public_id}.{self.ending}"

    @property
    def url_path(self) -> str:
        return f"/uploads/{self}"

    @property
    def store_key(self) -> str:
        return f"attachments/{self.public_id}"
