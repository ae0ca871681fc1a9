"""Which run stands for a model or system on a leaderboard: that of its newest commit or file."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from evaluation.models import BenchmarkVersion, LeaderboardEntry, Run, RunState, Score


def place_run(*, run: Run) -> LeaderboardEntry | None:
    """Puts a finished `run` on its board, unless a newer commit of the model stands there.

    Part of the caller's transaction. A dry run goes on no board, nor a run of a commit outside the
    default branch, such as that of an open pull request, nor one that measures no benchmark, nor
    one on a private base of somebody else's, of which the board would tell, nor one that measures
    an earlier run again: who tries often enough would choose their luck.
    """
    if run.benchmark_version is None or run.is_dry_run or run.replay_of_id is not None:
        return None
    base = run.base_repo
    if base is not None and base.is_private and base.namespace_id != run.model.namespace_id:
        return None
    if run.system is None and run.model_height is None:
        return None
    whose: dict[str, Any] = {"model_repo": run.model_repo, "system": run.system}
    entry = (
        LeaderboardEntry.objects.select_for_update()
        .select_related("run")
        .filter(benchmark_version=run.benchmark_version, **whose)
        .first()
    )
    if entry is not None and not _stands_before(run, entry.run):
        return entry
    main = Score.objects.filter(run=run, position=0).first()
    values = {
        "run": run,
        "value": main.value if main else None,
        "ci_low": main.ci_low if main else None,
        "ci_high": main.ci_high if main else None,
    }
    entry, _ = LeaderboardEntry.objects.update_or_create(
        benchmark_version=run.benchmark_version, **whose, defaults=values
    )
    return entry


def rebuild_board(*, version: BenchmarkVersion) -> int:
    """Makes the entries of a board anew from its finished runs; returns how many there are."""
    with transaction.atomic():
        version.entries.all().delete()
        runs = version.runs.filter(state=RunState.FINISHED)
        for run in runs.select_related("model_repo", "system").order_by("finished_at", "pk"):
            place_run(run=run)
        return version.entries.count()


def _stands_before(run: Run, other: Run) -> bool:
    """Whether `run` replaces `other`: the head of the branch always, else the longer history.

    History may have been rewritten, so that the head has fewer commits before it than what it
    replaced. Of a system's files the one handed in last stands.
    """
    if run.model_repo is None:
        return run.queued_at >= other.queued_at
    head = run.model_repo.head_sha
    if (run.model_commit == head) != (other.model_commit == head):
        return run.model_commit == head
    return (run.model_height or 0) >= (other.model_height or 0)
