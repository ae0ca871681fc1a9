"""`manage.py up` as an operator meets it: one process for the whole site."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.live_site import ROOT, free_port, wait_for

pytestmark = pytest.mark.slow


@dataclass
class RunningUp:
    process: subprocess.Popen[bytes]
    env: dict[str, str]
    port: int
    output: Path

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                return True
        except OSError:
            return False

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, *words: str) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                if all(word in " ".join(child.cmdline()) for word in words):
                    return child
        return None


def _environment(data_dir: Path, port: int) -> dict[str, str]:
    dropped = ("REDIS_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {**kept, "MODELGUILD_DATA": str(data_dir), "PORT": str(port), "WEB_GRACE_S": "2"}


def _start(data_dir: Path, *options: str) -> RunningUp:
    port = free_port()
    env, output = _environment(data_dir, port), data_dir.parent / f"up-{port}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--no-demo", *options],
            cwd=ROOT, env=env, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    up = RunningUp(process, env, port, output)
    wait_for(
        lambda: "ModelGuild is at" in output.read_text() or process.poll() is not None,
        what="the address", timeout_s=120,
    )  # fmt: skip
    assert process.poll() is None, output.read_text()
    return up


def _stop(up: RunningUp) -> None:
    if up.process.poll() is None:
        up.process.send_signal(signal.SIGINT)
        up.process.wait(60)


def _command(env: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *argv],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture(scope="module")
def up(data_folder: Path) -> Iterator[RunningUp]:
    running = _start(data_folder)
    yield running
    _stop(running)


def test_site_answers_where_it_says_it_is(up):
    assert f"ModelGuild is at http://localhost:{up.port}" in up.output.read_text()
    assert up.answers()


def test_all_parts_run_and_doctor_finds_them_well(up):
    def well() -> bool:
        done = _command(up.env, "doctor", "--json")
        return done.returncode == 0 and json.loads(done.stdout)["level"] in {"ok", "warn"}

    wait_for(well, what="doctor to be content", timeout_s=90, pause_s=1)
    assert up.child("worker", "evaluate")
    assert up.child("worker", "hub")
    assert up.child("beat")


def test_secrets_are_made_and_only_their_owner_may_read_them(up, data_folder):
    secrets = [path for path in (data_folder / "secrets").iterdir() if path.is_file()]
    assert {"secret_key", "valkey_password"} <= {path.name for path in secrets}
    for path in [*secrets, data_folder / "valkey" / "valkey.conf", data_folder / "valkey" / "url"]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_secret_stands_in_a_log_or_a_command_line(up, data_folder):
    secrets = [path.read_text().strip() for path in (data_folder / "secrets").iterdir()]
    seen = up.output.read_text() + "".join(
        path.read_text(errors="replace") for path in (data_folder / "logs").iterdir()
    )
    seen += " ".join(word for child in up.children() for word in child.cmdline())
    assert not [secret[:4] for secret in secrets if secret in seen]


def test_second_start_on_the_same_data_is_refused_by_name(up):
    done = _command({**up.env, "PORT": str(free_port())}, "up", "--no-demo")
    assert done.returncode == 1
    assert f"process {up.process.pid}" in done.stderr
    assert "MODELGUILD_DATA" in done.stderr
    assert up.answers()


def test_port_in_use_is_refused_with_another_to_try(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _command(_environment(tmp_path / "data", port), "up", "--no-demo")
    assert done.returncode == 1
    assert re.search(rf"Port {port} on 127.0.0.1 cannot be used .*PORT={port + 1}", done.stderr)


def test_killed_web_server_comes_back(up):
    web = up.child("gunicorn")
    web.kill()
    wait_for(lambda: (new := up.child("gunicorn")) and new.pid != web.pid, what="a new web server")
    wait_for(up.answers, what="its answer", timeout_s=60)
    assert "web stopped with status -9" in up.output.read_text()


def test_ctrl_c_ends_every_process_and_the_next_start_keeps_the_data(up, data_folder):
    made = _command(up.env, "create_user", "ada")
    assert made.returncode == 0, made.stderr
    processes = up.children()
    _stop(up)
    assert up.process.returncode == 0
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert not (data_folder / "valkey" / "url").exists()
    again = _start(data_folder, "--no-workers")
    try:
        repeated = _command(again.env, "create_user", "ada")
        assert "is taken" in repeated.stderr
    finally:
        _stop(again)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of our death")
def test_nothing_outlives_an_up_that_was_killed(tmp_path):
    up = _start(tmp_path / "data", "--no-workers")
    processes = up.children()
    assert processes
    up.process.kill()
    up.process.wait()
    assert not psutil.wait_procs(processes, timeout=30)[1]
