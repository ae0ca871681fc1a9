"""Logs of other evaluation programs that somebody has imported; what they say is only claimed."""

from __future__ import annotations

import uuid

from django.db import models

from evaluation.models.benchmark import Benchmark
from hub.auth import Actor
from hub.models import Repo, User


class ImportedLogQuerySet(models.QuerySet["ImportedLog"]):
    def visible_to(self, actor: Actor) -> ImportedLogQuerySet:
        """Logs whose model and data set `actor` may both read."""
        readable = actor.visible_repos()
        return self.filter(model_repo__in=readable, benchmark__dataset__in=readable)


class ImportedLog(models.Model):
    """One file, bound by its importer to a model commit and a benchmark. Its claims name it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model_repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="imported_logs")
    model_commit = models.CharField(max_length=40)
    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="imported_logs")
    importer = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="imported_logs"
    )
    program = models.CharField(max_length=20)
    program_version = models.CharField(max_length=200, blank=True)
    logged_model = models.CharField(max_length=200, blank=True)
    """What the log calls the model; its importer says that it is this one."""
    logged_task = models.CharField(max_length=200, blank=True)
    scores = models.JSONField(default=list)
    """`[{"metric", "logged_as", "value", "se", "n"}]`, by our names of metrics."""
    filename = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    """Where the file lies in the store, as it was sent."""
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ImportedLogQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model_repo", "model_commit", "benchmark", "sha256"],
                name="imported_log_unique",
            )
        ]
        indexes = [models.Index(fields=["model_repo", "-created_at"], name="imported_of_model")]

    def __str__(self) -> str:
        return f"{self.program} log of {self.model_repo} on {self.benchmark}"
