"""Webhooks: where a user wants news sent, of what, and what was sent."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


def new_public_id() -> str:
    """24 hex digits, as ids of the protocol look."""
    return secrets.token_hex(12)


class DisabledReason(models.TextChoices):
    OWNER = "owner", _("You switched it off.")
    FAILING = "failing", _("Its receiver failed too often in a row.")
    SECRET = "secret", _("Its secret can no longer be read. Set it again.")


class Webhook(models.Model):
    """An address of one user that hears what happens to the things it watches.

    While `busy_until` lies ahead, one worker sends for it, so that news goes out in order.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks"
    )
    public_id = models.CharField(max_length=24, unique=True, default=new_public_id, editable=False)
    url = models.CharField(max_length=2000)
    """May hold a secret in its query: for the owner's eyes."""
    sealed_secret = models.TextField(blank=True, editable=False)
    """See `contributions.webhooks.secrets`; empty where there is none."""
    hears_repos = models.BooleanField(default=True)
    hears_discussions = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=8, choices=DisabledReason, blank=True)
    """Empty while it is in use."""
    disabled_at = models.DateTimeField(null=True)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    """Events given up since the last one that arrived."""
    busy_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(hears_repos=True) | Q(hears_discussions=True),
                name="webhook_hears_something",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_disabled(self) -> bool:
        return bool(self.disabled_reason)

    @property
    def domains(self) -> list[str]:
        """By the protocol's words."""
        heard = {"repo": self.hears_repos, "discussion": self.hears_discussions}
        return [domain for domain, is_heard in heard.items() if is_heard]


class WatchKind(models.TextChoices):
    """What can be watched, by the protocol's words; repositories by their type."""

    USER = "user", _("User")
    ORG = "org", _("Organisation")
    MODEL = "model", _("Model")
    DATASET = "dataset", _("Data set")
    SPACE = "space", _("Space")


class WebhookWatch(models.Model):
    """One thing that a webhook watches.

    `target_id` is the id of a namespace or repository, without a foreign key: the news of its
    deletion must find whom to tell. `name` is what the owner knows it by, which follows a rename
    only while they may read it.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="watched")
    kind = models.CharField(max_length=8, choices=WatchKind)
    target_id = models.BigIntegerField()
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "kind", "target_id"], name="webhook_watches_once"
            )
        ]
        indexes = [models.Index(fields=["target_id", "kind"], name="webhook_watch_of")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


class WebhookDelivery(models.Model):
    """One piece of news for one webhook, and how sending it went the last time.

    `facts` is what the rows will not say later: moved refs, an old name, a deleted repository.
    `payload` is made at the first try, when it is clear that the owner may read it; tries and
    replays send the same text. It is emptied when the comment in it is hidden.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    public_id = models.CharField(max_length=24, unique=True, default=new_public_id, editable=False)
    event_id = models.CharField(max_length=24, default=new_public_id, editable=False)
    """The same for all tries and replays: what a receiver recognises a repeat by."""
    is_by_hand = models.BooleanField(default=False)
    """A test or a replay that somebody asked for: tried once."""
    scope = models.CharField(max_length=24)
    action = models.CharField(max_length=8)
    repo_id = models.BigIntegerField(null=True)
    comment_id = models.CharField(max_length=32, blank=True)
    facts = models.JSONField(default=dict)
    payload = models.TextField(blank=True)
    state = models.CharField(max_length=9, choices=DeliveryState, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    """None once it is not tried any more."""
    attempted_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    """None where no answer came."""
    response = models.TextField(blank=True)
    """The first bytes of the answer."""
    error = models.CharField(max_length=12, blank=True)
    """Why the last try failed: a key of `contributions.webhooks.words`."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["webhook", "-created_at"], name="delivery_newest"),
            models.Index(fields=["created_at"], name="delivery_by_age"),
            models.Index(
                fields=["next_attempt_at"],
                name="delivery_waiting",
                condition=Q(state=DeliveryState.WAITING),
            ),
            models.Index(
                fields=["comment_id"], name="delivery_of_comment", condition=~Q(comment_id="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.action} ({self.public_id})"
