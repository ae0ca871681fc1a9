"""Machines that ask to act for a user who confirms it in a browser (RFC 8628)."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from hub.models.account import User
from hub.models.token import AccessToken, TokenScope


class DeviceState(models.TextChoices):
    WAITING = "waiting"
    ALLOWED = "allowed"
    DENIED = "denied"


class DeviceRequest(models.Model):
    """A machine that waits for an answer. Gone once its tokens are fetched, or a day after its end.

    The machine knows the device code, of which only the SHA-256 is kept; the user types the other.
    """

    device_digest = models.CharField(max_length=64, unique=True, editable=False)
    user_code = models.CharField(max_length=8, unique=True)
    client_id = models.CharField(max_length=100)
    agent = models.CharField(max_length=300, blank=True)
    """What the client says it is; anybody may say anything."""
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    polled_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=DeviceState, default=DeviceState.WAITING)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    """Who answered."""
    scope = models.CharField(max_length=16, choices=TokenScope, blank=True)
    token_name = models.CharField(max_length=80, blank=True)

    def __str__(self) -> str:
        return f"{self.client_id} from {self.address}: {self.state}"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class DeviceLogin(models.Model):
    """The machine of a user that was allowed: its access tokens follow one another.

    Deleting it ends them all.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="device_logins")
    client_id = models.CharField(max_length=100)
    agent = models.CharField(max_length=300, blank=True)
    address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.user} from {self.address}"


class DeviceToken(models.Model):
    """That an access token belongs to a machine, and how the machine gets the next one.

    A refresh token works once. Used rows outlive their access token, so that a second use is
    noticed.
    """

    login = models.ForeignKey(DeviceLogin, on_delete=models.CASCADE, related_name="tokens")
    access_token = models.OneToOneField(
        AccessToken, null=True, on_delete=models.CASCADE, related_name="device"
    )
    refresh_digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.login} at {self.created_at:%F %T}"
