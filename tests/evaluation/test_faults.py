"""Faults around a worker: wrong clocks, full disks, a hub that goes away in mid-sentence."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.utils import timezone

from evaluation import clock
from evaluation.actions import leases
from evaluation.errors import JobFailed
from evaluation.models import Run
from evaluation.queries import runs_counted_against
from evaluation.worker import fetch
from evaluation.worker.execution import execute_next_run
from evaluation.worker.fetch import Source, fetch_files, fetch_model
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast

COMMIT = "c" * 40
SIZE = 1 << 20


class HalfHub(BaseHTTPRequestHandler):
    """Answers as the hub does, and hangs up in the middle of each file."""

    cut: ClassVar[int] = 0

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        if "/resolve/" not in self.path:
            self._json()
            return
        self._head()
        self.wfile.write(b"x" * (SIZE // 2))
        type(self).cut += 1
        self.close_connection = True

    def _json(self) -> None:
        name = "model.safetensors"
        tree = [{"type": "file", "path": name, "size": SIZE, "oid": "1"}]
        info = {"id": "a/b", "sha": COMMIT, "siblings": [{"rfilename": name}], "tags": []}
        body = json.dumps(tree if "/tree/" in self.path else info).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def half_hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), HalfHub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_hub_that_goes_away_in_the_middle_of_a_download_is_our_fault(
    half_hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    source = Source("a/b", "model", COMMIT, half_hub, "hf_x", tmp_path / "cache")
    (tmp_path / "model").mkdir()
    with pytest.raises(JobFailed) as caught:
        fetch_model(source, tmp_path / "model")
    assert (caught.value.family, caught.value.code) == ("system", "hub_unreachable")
    assert HalfHub.cut >= 1
    assert list((tmp_path / "model").iterdir()) == []


def test_full_disk_is_told_before_and_while_a_model_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source("a/b", "model", COMMIT, "http://127.0.0.1:9", "hf_x", tmp_path)

    def no_room(*args: Any, **kwargs: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "snapshot_download", no_room)
    with pytest.raises(JobFailed) as caught:
        fetch_files(source, ["a"], tmp_path)
    assert (caught.value.family, caught.value.code) == ("system", "disk_full")
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(
        fetch, "list_files", lambda source: [fetch.RemoteFile("model.safetensors", 2 * free)]
    )
    with pytest.raises(JobFailed) as caught:
        fetch_model(source, tmp_path)
    assert caught.value.code == "disk_full"


@pytest.mark.django_db(transaction=True)
def test_full_disk_costs_the_owner_nothing_and_is_tried_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from evaluation.worker import evaluating

    settings.WARM_JOBS = False
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)

    def no_room(source: Source, folder: Path) -> None:
        with fetch.hub_errors(source):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(evaluating, "fetch_model", no_room)
    worker = make_worker()
    for attempt in range(1, settings.RUN_MAX_ATTEMPTS + 1):
        Run.objects.update(not_before=timezone.now())
        assert execute_next_run(worker=worker) == run
        run.refresh_from_db()
        assert (run.attempt, run.error_code) == (attempt, "disk_full")
    assert run.state == "failed"
    assert runs_counted_against(cast.owner).count() == 0


@pytest.mark.django_db
def test_worker_whose_clock_is_wrong_keeps_its_run(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is on the worker's own machine")
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    worker = make_worker()
    for wrong in (timedelta(hours=-3), timedelta(hours=3)):
        with monkeypatch.context() as skewed:
            skewed.setattr(timezone, "now", lambda wrong=wrong, real=timezone.now: real() + wrong)
            held = leases.claim_run(worker=worker)
            assert held is not None
            leases.heartbeat_run(run=held)
        assert leases.requeue_expired_runs() == 0
        assert abs(held.lease_expires_at - clock.shared_now()) < timedelta(seconds=90)
        leases.release_run(run=held)
