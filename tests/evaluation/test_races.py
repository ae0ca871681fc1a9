"""Races, with two connections to the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from evaluation.actions import leases, runs
from evaluation.errors import LeaseLost
from evaluation.models import Run, Score
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker, outcome
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Results or errors of `functions`, started together, each with a connection of its own."""
    results: list[Any] = [None] * len(functions)
    barrier = threading.Barrier(len(functions))

    def work(number: int, function: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = function()
        except Exception as error:  # noqa: BLE001  # the error is the result
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_two_workers_never_hold_one_run(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    queued = {make_run(benchmark, make_model(cast.owner), cast.owner).pk for _ in range(6)}
    workers = [make_worker() for _ in range(4)]

    def take_all(worker: Any) -> list[Any]:
        taken = []
        while (run := leases.claim_run(worker=worker)) is not None:
            taken.append(run.pk)
        return taken

    results = at_once(*(lambda worker=worker: take_all(worker) for worker in workers))
    taken = [pk for result in results for pk in result]
    assert sorted(taken) == sorted(queued)


def test_two_people_who_ask_at_once_start_one_run(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    results = at_once(
        *(
            lambda user=user: runs.start_run(
                model_repo=model,
                version=benchmark.current,  # type: ignore[arg-type]
                acting_user=user,
            )
            for user in (cast.owner, cast.stranger, cast.member)
        )
    )
    assert {result.run.pk for result in results} == {Run.objects.get().pk}
    assert sum(result.is_new for result in results) == 1


def test_finish_and_reaper_at_once_have_one_winner(cast: Cast) -> None:
    from datetime import timedelta

    from django.utils import timezone

    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.start_job(run=held)
    later = timezone.now() + timedelta(hours=1)
    finished, taken = at_once(
        lambda: leases.finish_run(run=held, outcome=outcome()),
        lambda: leases.requeue_expired_runs(now=later),
    )
    run = Run.objects.get()
    if run.state == "finished":
        assert (finished, taken, Score.objects.count()) == (None, 0, 1)
    else:
        assert isinstance(finished, LeaseLost)
        assert (run.state, taken, Score.objects.count()) == ("queued", 1, 0)


def test_cancel_and_claim_at_once_lose_nothing(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    worker = make_worker()
    at_once(
        lambda: runs.cancel_run(run=run, acting_user=cast.owner),
        lambda: leases.claim_run(worker=worker),
    )
    run = Run.objects.get()
    assert (run.state == "cancelled") != (run.state == "preparing" and run.is_cancel_requested)


def test_keeper_renews_reports_and_learns_of_a_cancellation(cast: Cast) -> None:
    from evaluation.actions.leases import Progress
    from evaluation.errors import RunCancelled
    from evaluation.worker.lease import LeaseKeeper
    from tests.support.live_site import wait_for

    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    Run.objects.update(heartbeat_at=None)
    with LeaseKeeper(held) as keeper:
        keeper.report(Progress(phase="running", items_done=3, items_total=9))
        wait_for(lambda: Run.objects.get().items_done == 3, what="the news", timeout_s=10)
        assert Run.objects.get().heartbeat_at is not None
        assert not keeper.should_stop()
        runs.cancel_run(run=held, acting_user=cast.owner)
        wait_for(keeper.should_stop, what="the cancellation", timeout_s=3)
        with pytest.raises(RunCancelled):
            keeper.raise_if_stopped()


def test_keeper_gives_up_a_run_that_was_taken(cast: Cast) -> None:
    from evaluation.worker.lease import LeaseKeeper
    from tests.support.live_site import wait_for

    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    with LeaseKeeper(held) as keeper:
        Run.objects.update(lease_token="another")
        wait_for(keeper.should_stop, what="the loss", timeout_s=3)
        with pytest.raises(LeaseLost):
            keeper.raise_if_stopped()
