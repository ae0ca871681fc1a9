"""Processes that execute runs."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone

ALIVE_WITHIN = timedelta(seconds=45)
"""A worker that has not been heard of for longer is shown as gone."""


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> WorkerQuerySet:
        """Heard of recently and not stopping."""
        return self.filter(
            heartbeat_at__gt=timezone.now() - ALIVE_WITHIN,
            stopping_at__isnull=True,
            stopped_at__isnull=True,
        )

    def accepting(self) -> WorkerQuerySet:
        """Alive, and not told to take nothing new."""
        return self.alive().filter(draining_at__isnull=True)


class Worker(models.Model):
    """One worker process group, as it reported itself when it started."""

    name = models.CharField(max_length=150, unique=True)
    """Celery's node name, such as `evaluate@host`."""
    pools = models.JSONField(default=list)
    slots = models.PositiveIntegerField(default=1)
    """How many runs it executes at once."""
    device = models.CharField(max_length=80, blank=True)
    versions = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopping_at = models.DateTimeField(null=True, blank=True)
    """When it was told to stop: it takes nothing new, and what it holds goes back to the queue."""
    stopped_at = models.DateTimeField(null=True, blank=True)
    draining_at = models.DateTimeField(null=True, blank=True)
    """Since when it takes nothing new, by an operator's word; starting again ends it."""
    hands_back = models.BooleanField(default=False)
    """Whether a draining worker interrupts what it holds instead of finishing it."""
    disk_free_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    """Where its jobs and its cache are, at its last heartbeat."""

    objects = WorkerQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["-heartbeat_at"], name="worker_alive")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_alive(self) -> bool:
        return (
            self.stopping_at is None
            and self.stopped_at is None
            and self.heartbeat_at > timezone.now() - ALIVE_WITHIN
        )
