"""What the operator is told before a user has to write."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class IncidentKind(models.TextChoices):
    QUEUE_OLD = "queue_old", _("runs wait too long")
    STALLED = "stalled", _("runs wait beside idle workers")
    NO_WORKER = "no_worker", _("no worker for runs that wait")
    WORKER_LOST = "worker_lost", _("worker lost")
    SYSTEM_ERRORS = "system_errors", _("runs fail by our fault")
    DISK_LOW = "disk_low", _("disk nearly full")


class Incident(models.Model):
    """A state of affairs from its begin to its end; one row however often it is seen."""

    kind = models.CharField(max_length=16, choices=IncidentKind)
    subject = models.CharField(max_length=150)
    """The pool, worker or place that it is about."""
    text = models.TextField()
    """In English, as last seen; goes into the e-mail."""
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    """When the e-mail went out; None: not yet, or it was over before."""
    resolution_told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(resolved_at__isnull=True),
                name="incident_open_unique",
            )
        ]
        indexes = [models.Index(fields=["-opened_at"], name="incident_newest")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None
