"""The copy of git's refs."""

from __future__ import annotations

from django.db import models

from hub.models.repo import Repo


class Ref(models.Model):
    """Copy of a git ref, for lists; git is the truth."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="refs")
    name = models.CharField(max_length=255)
    """Full name, such as `refs/heads/main`."""
    commit_sha = models.CharField(max_length=40)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "name"], name="ref_unique")]

    def __str__(self) -> str:
        return f"{self.repo} {self.name}"
