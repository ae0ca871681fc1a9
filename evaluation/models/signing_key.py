"""Public keys with which this instance has signed."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SigningKey(models.Model):
    """One public key, kept when it signs its first record and for as long as there are records.

    The private half of today's is a setting (`INSTANCE_KEY`); a retired one has none any more.
    """

    key_id = models.CharField(max_length=16, primary_key=True)
    public_key = models.CharField(max_length=44)
    """32 bytes in base64."""
    first_used_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.key_id
