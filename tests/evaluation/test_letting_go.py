"""A run that is stopped lets its slot go within two seconds, wherever it is; nothing promised is
lost."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from evaluation.actions import leases, runs
from evaluation.actions.finetunes import resume_run
from evaluation.errors import LeaseLost, RunCancelled, RunInterrupted
from evaluation.models import Checkpoint, Run
from evaluation.worker import evaluating, shelf
from evaluation.worker.evaluating import Evaluation
from evaluation.worker.lease import LeaseKeeper
from evaluation.worker.shelf import Shelf
from evaluation.worker.work import Desk
from evaluation.worker.workspace import Workspace
from hub.site import store
from ml_core.train.events import CheckpointSaved
from tests.evaluation.test_run_kinds import make_data, make_tuning
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast
from tests.support.live_site import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN_S = 2.0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Storing of checkpoints waits for it, as it would for a slow store."""
    opened = threading.Event()
    keep_files = shelf.keep_files

    def slowly(*args: Any, **kwargs: Any) -> Any:
        assert opened.wait(20)
        return keep_files(*args, **kwargs)

    monkeypatch.setattr(shelf, "keep_files", slowly)
    yield opened
    opened.set()


def held_tuning(cast: Cast) -> Run:
    make_tuning(make_model(cast.owner), make_data(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.start_job(run=held)
    return held


def leave_checkpoint(out: Path, step: int) -> CheckpointSaved:
    """What a job writes for a checkpoint: a file, and last the manifest."""
    name = f"step-{step:08d}"
    folder = out / "checkpoints" / name
    folder.mkdir(parents=True)
    (folder / "state.json").write_bytes(b"{}")
    file = {"size_bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"files": {"state.json": file}}))
    return CheckpointSaved(name=name, step=step, size_bytes=2)


def stop_while_storing(run: Run, out: Path, scratch: Path) -> threading.Thread:
    """The run is stopped while its last checkpoint waits for the store; who still stores it."""
    kept = Shelf(run, out=out, scratch=scratch)
    kept.take(leave_checkpoint(out, 7))
    started = time.monotonic()
    late = kept.end(lets_go=True)
    leases.fail_run(run=run, family="cancelled", code="cancelled", message="")
    assert time.monotonic() - started < WITHIN_S
    assert late is not None
    assert not Checkpoint.objects.exists()
    return late


def test_stopped_training_lets_go_and_its_last_checkpoint_is_stored_all_the_same(
    cast: Cast, gate: threading.Event, tmp_path: Path
) -> None:
    run = held_tuning(cast)
    late = stop_while_storing(run, tmp_path, tmp_path)
    gate.set()
    late.join(20)
    assert Checkpoint.objects.get().step == 7
    assert resume_run(run=run, acting_user=cast.owner).state == "queued"


def test_checkpoint_that_comes_after_somebody_went_on_is_thrown_away(
    cast: Cast, gate: threading.Event, tmp_path: Path
) -> None:
    run = held_tuning(cast)
    late = stop_while_storing(run, tmp_path, tmp_path)
    Run.objects.update(state="queued", claimed_at=None)
    gate.set()
    late.join(20)
    assert not Checkpoint.objects.exists()
    assert list(store().list(f"runs/{run.pk}/")) == []


def test_folders_stay_until_the_last_checkpoint_is_stored(settings: Any) -> None:
    from evaluation.worker.execution import _remove

    space, done = Workspace.make(), threading.Event()
    late = threading.Thread(target=done.wait, daemon=True)
    late.start()
    _remove(space, late)
    assert space.out.is_dir()
    done.set()
    wait_for(lambda: not space.root.exists(), what="the folders to go")


def test_run_is_stopped_in_the_middle_of_scoring(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    run = leases.claim_run(worker=make_worker())
    assert run is not None
    begun, end = threading.Event(), threading.Event()

    def score(*args: Any) -> None:
        begun.set()
        end.wait(20)

    monkeypatch.setattr(evaluating, "_score", score)
    stopped: list[float] = []

    def stop() -> None:
        begun.wait(10)
        runs.cancel_run(run=run, acting_user=cast.owner)
        stopped.append(time.monotonic())
        connection.close()

    beside = threading.Thread(target=stop)
    with LeaseKeeper(run) as keeper:
        work = Evaluation(Desk(run, Workspace.make(), keeper, ""))
        work.job = SimpleNamespace()  # type: ignore[assignment]  # `_score` alone looks at it
        beside.start()
        with pytest.raises(RunCancelled):
            work.conclude(None, 0.0)  # type: ignore[arg-type]
        assert time.monotonic() - stopped[0] < WITHIN_S
    beside.join()
    end.set()


def test_lease_is_kept_while_an_interrupted_run_stores_what_it_has(cast: Cast) -> None:
    from evaluation.actions.workers import drain_worker

    run = held_tuning(cast)
    assert run.worker is not None
    drain_worker(worker=run.worker, acting_user=None, hands_back=True)
    with LeaseKeeper(run) as keeper:
        wait_for(keeper.should_stop, what="the word", timeout_s=5)
        Run.objects.update(heartbeat_at=None)
        wait_for(lambda: Run.objects.get().heartbeat_at, what="another beat", timeout_s=5)
        with pytest.raises(RunInterrupted):
            keeper.raise_if_stopped()
        assert not keeper.is_unwanted()
        runs.cancel_run(run=run, acting_user=cast.owner)
        wait_for(keeper.is_unwanted, what="the cancellation", timeout_s=5)
    Run.objects.update(lease_token="another")
    with pytest.raises(LeaseLost), transaction.atomic():
        leases.require_claim(run)
