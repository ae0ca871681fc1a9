"""Benchmarks: tasks that a data set repository declares in its `eval.yaml`."""

from __future__ import annotations

from django.db import models

from evaluation.task_types import title_of
from hub.auth import Actor
from hub.models import Repo


class BenchmarkFile(models.Model):
    """How the last reading of a data set's `eval.yaml` went."""

    dataset = models.OneToOneField(Repo, on_delete=models.CASCADE, related_name="benchmark_file")
    commit_sha = models.CharField(max_length=40)
    problems = models.JSONField(default=list)
    """`[{"where": "tasks[0].columns", "message": "…"}]`; empty where all is well."""
    read_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.dataset} eval.yaml at {self.commit_sha[:8]}"


class BenchmarkQuerySet(models.QuerySet["Benchmark"]):
    def visible_to(self, actor: Actor) -> BenchmarkQuerySet:
        """Benchmarks on data sets that `actor` may read."""
        return self.filter(dataset__in=actor.visible_repos())

    def active(self) -> BenchmarkQuerySet:
        """Those that the data set's current `eval.yaml` names."""
        return self.filter(is_active=True, current__isnull=False)


class Benchmark(models.Model):
    """One task of a data set, with a leaderboard."""

    dataset = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="benchmarks")
    task_id = models.CharField(max_length=64)
    name = models.CharField(max_length=150)
    description = models.TextField(blank=True)
    task_type = models.CharField(max_length=32)
    """A name in `ml_core.evaluate.tasks.TASKS`."""
    is_active = models.BooleanField(default=True)
    current = models.ForeignKey(
        "BenchmarkVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BenchmarkQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "task_id"], name="benchmark_task_unique")
        ]
        indexes = [models.Index(fields=["is_active", "task_type", "name"], name="benchmark_list")]

    def __str__(self) -> str:
        return self.name

    @property
    def full_id(self) -> str:
        """`namespace/name/task`, the id that the API takes."""
        return f"{self.dataset.full_name}/{self.task_id}"

    @property
    def url_path(self) -> str:
        return f"/benchmarks/{self.full_id}"

    @property
    def task_title(self) -> str:
        """The family in the reader's language."""
        return title_of(self.task_type)


class BenchmarkVersion(models.Model):
    """What is measured, frozen: a data set commit and a declarative spec.

    A commit that changes neither data nor spec makes no new version, so that mending a README
    does not empty a leaderboard.
    """

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    commit_sha = models.CharField(max_length=40)
    spec = models.JSONField()
    """As `ml_core.evalfile.TaskSpec.to_json` gives it."""
    spec_digest = models.CharField(max_length=64)
    data_digest = models.CharField(max_length=64)
    """SHA-256 over paths and contents of the data files and the configs in the card."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["benchmark", "number"], name="version_number_unique"),
            models.UniqueConstraint(
                fields=["benchmark", "spec_digest", "data_digest"], name="version_content_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.benchmark} v{self.number}"

    @property
    def main_metric(self) -> str:
        return str(self.spec["metrics"][0])

    @property
    def metrics(self) -> list[str]:
        return list(self.spec["metrics"])

    @property
    def chance(self) -> float | None:
        chance: float | None = self.spec.get("chance")
        return chance
