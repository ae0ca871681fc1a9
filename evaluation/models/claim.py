"""Results that models' own files claim; nothing here was measured by this site."""

from __future__ import annotations

from django.db import models

from evaluation.models.imported_log import ImportedLog
from hub.models import Repo


class Claim(models.Model):
    """One value that a model's branch, an open pull request or an imported log claims.

    The first two are copies of what git holds (`evaluation.actions.claims`); names are kept as they
    are written, since a data set may come, go and be renamed without the model's knowledge.
    """

    model_repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="claims")
    pull_request = models.PositiveIntegerField(null=True)
    """The number of the open pull request that claims it; None for the model's own claim."""
    imported = models.ForeignKey(
        ImportedLog, null=True, blank=True, on_delete=models.CASCADE, related_name="claims"
    )
    """The log it was taken from; None for what the model's own branch says."""
    filename = models.CharField(max_length=255)
    dataset_name = models.CharField(max_length=193)
    """`namespace/name` in small letters."""
    task_id = models.CharField(max_length=100, blank=True)
    """Of the benchmark; the card's `model-index` knows none."""
    config = models.CharField(max_length=100, blank=True)
    split = models.CharField(max_length=100, blank=True)
    metric = models.CharField(max_length=100, blank=True)
    """Empty for the benchmark's main one."""
    value = models.FloatField()
    source = models.JSONField(default=dict)
    """`url`, `name`, `user`, `org`, as far as given."""
    notes = models.CharField(max_length=1000, blank=True)
    claimed_at = models.CharField(max_length=40, blank=True)
    """A date as it is written."""

    class Meta:
        indexes = [models.Index(fields=["dataset_name"], name="claim_dataset")]

    def __str__(self) -> str:
        return f"{self.model_repo} claims {self.value} on {self.dataset_name}"
