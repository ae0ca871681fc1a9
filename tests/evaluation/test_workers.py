"""Workers come, go and get lost; queued work always finds one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from evaluation.actions import leases, sweep
from evaluation.actions.runs import cancel_run
from evaluation.actions.workers import (
    announce_stop,
    beat_worker,
    register_worker,
    retire_worker,
)
from evaluation.models import Run, Worker
from evaluation.queries import idle_slots, queue_insight, slots_of
from evaluation.worker.presence import gpu_names
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


def register(name: str = "evaluate@a", slots: int = 1) -> Worker:
    return register_worker(name=name, pools=["cpu"], slots=slots, device="d", versions={})


def queue_one(cast: Cast) -> Run:
    return make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)


def test_worker_that_starts_again_gives_back_what_its_past_self_held(cast: Cast) -> None:
    run = queue_one(cast)
    assert leases.claim_run(worker=register()) is not None
    register()
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("queued", 0)


def test_stopping_worker_is_told_and_counts_no_more(cast: Cast) -> None:
    queue_one(cast)
    worker = register()
    held = leases.claim_run(worker=worker)
    assert held is not None
    announce_stop(name=worker.name)
    assert leases.heartbeat_run(run=held).is_worker_stopping
    assert slots_of("cpu") == 0
    retire_worker(name=worker.name)
    assert Run.objects.get().state == "queued"


def test_worker_that_says_nothing_counts_as_lost() -> None:
    worker = make_worker(is_alive=False)
    assert (slots_of("cpu"), worker.is_alive) == (0, False)
    beat_worker(name=worker.name)
    worker.refresh_from_db()
    assert (slots_of("cpu"), worker.is_alive) == (1, True)


def test_retiring_an_unknown_worker_does_nothing() -> None:
    retire_worker(name="nobody")
    assert not Worker.objects.exists()


def test_sweep_rings_once_for_each_idle_slot(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = make_benchmark(cast.owner)
    queued = [make_run(benchmark, make_model(cast.owner), cast.owner) for _ in range(5)]
    rung: list[str] = []
    monkeypatch.setattr(sweep, "ring", lambda task, run_id, queue: rung.append(run_id))
    assert sweep.ring_idle_workers() == 0
    make_worker(slots=3)
    assert leases.claim_run(worker=Worker.objects.get()) is not None
    assert idle_slots("cpu") == 2
    assert sweep.ring_idle_workers() == 2
    assert rung == [str(run.pk) for run in queued[1:3]]


def test_run_in_back_off_is_not_rung_for(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    queue_one(cast)
    Run.objects.update(not_before=timezone.now() + timedelta(minutes=1))
    make_worker()
    monkeypatch.setattr(sweep, "ring", lambda *ids, queue: pytest.fail("rang too early"))
    assert sweep.ring_idle_workers() == 0


def test_reason_for_waiting_is_the_true_one(cast: Cast) -> None:
    first = queue_one(cast)
    assert queue_insight(first).reason == "no_worker"  # type: ignore[union-attr]
    worker = make_worker()
    assert queue_insight(first).reason == "starting"  # type: ignore[union-attr]
    assert leases.claim_run(worker=worker) is not None
    first.refresh_from_db()
    assert queue_insight(first) is None
    second, third = queue_one(cast), queue_one(cast)
    assert queue_insight(second).reason == "all_busy"  # type: ignore[union-attr]
    assert queue_insight(third).reason == "behind_others"  # type: ignore[union-attr]
    Run.objects.filter(pk=second.pk).update(not_before=timezone.now() + timedelta(minutes=1))
    second.refresh_from_db()
    assert queue_insight(second).reason == "back_off"  # type: ignore[union-attr]


def test_expected_start_follows_from_what_such_runs_took(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    worker = make_worker()
    for _ in range(2):
        make_run(benchmark, make_model(cast.owner), cast.owner)
        done = leases.claim_run(worker=worker)
        assert done is not None
        leases.fail_run(run=done, family="user", code="x", message="x")
    now = timezone.now()
    Run.objects.update(state="finished", record_digest="0", finished_at=now)
    Run.objects.update(claimed_at=now - timedelta(seconds=30))
    make_run(benchmark, make_model(cast.owner), cast.owner)
    assert leases.claim_run(worker=worker) is not None
    waits = make_run(benchmark, make_model(cast.owner), cast.owner)
    insight = queue_insight(waits)
    assert insight is not None
    assert insight.starts_in_s == pytest.approx(30, abs=3)


def test_gpus_are_named_as_the_driver_names_them(tmp_path: Path) -> None:
    """Lines as the NVIDIA driver writes them; the folders are PCI addresses."""
    for address, said in (
        (
            "0000:01:00.0",
            "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 57\nGPU UUID: \t GPU-1:2\n",
        ),
        ("0000:02:00.0", "IRQ: 58\n"),
    ):
        (tmp_path / address).mkdir()
        (tmp_path / address / "information").write_text(said)
    assert gpu_names(tmp_path) == ["NVIDIA H100 80GB HBM3", "NVIDIA GPU"]
    assert gpu_names(tmp_path / "absent") == []


def test_run_that_was_to_be_cancelled_is_not_handed_back_to_the_queue(cast: Cast) -> None:
    run = queue_one(cast)
    assert leases.claim_run(worker=register()) is not None
    cancel_run(run=run, acting_user=cast.owner)
    register()
    run.refresh_from_db()
    assert (run.state, run.error_code, run.lease_token) == ("cancelled", "cancelled", "")
