"""Who likes which repository."""

from __future__ import annotations

from django.db import models

from hub.models.account import User
from hub.models.repo import Repo


class Like(models.Model):
    """One person's like; `Repo.likes` counts them."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="likes")
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="like_rows")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "repo"], name="like_unique")]
        indexes = [
            models.Index(fields=["user", "id"], name="likes_of_user"),
            models.Index(fields=["repo", "id"], name="likers_of_repo"),
            models.Index(fields=["created_at"], name="like_by_date"),
        ]

    def __str__(self) -> str:
        return f"{self.user} likes {self.repo}"
