"""Reads used in more than one place: the queue, boards, lists of runs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.utils import timezone

from evaluation.clock import shared_now
from evaluation.metrics import info_of
from evaluation.models import (
    HELD,
    BenchmarkVersion,
    Checkpoint,
    ErrorFamily,
    LeaderboardEntry,
    Run,
    RunState,
    Score,
    Share,
    Worker,
)
from evaluation.queueing import USAGE_WINDOW_S, Busy, Waiting, forecast, order
from evaluation.ranking import Contender, Placed, place
from hub.auth import Actor
from hub.models import Membership, User
from hub.other_stored import OtherStored

MAX_QUEUE_READ = 5000
RATE_SAMPLES = 15
LIMIT_WINDOW = timedelta(days=1)
"""Over which the runs that somebody starts are counted."""
Durations = dict[tuple[str, int | None], float | None]
"""What runs usually take, by kind and benchmark version, as far as it was asked for already."""
_LENGTH = ExpressionWrapper(F("finished_at") - F("claimed_at"), output_field=DurationField())
_NOT_ON_BOARDS = [
    *(f"run__{name}" for name in ("record", "spec", "confusion", "error_details")),
    *(f"model_repo__{name}" for name in ("card_data", "config", "tags", "safetensors")),
]
_NOT_THEIRS = Q(error_family__in=(ErrorFamily.SYSTEM, ErrorFamily.CANCELLED))


def next_run_ids(pools: list[str]) -> Iterator[uuid.UUID]:
    """Queued runs that a worker of these pools may take now, in fair order."""
    waiting = _waiting(pools, until=shared_now())
    turns = order(
        waiting,
        running=_running_by_owner(),
        used_s=used_s_by_owner(),
        weights=weights_by_owner(),
    )
    return (run.key for run in turns)


def weights_by_owner() -> dict[int | None, float]:
    """Of users who do not count as 1: by a share of their own, else the greatest of those of
    their organisations."""
    members = Membership.objects.filter(organization__namespace__share__isnull=False)
    weights: dict[int | None, float] = {}
    for user_id, weight in members.values_list("user_id", "organization__namespace__share__weight"):
        weights[user_id] = max(weight, weights.get(user_id, 0.0))
    own = Share.objects.filter(namespace__user__isnull=False)
    return weights | dict(own.values_list("namespace__user_id", "weight"))


def used_s_by_owner() -> dict[int | None, float]:
    """Worker seconds used by each owner within the last hour; time lost by our fault is not."""
    since = timezone.now() - timedelta(seconds=USAGE_WINDOW_S)
    rows = (
        Run.objects.filter(finished_at__gt=since, claimed_at__isnull=False)
        .exclude(_NOT_THEIRS)
        .values_list("owner_id")
        .annotate(used=Sum(_LENGTH))
    )
    return {owner: used.total_seconds() for owner, used in rows if used is not None}


def runs_counted_against(user: User) -> QuerySet[Run]:
    """Runs within `LIMIT_WINDOW` that count against the user's limit, the newest first."""
    runs = Run.objects.filter(owner=user, queued_at__gt=timezone.now() - LIMIT_WINDOW)
    return counted(runs).order_by("-queued_at")


def counted(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Those that count against limits: no dry runs, none cancelled or lost by our fault."""
    own_fault = runs.exclude(_NOT_THEIRS & Q(state__in=(RunState.FAILED, RunState.CANCELLED)))
    return own_fault.filter(is_dry_run=False)


@dataclass(frozen=True)
class QueueInsight:
    """Why a run waits and for how long; `reason` names the words in `evaluation.messages`."""

    reason: str
    position: int
    starts_at: datetime | None
    own_running: int = 0
    pool: str = ""

    @property
    def starts_in_s(self) -> float | None:
        if self.starts_at is None:
            return None
        return max(0.0, (self.starts_at - timezone.now()).total_seconds())


def queue_insight(run: Run) -> QueueInsight | None:
    """Reason, position and expected start of a queued run; None once it no longer waits."""
    if run.state != RunState.QUEUED:
        return None
    now = timezone.now()
    slots = slots_of(run.pool)
    found = forecast(
        run.pk,
        _waiting([run.pool], until=now, also=run),
        _busy(run.pool, now),
        slots=slots,
        used_s=used_s_by_owner(),
        weights=weights_by_owner(),
    )
    if found is None:
        return None
    own = Run.objects.filter(owner_id=run.owner_id, state__in=HELD).count()
    starts_at = None
    if found.starts_in_s is not None:
        starts_at = max(now + timedelta(seconds=found.starts_in_s), run.not_before)
    reason = _reason(run, now, slots, found.ahead)
    return QueueInsight(reason, found.ahead + 1, starts_at, own, run.pool)


def slots_of(pool: str) -> int:
    """How many runs the workers of a pool that take any execute at once."""
    workers = Worker.objects.accepting().values_list("pools", "slots")
    return sum(slots for pools, slots in workers if pool in pools)


def idle_slots(pool: str) -> int:
    """Slots of workers of the pool that hold no run and may take one."""
    held = Count("runs", filter=Q(runs__state__in=HELD))
    workers = Worker.objects.accepting().annotate(held=held)
    return sum(max(0, worker.slots - worker.held) for worker in workers if pool in worker.pools)


def waiting_by_pool() -> dict[str, list[uuid.UUID]]:
    """Runs that a worker may take now, the oldest first, as many as there are idle slots."""
    waiting = Run.objects.filter(state=RunState.QUEUED, not_before__lte=timezone.now())
    pools = waiting.order_by("pool").values_list("pool", flat=True).distinct()
    return {
        pool: list(
            waiting.filter(pool=pool)
            .order_by("queued_at")
            .values_list("pk", flat=True)[: idle_slots(pool)]
        )
        for pool in pools
    }


def typical_duration_s(
    kind: str, version_id: int | None, *, known: Durations | None = None
) -> float | None:
    """Median of the last finished runs of a kind on a benchmark version, else of the kind; None
    without any."""
    known = {} if known is None else known
    wanted = (kind, version_id)
    if wanted not in known:
        finished = Run.objects.filter(kind=kind, state=RunState.FINISHED, claimed_at__isnull=False)
        own = _median_s(finished.filter(benchmark_version_id=version_id)) if version_id else None
        known[wanted] = own if own is not None else _median_s(finished)
    return known[wanted]


@dataclass(frozen=True)
class Standing:
    """Where one model stands: what ranking and plots need of all rows, however many there are."""

    entry_id: int
    run_id: uuid.UUID
    model: str
    value: float | None
    low: float | None
    high: float | None
    finished_at: datetime | None
    placed: Placed[int]


@dataclass(frozen=True)
class BoardRow:
    """A line of a leaderboard. `scores` is by metric; baselines have no entry."""

    entry: LeaderboardEntry
    placed: Placed[int]
    scores: dict[str, Score]
    main_metric: str

    @property
    def main(self) -> Score | None:
        return self.scores.get(self.main_metric)

    @property
    def kind(self) -> str:
        """What stands behind the row: `verified` where this site ran the model, `predictions` that
        somebody handed in, or a `baseline` that was worked out here."""
        system = self.entry.system
        if system is None:
            return "verified"
        return "baseline" if system.is_baseline else "predictions"

    @property
    def gap_text(self) -> str:
        return "–" if self.gap is None else f"{self.gap:+.3f}".replace("-", "−")

    @property
    def gap(self) -> float | None:
        """The main metric on the public half minus that on the private half."""
        main = self.main
        if main is None or main.public_value is None or main.private_value is None:
            return None
        return main.public_value - main.private_value


def standings(actor: Actor, version: BenchmarkVersion) -> list[Standing]:
    """The board in order as `actor` sees it: models they may not read are neither there nor in
    ranks."""
    values = version.entries.visible_to(actor).values_list(
        "pk",
        "run_id",
        "model_repo__namespace__name",
        "model_repo__name",
        "system__namespace__name",
        "system__name",
        "value",
        "ci_low",
        "ci_high",
        "run__finished_at",
    )
    found = {row[0]: row for row in values}
    contenders = [
        Contender(pk, _full_name(*names).lower(), value, low, high)
        for pk, _, *names, value, low, high, _ in found.values()
    ]
    direction = info_of(version.main_metric).direction
    ranked = []
    for spot in place(contenders, direction=direction):
        pk, run_id, *names, value, low, high, when = found[spot.key]
        ranked.append(Standing(pk, run_id, _full_name(*names), value, low, high, when, spot))
    return ranked


def _full_name(space: str | None, name: str | None, of_space: str, of_system: str) -> str:
    """Of a model where there is one, else of a system."""
    return f"{of_space}/{of_system}" if name is None else f"{space}/{name}"


def board_rows(version: BenchmarkVersion, wanted: Iterable[Standing]) -> list[BoardRow]:
    """All that is shown of these standings, in their order."""
    wanted = list(wanted)
    entries = (
        LeaderboardEntry.objects.select_related(
            "model_repo__namespace",
            "system__namespace",
            "system__model_link__namespace",
            "run__owner",
            "run__worker",
        )
        .defer(*_NOT_ON_BOARDS)
        .in_bulk([standing.entry_id for standing in wanted])
    )
    scores: dict[uuid.UUID, dict[str, Score]] = defaultdict(dict)
    for score in Score.objects.filter(run__in=[entry.run_id for entry in entries.values()]):
        scores[score.run_id][score.metric] = score
    return [
        BoardRow(entry, standing.placed, scores[entry.run_id], version.main_metric)
        for standing in wanted
        if (entry := entries.get(standing.entry_id)) is not None
    ]


def leaderboard(actor: Actor, version: BenchmarkVersion) -> list[BoardRow]:
    """The whole board as `actor` sees it."""
    return board_rows(version, standings(actor, version))


def _reason(run: Run, now: datetime, slots: int, ahead: int) -> str:
    if run.not_before > now:
        return "back_off"
    if slots == 0:
        return _reason_without_worker(run.pool)
    if ahead == 0 and idle_slots(run.pool) > 0:
        return "starting"
    return "behind_others" if ahead else "all_busy"


def _reason_without_worker(pool: str) -> str:
    others = Worker.objects.alive().values_list("pools", "draining_at")
    if any(pool in pools for pools, _ in others):
        return "draining"
    return "no_worker_of_pool" if others else "no_worker"


def _waiting(
    pools: list[str], *, until: datetime, also: Run | None = None
) -> list[Waiting[uuid.UUID]]:
    """Queued runs that may start by `until`, and `also` even where it may not yet."""
    rows = Run.objects.filter(state=RunState.QUEUED, pool__in=pools).filter(
        Q(not_before__lte=until) | Q(pk=also.pk if also else None)
    )
    values = rows.order_by("queued_at").values_list(
        "pk", "owner_id", "queued_at", "estimate_s", "kind", "benchmark_version_id", "priority"
    )[:MAX_QUEUE_READ]
    known: Durations = {}
    wants_time = also is not None
    return [
        Waiting(
            pk,
            owner,
            queued_at,
            promised
            if promised is not None or not wants_time
            else typical_duration_s(kind, version, known=known),
            priority,
        )
        for pk, owner, queued_at, promised, kind, version, priority in values
    ]


def _running_by_owner() -> dict[int | None, int]:
    rows = Run.objects.filter(state__in=HELD).values_list("owner_id").annotate(n=Count("pk"))
    return dict(rows)


def _busy(pool: str, now: datetime) -> list[Busy]:
    known: Durations = {}
    held = Run.objects.filter(state__in=HELD, pool=pool)
    return [Busy(run.owner_id, _remaining_s(run, now, known)) for run in held]


def _remaining_s(run: Run, now: datetime, known: Durations) -> float | None:
    """By the run's own rate where it has one, else by what such runs usually take."""
    if run.items_per_s and run.items_total:
        return max(0.0, (run.items_total - run.items_done) / run.items_per_s)
    typical = run.estimate_s
    if typical is None:
        typical = typical_duration_s(run.kind, run.benchmark_version_id, known=known)
    if typical is None or run.claimed_at is None:
        return None
    return max(1.0, typical - (now - run.claimed_at).total_seconds())


def _median_s(finished: QuerySet[Run]) -> float | None:
    lengths = finished.annotate(length=_LENGTH).order_by("-finished_at")
    sample = list(lengths.values_list("length", flat=True)[:RATE_SAMPLES])
    return median(length.total_seconds() for length in sample) if sample else None


def answers_stored() -> OtherStored:
    """The answers of runs, item by item."""
    found = Run.objects.aggregate(
        n=Count("predictions_size_bytes"), size=Sum("predictions_size_bytes")
    )
    return OtherStored("Answers of runs", found["n"], found["size"] or 0)


def checkpoints_stored() -> OtherStored:
    """What trainings have kept to go on from."""
    found = Checkpoint.objects.aggregate(n=Count("pk"), size=Sum("size_bytes"))
    return OtherStored("Checkpoints of trainings", found["n"], found["size"] or 0)
