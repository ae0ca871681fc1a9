"""Runs: work on a model. The row is the truth about a job; a task is only its doorbell."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from evaluation.models.benchmark import BenchmarkVersion
from evaluation.models.system import System
from evaluation.models.worker import Worker
from hub.auth import Actor
from hub.models import AccessToken, Namespace, Repo, User


class RunKind(models.TextChoices):
    EVALUATE = "evaluate", _("Evaluation")
    FINETUNE = "finetune", _("Fine-tuning")
    CONVERT = "convert", _("Conversion")
    PREDICTIONS = "predictions", _("Predictions")


MEASURING = (RunKind.EVALUATE, RunKind.PREDICTIONS)
"""Kinds that measure a benchmark; no other has one."""


class RunState(models.TextChoices):
    QUEUED = "queued", _("queued")
    PREPARING = "preparing", _("preparing")
    RUNNING = "running", _("running")
    FINISHED = "finished", _("finished")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.PREPARING, RunState.CANCELLED}),
    RunState.PREPARING: frozenset(
        {RunState.RUNNING, RunState.FAILED, RunState.CANCELLED, RunState.QUEUED}
    ),
    RunState.RUNNING: frozenset(
        {RunState.FINISHED, RunState.FAILED, RunState.CANCELLED, RunState.QUEUED}
    ),
    RunState.FINISHED: frozenset(),
    RunState.FAILED: frozenset({RunState.QUEUED}),
    RunState.CANCELLED: frozenset({RunState.QUEUED}),
}
"""Which state may follow which. Back to `queued`: a lost worker, an operator's second try, or a
training that goes on from its checkpoint."""

HELD = (RunState.PREPARING, RunState.RUNNING)
"""States in which a worker holds the run under a lease."""
ACTIVE = (RunState.QUEUED, *HELD)
CLOSED = (RunState.FINISHED, RunState.FAILED, RunState.CANCELLED)


def states_before(state: RunState) -> list[RunState]:
    """The states from which `state` may be entered."""
    return [origin for origin, targets in MOVES.items() if state in targets]


class ErrorFamily(models.TextChoices):
    USER = "user", _("needs a change by you")
    SYSTEM = "system", _("our fault")
    CANCELLED = "cancelled", _("cancelled")
    TIMEOUT = "timeout", _("out of time")


class Priority(models.IntegerChoices):
    """Among the runs of one owner; only `urgent`, which maintainers give, goes before others'."""

    LOW = -1, _("low")
    NORMAL = 0, _("normal")
    HIGH = 1, _("high")
    URGENT = 2, _("urgent")


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, actor: Actor) -> RunQuerySet:
        """Runs of which `actor` may read all that they read: model, data set, base; dry runs are
        their owner's alone."""
        readable = actor.visible_repos()
        own = Q(is_dry_run=False)
        if actor.user is not None:
            own |= Q(owner=actor.user)
        return self.filter(
            own,
            Q(dataset__isnull=True) | Q(dataset__in=readable),
            Q(model_repo__isnull=True) | Q(model_repo__in=readable),
            Q(base_repo__isnull=True) | Q(base_repo__in=readable),
        )

    def for_list(self) -> RunQuerySet:
        """Names and scores, without what only one run's own page shows."""
        return self.with_names().prefetch_related("scores").defer(*HEAVY_FIELDS)

    def with_names(self) -> RunQuerySet:
        """Joins all that a list or page of runs shows."""
        return self.select_related(
            "owner",
            "worker",
            "model_repo__namespace",
            "dataset__namespace",
            "system__namespace",
            "system__model_link__namespace",
            "base_repo__namespace",
            "benchmark_version__benchmark__dataset__namespace",
        )


_HEAVY = ["record", "spec", "confusion", "error_details"]
_HEAVY_OF_REPO = ["card_data", "config", "tags", "safetensors"]
HEAVY_FIELDS = [
    *_HEAVY,
    *(f"model_repo__{name}" for name in _HEAVY_OF_REPO),
    *(f"dataset__{name}" for name in _HEAVY_OF_REPO),
    *(f"base_repo__{name}" for name in _HEAVY_OF_REPO),
    *(f"benchmark_version__benchmark__dataset__{name}" for name in _HEAVY_OF_REPO),
]
"""JSON that no list shows, and that would be most of what a list reads."""


class Run(models.Model):
    """One execution, from request to record."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=RunKind, default=RunKind.EVALUATE)
    state = models.CharField(max_length=10, choices=RunState, default=RunState.QUEUED)
    owner = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="runs")
    model_repo = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.CASCADE, related_name="runs"
    )
    """The model that is worked on; predictions that were handed in have none."""
    model_commit = models.CharField(max_length=40, blank=True)
    system = models.ForeignKey(
        System, null=True, blank=True, on_delete=models.CASCADE, related_name="runs"
    )
    """Whose predictions these are, in place of a model."""
    submitter = models.ForeignKey(
        Namespace, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """The person or organisation against whose limits on the benchmark the run counts."""
    is_dry_run = models.BooleanField(default=False)
    """It ends before anything is scored, and counts against no limit."""
    model_height = models.PositiveIntegerField(null=True)
    """Commits up to `model_commit` on the default branch; None: it is not on that branch, and no
    leaderboard shows the run."""
    dataset = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.CASCADE, related_name="runs_on_data"
    )
    """The data set that the run reads; who may not read it sees nothing of the run."""
    base_repo = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.CASCADE, related_name="runs_on_base"
    )
    """The base of an adapter, at the commit that `spec` names; read as the model is."""
    benchmark_version = models.ForeignKey(
        BenchmarkVersion, null=True, blank=True, on_delete=models.CASCADE, related_name="runs"
    )
    """What an evaluation measures; no other kind has one."""
    spec = models.JSONField()
    """Frozen at the start, as `evaluation.spec` builds it."""

    pool = models.CharField(max_length=32, default="cpu")
    needs_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    """Memory that the job should need, by the size of its model; None where that is not known."""
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)
    attempt = models.PositiveIntegerField(default=0)
    queued_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(default=timezone.now)
    """No worker takes the run earlier: the back-off after a fault of ours."""
    worker = models.ForeignKey(
        Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    lease_token = models.CharField(max_length=32, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    access_token = models.ForeignKey(
        AccessToken, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """With which the worker reads model and data set while it holds the run."""
    is_cancel_requested = models.BooleanField(default=False)
    estimate_s = models.FloatField(null=True, blank=True)
    """How long it should hold a worker, where that was told at the start."""

    phase = models.CharField(max_length=24, blank=True)
    items_done = models.PositiveIntegerField(default=0)
    items_total = models.PositiveIntegerField(null=True, blank=True)
    items_per_s = models.FloatField(null=True, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    """When the job itself began, after fetching."""
    finished_at = models.DateTimeField(null=True, blank=True)

    error_family = models.CharField(max_length=10, choices=ErrorFamily, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    """In English, for logs and API; pages take their words from `evaluation.messages`."""
    error_details = models.JSONField(default=dict, blank=True)

    record = models.JSONField(null=True, blank=True)
    record_digest = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=128, blank=True)
    key_id = models.CharField(max_length=16, blank=True)
    """Of the key that signed; see `SigningKey`."""
    predictions_key = models.CharField(max_length=200, blank=True)
    predictions_sha256 = models.CharField(max_length=64, blank=True)
    predictions_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    confusion = models.JSONField(null=True, blank=True)
    """`{"labels": [...], "counts": [[...]]}`, rows are targets; None beyond 40 labels."""
    replay_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replays"
    )
    """The finished run that this one measures again, with the same commits and spec."""
    replay_verdict = models.CharField(max_length=12, blank=True)
    """`agree`, `differ` or `cannot_tell`; the record says how it came to that."""
    output_repo = models.ForeignKey(
        Repo, null=True, blank=True, on_delete=models.SET_NULL, related_name="made_by_runs"
    )
    """Where what the run made was committed."""
    output_commit = models.CharField(max_length=40, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "model_repo", "model_commit", "benchmark_version"],
                condition=Q(
                    state__in=("queued", "preparing", "running"),
                    is_dry_run=False,
                    replay_of__isnull=True,
                ),
                name="run_active_unique",
            ),
            models.UniqueConstraint(
                fields=["replay_of"],
                condition=Q(state__in=("queued", "preparing", "running")),
                name="run_active_replay_unique",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("preparing", "running")) | ~Q(lease_token=""),
                name="run_held_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=("evaluate", "predictions"),
                    benchmark_version__isnull=False,
                    dataset__isnull=False,
                )
                | (~Q(kind__in=("evaluate", "predictions")) & Q(benchmark_version__isnull=True)),
                name="run_evaluates_a_benchmark",
            ),
            models.CheckConstraint(
                condition=Q(kind="predictions", model_repo__isnull=True, system__isnull=False)
                | (~Q(kind="predictions") & Q(model_repo__isnull=False, system__isnull=True)),
                name="run_of_a_model_or_a_system",
            ),
            models.CheckConstraint(
                condition=~Q(state="finished") | ~Q(record_digest=""),
                name="run_finished_has_record",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "pool", "queued_at"], name="run_queue"),
            models.Index(fields=["state", "lease_expires_at"], name="run_expired_leases"),
            models.Index(fields=["owner", "-queued_at"], name="run_of_owner"),
            models.Index(fields=["model_repo", "-queued_at"], name="run_of_model"),
            models.Index(fields=["benchmark_version", "-queued_at"], name="run_of_version"),
            models.Index(fields=["-finished_at"], name="run_newest_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_closed(self) -> bool:
        return self.state in CLOSED

    @property
    def is_gated(self) -> bool:
        """Whether its error may quote what not everybody may read who sees the run."""
        return any(repo.gated for repo in self.read_repos)

    @property
    def read_repos(self) -> list[Repo]:
        """The repositories that the run reads: its model, data set and base, if it has them."""
        found = (self.model_repo, self.dataset, self.base_repo)
        return [repo for repo in found if repo is not None]

    @property
    def model(self) -> Repo:
        """The model of a run that works on one; predictions have none."""
        assert self.model_repo is not None
        return self.model_repo

    @property
    def name(self) -> str:
        """What is measured or worked on: the model, or the system behind the predictions."""
        if self.system is not None:
            return self.system.full_name
        return self.model.full_name

    @property
    def short_name(self) -> str:
        return self.system.name if self.system is not None else self.model.name

    @property
    def name_url(self) -> str:
        """Where the model is; empty for predictions."""
        return "" if self.model_repo is None else self.model_repo.url_path

    @property
    def subject(self) -> str:
        """What the model met: the benchmark's name, else the data set's."""
        if self.benchmark_version is not None:
            return self.benchmark_version.benchmark.name
        return self.dataset.full_name if self.dataset else ""

    @property
    def url_path(self) -> str:
        return f"/runs/{self.id}"

    @property
    def percent(self) -> int | None:
        """Of the items, rounded down; None while their number is unknown."""
        if not self.items_total:
            return None
        return min(100, 100 * self.items_done // self.items_total)

    @property
    def duration_s(self) -> float | None:
        """From claim to end."""
        if self.claimed_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.claimed_at).total_seconds()
