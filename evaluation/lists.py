"""Lists of benchmarks and runs, as API and pages show them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from evaluation.access import find_benchmark
from evaluation.errors import BenchmarkNotFound
from evaluation.models import Benchmark, BenchmarkVersion, Run
from hub.access import get_repo_for_read
from hub.auth import Actor
from hub.errors import InvalidInput


@dataclass(frozen=True)
class RunPage:
    runs: list[Run]
    next_cursor: str | None


def benchmark_list(
    actor: Actor, *, search: str = "", task_type: str = "", limit: int = 500
) -> list[Benchmark]:
    """Active benchmarks that `actor` may see, by name; `n_models` counts models they may see."""
    seen = Q(current__entries__model_repo__in=actor.visible_repos())
    seen |= Q(current__entries__system__is_baseline=False)
    found = (
        Benchmark.objects.active()
        .visible_to(actor)
        .select_related("current", "dataset__namespace")
        .annotate(n_models=Count("current__entries", filter=seen, distinct=True))
    )
    if task_type:
        found = found.filter(task_type=task_type)
    for word in search.split()[:8]:
        found = found.filter(
            Q(name__icontains=word)
            | Q(dataset__name__icontains=word)
            | Q(dataset__namespace__name__icontains=word)
            | Q(description__icontains=word)
        )
    return list(found.order_by("name", "pk")[:limit])


def run_page(
    actor: Actor,
    *,
    kind: str = "",
    model: str = "",
    benchmark: str = "",
    owner: str = "",
    state: str = "",
    limit: int = 50,
    cursor: str = "",
) -> RunPage:
    """Runs that `actor` may see, newest first.

    Raises:
        RepoNotFound, BenchmarkNotFound: a filter names what the caller may not see.
        InvalidInput: the cursor is none of ours.
    """
    runs = Run.objects.visible_to(actor).for_list()
    if kind:
        runs = runs.filter(kind=kind)
    if model:
        namespace, _, name = model.partition("/")
        runs = runs.filter(model_repo=get_repo_for_read(actor, "model", namespace, name))
    if benchmark:
        runs = runs.filter(benchmark_version__benchmark=find_benchmark(actor, benchmark))
    if owner:
        runs = runs.filter(owner__username__iexact=owner)
    if state:
        runs = runs.filter(state=state)
    if cursor:
        queued_at, run_id = _read_cursor(cursor)
        runs = runs.filter(Q(queued_at__lt=queued_at) | Q(queued_at=queued_at, pk__lt=run_id))
    page = list(runs.order_by("-queued_at", "-pk")[: limit + 1])
    more = len(page) > limit
    page = page[:limit]
    return RunPage(page, _cursor(page[-1]) if more else None)


def version_of(benchmark: Benchmark, number: Any) -> BenchmarkVersion:
    """The version of that number, the current one for None. Raises `BenchmarkNotFound`."""
    if number in (None, ""):
        assert benchmark.current is not None
        return benchmark.current
    if not str(number).isdigit() or len(str(number)) > 9:
        raise InvalidInput("A version is a whole number.")
    version = benchmark.versions.filter(number=int(number)).first()
    if version is None:
        raise BenchmarkNotFound("The benchmark has no such version.")
    return version


def _cursor(run: Run) -> str:
    return f"{run.queued_at.isoformat()}~{run.pk}"


def _read_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    when, _, run_id = cursor.partition("~")
    try:
        queued_at, ident = datetime.fromisoformat(when.replace(" ", "+")), uuid.UUID(run_id)
    except ValueError:
        raise InvalidInput("The cursor is not one that this list gave.") from None
    if queued_at.tzinfo is None:
        raise InvalidInput("The cursor is not one that this list gave.")
    return queued_at, ident
