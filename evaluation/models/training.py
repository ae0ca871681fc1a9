"""What a run that trains leaves on its way: points of curves, checkpoints; and what it makes."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from evaluation.models.run import Run


class Series(models.TextChoices):
    TRAIN = "train", _("training")
    VALIDATION = "validation", _("validation")


class CurvePoint(models.Model):
    """One value at one step of the training."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="points")
    series = models.CharField(max_length=10, choices=Series)
    name = models.CharField(max_length=40)
    """`loss` or `learning_rate` of the training, a metric of the validation."""
    step = models.PositiveIntegerField()
    value = models.FloatField(null=True)

    class Meta:
        ordering = ["step"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "series", "name", "step"], name="curve_point_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.series} {self.name} at {self.step}: {self.value}"


class Checkpoint(models.Model):
    """A state of the training from which any worker can go on, as it lies in the store."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    name = models.CharField(max_length=80)
    """Of its folder, as the job called it."""
    folder = models.CharField(max_length=200)
    """Of the store."""
    files = models.JSONField()
    """`[{"path": …, "sha256": …, "size_bytes": …}]`, as they were when they were stored."""
    size_bytes = models.PositiveBigIntegerField()
    stored_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-step", "-pk"]
        constraints = [models.UniqueConstraint(fields=["folder"], name="checkpoint_folder_unique")]
        indexes = [models.Index(fields=["stored_at"], name="checkpoint_age")]

    def __str__(self) -> str:
        return f"step {self.step} of {self.run_id}"


class OutputState(models.TextChoices):
    WAITING = "waiting", _("waiting to be published")
    PUBLISHING = "publishing", _("being published")
    PUBLISHED = "published", _("published")
    REFUSED = "refused", _("not published")


class Output(models.Model):
    """The files that a run has made, and how far they are on their way into a repository."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="output")
    folder = models.CharField(max_length=200)
    """Of the store; emptied once the files are in a repository."""
    files = models.JSONField()
    """As in `Checkpoint`."""
    state = models.CharField(max_length=10, choices=OutputState, default=OutputState.WAITING)
    problem = models.TextField(blank=True)
    """Why it was refused, in English."""
    state_since = models.DateTimeField(default=timezone.now)
    tries = models.PositiveIntegerField(default=0)
    pull_number = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "state_since"], name="output_waiting")]

    def __str__(self) -> str:
        return f"{self.state} output of {self.run_id}"

    @property
    def size_bytes(self) -> int:
        return sum(file["size_bytes"] for file in self.files)
