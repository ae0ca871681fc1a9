"""Measuring a finished run again, with the same commits and the same spec."""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction

from evaluation.actions.runs import Started, check_run_limit, note_run, ring_for
from evaluation.errors import NotFinished
from evaluation.models import ACTIVE, Run, RunKind, RunState
from evaluation.pools import Need, choose_pool
from hub.errors import InvalidInput
from hub.models import User
from hub.site import git_of


def start_replay(*, run: Run, acting_user: User) -> Started:
    """A queued run of exactly what `run` measured; the caller has checked access.

    It costs what a run costs. While one is under way, asking again gives that one, whoever asks.

    Raises:
        InvalidInput: it is no evaluation. NotFinished: it has no result.
        RevisionNotFound: the model no longer has the commit.
        RunLimitReached: the user has started as many as allowed within a day.
    """
    if run.kind != RunKind.EVALUATE or run.dataset is None or run.model_repo is None:
        raise InvalidInput("Only evaluations can be measured again.")
    if run.state != RunState.FINISHED or run.is_dry_run:
        raise NotFinished
    git_of(run.model_repo).resolve(run.model_commit)
    git_of(run.dataset).resolve(run.spec["dataset"]["commit"])
    if (active := _active_replay(run)) is not None:
        return Started(active, is_new=False)
    check_run_limit(acting_user)
    try:
        with transaction.atomic():
            again = Run.objects.create(
                kind=run.kind,
                model_repo=run.model_repo,
                model_commit=run.model_commit,
                model_height=run.model_height,
                benchmark_version=run.benchmark_version,
                dataset=run.dataset,
                base_repo=run.base_repo,
                owner=acting_user,
                spec=run.spec,
                pool=_pool_of(run),
                needs_bytes=run.needs_bytes,
                replay_of=run,
            )
            note_run("run.replayed", again, acting_user, of=str(run.pk))
            ring_for(again)
    except IntegrityError:
        active = _active_replay(run)
        if active is None:
            raise
        return Started(active, is_new=False)
    return Started(again, is_new=True)


def _pool_of(run: Run) -> str:
    """Where the first one waited; another that is large enough where that is no more."""
    if run.pool in settings.RUN_POOLS:
        return run.pool
    return choose_pool(Need(run.needs_bytes)).name


def _active_replay(run: Run) -> Run | None:
    return Run.objects.with_names().filter(replay_of=run, state__in=ACTIVE).first()
