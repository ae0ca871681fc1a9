"""How a run ends when something on the worker goes wrong; the hub here is a closed door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluation.actions import runs
from evaluation.errors import JobFailed
from evaluation.models import Run
from evaluation.worker import evaluating
from evaluation.worker.execution import execute_next_run
from hub.models import AccessToken
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def cold(settings: Any) -> None:
    """No warm child, and a hub that nobody answers at."""
    settings.WARM_JOBS = False
    settings.HUB_URL = "http://127.0.0.1:9"


def queue_one(cast: Cast) -> Run:
    return make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)


def leftovers(settings: Any) -> list[Path]:
    jobs = settings.WORKER_DIR / "jobs"
    return list(jobs.iterdir()) if jobs.exists() else []


def test_hub_that_does_not_answer_is_our_fault_and_tried_again(cast: Cast, settings: Any) -> None:
    run = queue_one(cast)
    assert execute_next_run(worker=make_worker()) == run
    run.refresh_from_db()
    assert (run.state, run.error_family, run.error_code) == ("queued", "system", "hub_unreachable")
    assert leftovers(settings) == []
    assert not AccessToken.objects.exists()


def test_nothing_waits_nothing_is_done() -> None:
    assert execute_next_run(worker=make_worker()) is None


def test_stopping_worker_takes_nothing(cast: Cast) -> None:
    from evaluation.actions.workers import announce_stop

    run, worker = queue_one(cast), make_worker()
    announce_stop(name=worker.name)
    worker.refresh_from_db()
    assert execute_next_run(worker=worker) is None
    run.refresh_from_db()
    assert run.state == "queued"


def test_users_error_ends_the_run_with_its_words(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue_one(cast)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise JobFailed("user", "remote_code", "It needs code.", path=Path("x"))

    monkeypatch.setattr(evaluating, "fetch_model", refuse)
    execute_next_run(worker=make_worker())
    run.refresh_from_db()
    assert (run.state, run.error_code, run.error_details) == (
        "failed",
        "remote_code",
        {"path": "x"},
    )
    assert leftovers(settings) == []


def test_bug_of_ours_is_a_system_error_without_its_trace(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue_one(cast)

    def break_down(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("secret path /srv/x")

    monkeypatch.setattr(evaluating, "fetch_model", break_down)
    execute_next_run(worker=make_worker())
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("queued", "internal")
    assert "/srv/x" not in run.error_message


def test_cancel_while_fetching_is_heard(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    run = queue_one(cast)

    def dawdle(*args: Any, **kwargs: Any) -> None:
        runs.cancel_run(run=Run.objects.get(), acting_user=cast.owner)
        from django.db import connection

        connection.close()
        time.sleep(20)

    monkeypatch.setattr(evaluating, "fetch_model", dawdle)
    started = time.monotonic()
    execute_next_run(worker=make_worker())
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert time.monotonic() - started < 10


def test_owner_who_is_gone_takes_their_right_along(cast: Cast) -> None:
    run = queue_one(cast)
    Run.objects.update(owner=None)
    execute_next_run(worker=make_worker())
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "no_access")
