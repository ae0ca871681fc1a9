"""Who asked for the files of a gated repository, and what became of it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from hub.models.account import User
from hub.models.repo import Repo

MAX_REASON_CHARS = 200


class RequestStatus(models.TextChoices):
    PENDING = "pending", _("Waiting")
    ACCEPTED = "accepted", _("Accepted")
    REJECTED = "rejected", _("Rejected")


class AccessRequest(models.Model):
    """One person's standing at one gate; at most one row a person and repository.

    It stays when the gate is taken away or changed, and counts again when there is one.
    """

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="access_requests")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="access_requests")
    status = models.CharField(max_length=8, choices=RequestStatus)
    fields = models.JSONField(default=dict)
    """Answers to the form of the repository's card, by their labels."""
    shares_email = models.BooleanField(default=True)
    """False where a maintainer let somebody in who never asked."""
    reason = models.CharField(max_length=MAX_REASON_CHARS, blank=True)
    """Why it was rejected, for the person to read."""
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    """When somebody last decided, be it to put it back among those that wait; None until then."""
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """None also where the gate lets everybody in who asks."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "user"], name="access_request_unique")
        ]
        indexes = [models.Index(fields=["repo", "status", "id"], name="access_requests_of_repo")]

    def __str__(self) -> str:
        return f"{self.user} at {self.repo}: {self.status}"

    @property
    def public_id(self) -> str:
        """The id that Hub clients see."""
        return f"{self.pk:024x}"
