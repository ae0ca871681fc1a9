"""Who follows whom."""

from __future__ import annotations

from django.db import models

from hub.models.account import Namespace, User


class Follow(models.Model):
    """A user wants to hear of what a person or an organisation does."""

    follower = models.ForeignKey(User, on_delete=models.CASCADE, related_name="follows")
    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="followed_by")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["follower", "namespace"], name="follow_unique")
        ]

    def __str__(self) -> str:
        return f"{self.follower} → {self.namespace}"
