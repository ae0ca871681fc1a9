"""A worker that is killed at any moment of a run: one verdict, nothing lost, nothing twice.

The worker is a process of its own that ends by SIGKILL where a test says; what it hands to its
caged child is what the real job said once, so that each death takes no more than a moment.
"""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from evaluation.actions import leases
from evaluation.cage import Job
from evaluation.models import LeaderboardEntry, Run, Score, Worker
from evaluation.queries import runs_counted_against
from evaluation.worker import evaluating, fetch, inputs, splits, workspace
from evaluation.worker.execution import execute_next_run
from hub.models import AccessToken, AuditEntry
from hub.site import store
from tests.support.benchmarks import CSV, make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast
from tests.support.deaths import killed_at
from tests.support.folder_hub import FolderHub
from tests.support.jobs import require_cage
from tests.support.tiny_models import save_text_classifier

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

STAGES = {
    "fetching": "before evaluation.worker.evaluating.fetch_model",
    "starting": "before evaluation.worker.execution.start_child",
    "running": "after evaluation.worker.evaluating.relay_progress",
    "scoring": "before evaluation.worker.evaluating._score",
    "storing": "after evaluation.worker.work.Desk.put_file",
    "finishing": "before evaluation.actions.leases.place_run",
}
SAY = """
import json, shutil
print(json.dumps({"event": "phase", "phase": "running"}), flush=True)
print(json.dumps({"event": "progress", "done": 1, "total": 4}), flush=True)
shutil.copytree(canned, out, dirs_exist_ok=True)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of the model, the data, and of what the real job leaves for them once it has run."""
    root = tmp_path_factory.mktemp("dying")
    save_text_classifier(root / "model")
    (root / "data").mkdir()
    (root / "data" / "test.csv").write_text(CSV)
    return {name: root / name for name in ("model", "data", "canned")}


@pytest.fixture(autouse=True)
def hub(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Both repositories, without a warm child."""
    require_cage()
    settings.WARM_JOBS = False
    model, data = FolderHub(folders["model"]), FolderHub(folders["data"])
    for module, repo in ((fetch, model), (inputs, data), (splits, data)):
        monkeypatch.setattr(module, "list_files", repo.list_files)
        monkeypatch.setattr(module, "fetch_files", repo.fetch_files)
    if folders["canned"].exists():
        monkeypatch.setattr(workspace.Workspace, "job", _canned_job(folders["canned"]))
    else:
        _keep_answers(folders["canned"], monkeypatch)


def _canned_job(canned: Path) -> Any:
    def job(space: workspace.Workspace, verb: str, *, standby: bool = False) -> Job:
        code = f"canned, out = {str(canned)!r}, {str(space.out)!r}\n{SAY}"
        command = (sys.executable, "-I", "-S", "-c", code)
        return Job(command, space.out, (space.stage, canned))

    return job


def _keep_answers(canned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run is a real one; what its job leaves is kept for the others."""
    conclude = evaluating.Evaluation.conclude

    def keep(work: Any, *args: Any) -> Any:
        shutil.copytree(work.desk.space.out, canned)
        return conclude(work, *args)

    monkeypatch.setattr(evaluating.Evaluation, "conclude", keep)


def queue_one(cast: Cast) -> tuple[Run, Worker]:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    return run, make_worker("mortal")


def test_run_without_deaths_is_the_measure(cast: Cast) -> None:
    run, worker = queue_one(cast)
    assert execute_next_run(worker=worker) == run
    run.refresh_from_db()
    assert (run.state, run.attempt, run.error_code) == ("finished", 1, "")


@pytest.mark.parametrize("stage", STAGES)
def test_worker_killed_while(stage: str, cast: Cast, settings: Any) -> None:
    run, worker = queue_one(cast)
    killed_at(STAGES[stage], lambda: execute_next_run(worker=worker))
    run.refresh_from_db()
    assert run.state in ("preparing", "running")
    assert not Score.objects.exists()
    assert leases.requeue_expired_runs() == 0
    assert leases.requeue_expired_runs(now=timezone.now() + timedelta(hours=1)) == 1
    run.refresh_from_db()
    assert (run.state, run.error_family, run.error_code) == ("queued", "system", "worker_lost")
    assert not AccessToken.objects.exists()
    Run.objects.update(not_before=timezone.now())
    assert execute_next_run(worker=worker) == run
    run.refresh_from_db()
    assert (run.state, run.attempt, run.error_code) == ("finished", 2, "")
    assert run.scores.count() == len(run.spec["task"]["metrics"])
    assert LeaderboardEntry.objects.filter(run=run).count() == 1
    assert AuditEntry.objects.filter(verb="run.finished", target=str(run.pk)).count() == 1
    assert [stored.key for stored in store().list(f"runs/{run.pk}/")] == [run.predictions_key]
    assert runs_counted_against(cast.owner).count() == 1


def test_worker_killed_just_after_the_end_leaves_a_finished_run(cast: Cast) -> None:
    run, worker = queue_one(cast)
    point = "after evaluation.actions.leases.finish_run"
    killed_at(point, lambda: execute_next_run(worker=worker))
    run.refresh_from_db()
    assert run.state == "finished"
    assert leases.requeue_expired_runs(now=timezone.now() + timedelta(hours=1)) == 0
    assert execute_next_run(worker=worker) is None
    assert run.scores.count() == len(run.spec["task"]["metrics"])


def test_workers_that_die_again_and_again_end_in_a_verdict_that_costs_nothing(
    cast: Cast, settings: Any
) -> None:
    run, worker = queue_one(cast)
    for _ in range(settings.RUN_MAX_ATTEMPTS):
        killed_at(STAGES["starting"], lambda: execute_next_run(worker=worker))
        leases.requeue_expired_runs(now=timezone.now() + timedelta(hours=1))
        Run.objects.update(not_before=timezone.now())
    run.refresh_from_db()
    assert (run.state, run.error_code, run.attempt) == ("failed", "worker_lost", 3)
    assert execute_next_run(worker=worker) is None
    assert runs_counted_against(cast.owner).count() == 0
