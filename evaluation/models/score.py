"""Scores and what leaderboards show of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from evaluation.models.benchmark import BenchmarkVersion
from evaluation.models.run import Run
from evaluation.models.system import System
from hub.auth import Actor
from hub.models import Repo


class Direction(models.TextChoices):
    HIGHER = "higher", _("higher is better")
    LOWER = "lower", _("lower is better")


class Score(models.Model):
    """One metric of one finished run, with its uncertainty."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="scores")
    metric = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField()
    """0 is the benchmark's main metric."""
    value = models.FloatField(null=True)
    """None where it could not be measured, never 0 instead."""
    direction = models.CharField(max_length=6, choices=Direction, default=Direction.HIGHER)
    n = models.PositiveIntegerField()
    n_missing = models.PositiveIntegerField(default=0)
    se = models.FloatField(null=True)
    ci_low = models.FloatField(null=True)
    ci_high = models.FloatField(null=True)
    method = models.CharField(max_length=200, blank=True)
    public_value = models.FloatField(null=True, blank=True)
    """Over the public half of the items, where the benchmark has halves."""
    private_value = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "metric"], name="score_metric_unique")
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.value}"


class EntryQuerySet(models.QuerySet["LeaderboardEntry"]):
    def visible_to(self, actor: Actor) -> EntryQuerySet:
        """Entries whose model `actor` may read, and those of systems; the caller has checked the
        data set."""
        readable = models.Q(model_repo__in=actor.visible_repos())
        return self.filter(readable | models.Q(model_repo__isnull=True))


class LeaderboardEntry(models.Model):
    """The run that stands for a model on one leaderboard: that of its newest evaluated commit.

    A copy for fast boards, kept by `evaluation.actions.leaderboards`.
    """

    benchmark_version = models.ForeignKey(
        BenchmarkVersion, on_delete=models.CASCADE, related_name="entries"
    )
    model_repo = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.CASCADE, related_name="board_entries"
    )
    system = models.ForeignKey(
        System, null=True, blank=True, on_delete=models.CASCADE, related_name="board_entries"
    )
    """Whose predictions these are, in place of a model: the newest file counts."""
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="board_entry")
    value = models.FloatField(null=True)
    ci_low = models.FloatField(null=True)
    ci_high = models.FloatField(null=True)

    objects = EntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "leaderboard entries"
        constraints = [
            models.UniqueConstraint(
                fields=["benchmark_version", "model_repo"], name="entry_model_unique"
            ),
            models.UniqueConstraint(
                fields=["benchmark_version", "system"], name="entry_system_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(model_repo__isnull=False, system__isnull=True)
                | models.Q(model_repo__isnull=True, system__isnull=False),
                name="entry_of_a_model_or_a_system",
            ),
        ]
        indexes = [models.Index(fields=["benchmark_version", "-value"], name="entry_board")]

    def __str__(self) -> str:
        return f"{self.name} on {self.benchmark_version}: {self.value}"

    @property
    def name(self) -> str:
        """The model, or the system behind the predictions."""
        named = self.system if self.system is not None else self.model_repo
        return named.full_name if named is not None else ""
