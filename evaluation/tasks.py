"""Doorbells. Each carries ids, calls the action of its name, and does no harm when rung twice.

Actions are imported when a task runs: the web process rings these tasks, and must not load what
only workers need.
"""

from __future__ import annotations

from contextlib import suppress

from celery import shared_task


@shared_task(ignore_result=True)
def execute_run(run_id: str) -> None:
    """Somebody waits: takes the next run by fair share, which need not be `run_id`."""
    from evaluation.worker.execution import execute_next_run

    execute_next_run()


@shared_task(ignore_result=True)
def refresh_benchmarks(repo_id: int) -> None:
    """The default branch of a repository moved."""
    from evaluation.actions import benchmarks
    from hub.models import Repo, RepoType

    dataset = Repo.objects.filter(pk=repo_id, repo_type=RepoType.DATASET).first()
    if dataset is not None:
        benchmarks.refresh_benchmarks(dataset=dataset)


@shared_task(ignore_result=True)
def refresh_claims(repo_id: int) -> None:
    """The default branch of a repository moved, or a pull request of it changed."""
    from evaluation.actions import claims
    from hub.models import Repo, RepoType

    model = Repo.objects.filter(pk=repo_id, repo_type=RepoType.MODEL).first()
    if model is not None:
        claims.refresh_claims(model=model)


@shared_task(ignore_result=True)
def publish_output(run_id: str) -> None:
    """A run has made files that wait to be published."""
    from evaluation.actions import publishing
    from evaluation.errors import NothingToPublish
    from evaluation.models import Run

    run = Run.objects.with_names().filter(pk=run_id).first()
    if run is not None:
        with suppress(NothingToPublish):
            publishing.publish_output(run=run)


@shared_task(ignore_result=True)
def compare_runs(run_ids: list[str], metric: str) -> None:
    """Somebody waits on the page of a comparison that takes long."""
    from evaluation import slow_comparisons

    slow_comparisons.compare_runs(run_ids=run_ids, metric=metric)


@shared_task(ignore_result=True)
def sweep_runs() -> None:
    """Takes runs back from lost workers and rings for work whose doorbell was lost."""
    from evaluation.actions.leases import requeue_expired_runs
    from evaluation.actions.publishing import sweep_outputs
    from evaluation.actions.sweep import ring_idle_workers
    from evaluation.actions.training import sweep_checkpoints

    requeue_expired_runs()
    ring_idle_workers()
    sweep_outputs()
    sweep_checkpoints()


@shared_task(ignore_result=True)
def watch_queue() -> None:
    """Looks for what an operator should know, and tells them."""
    from evaluation.actions.incidents import watch

    watch()


@shared_task(ignore_result=True)
def sweep_benchmarks() -> None:
    """Reads the `eval.yaml` of data sets whose news was lost."""
    from evaluation.actions.sweep import refresh_stale_benchmarks

    refresh_stale_benchmarks()
