"""Named systems of which this site knows answers alone: somebody hands in files of predictions."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower

from hub.models import Namespace, Repo


class System(models.Model):
    """What made the predictions: no repository need be behind it, and nobody here has run it."""

    namespace = models.ForeignKey(Namespace, on_delete=models.CASCADE, related_name="systems")
    name = models.CharField(max_length=96)
    model_link = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.SET_NULL, related_name="systems"
    )
    """The model repository that its maker says it is; shown to those who may read it."""
    is_baseline = models.BooleanField(default=False)
    """Its answers are worked out by this site, as an `eval.yaml` asks."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("namespace", Lower("name"), name="system_name_unique")
        ]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        return f"{self.namespace.name}/{self.name}"
