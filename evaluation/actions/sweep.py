"""What was missed is done: rings that were lost with the broker, news that nobody heard."""

from __future__ import annotations

from django.db.models import F, Q

from evaluation import tasks
from evaluation.actions.benchmarks import OFFICIAL, refresh_benchmarks
from evaluation.pools import queue_of
from evaluation.queries import waiting_by_pool
from hub.doorbell import ring
from hub.models import Repo, RepoType

BATCH = 200


def ring_idle_workers() -> int:
    """Rings once for each idle slot while runs of its pool wait, so that rings do not pile up."""
    rung = 0
    for pool, run_ids in waiting_by_pool().items():
        for run_id in run_ids:
            ring(tasks.execute_run, str(run_id), queue=queue_of(pool))
        rung += len(run_ids)
    return rung


def refresh_stale_benchmarks() -> int:
    """Reads data sets again whose branch has moved since their `eval.yaml` was read, and those
    whose tags do not tell of their leaderboard.

    Data sets without such a file are not looked at here: their next push brings news again.
    """
    has_moved = Q(benchmark_file__isnull=False) & ~Q(benchmark_file__commit_sha=F("head_sha"))
    is_untold = Q(benchmarks__is_active=True) & ~Q(tag_rows__tag=OFFICIAL)
    found = Repo.objects.filter(has_moved | is_untold, repo_type=RepoType.DATASET)
    stale = list(found.distinct()[:BATCH])
    for dataset in stale:
        refresh_benchmarks(dataset=dataset)
    return len(stale)
