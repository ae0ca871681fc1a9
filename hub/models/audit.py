"""Who did what, for maintainers to look up later."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from hub.models.repo import Repo


class AuditEntry(models.Model):
    """Who did what, kept when the person or the repository is gone."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    verb = models.CharField(max_length=40)
    """noun.verb in the past, such as `repo.created`."""
    repo = models.ForeignKey(Repo, null=True, on_delete=models.SET_NULL, related_name="audit")
    target = models.CharField(max_length=255)
    details = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["-created_at"], name="audit_newest")]

    def __str__(self) -> str:
        return f"{self.created_at:%F %T} {self.verb} {self.target}"
