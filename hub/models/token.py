"""Access tokens: shown once, stored as a digest."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hub.models.account import User
from hub.models.repo import Repo


class TokenScope(models.TextChoices):
    READ = "read", _("Read")
    WRITE = "write", _("Write")
    FINE_GRAINED = "fine-grained", _("Chosen repositories")


class AccessToken(models.Model):
    """A token of a user. Only the SHA-256 of its text is kept; it has 256 random bits."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=16, choices=TokenScope)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False)
    is_internal = models.BooleanField(default=False)
    """Made by the platform for a worker; not listed among the user's own."""
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class TokenGrant(models.Model):
    """One repository that a fine-grained token reaches."""

    token = models.ForeignKey(AccessToken, on_delete=models.CASCADE, related_name="grants")
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="+")
    can_write = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "repo"], name="grant_unique")]

    def __str__(self) -> str:
        return f"{self.token}: {self.repo}"
