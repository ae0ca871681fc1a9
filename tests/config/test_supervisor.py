"""The supervisor, with small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from config import supervisor as supervision
from config.supervisor import Program, StartFailed, Supervisor, log_tail
from tests.support.live_site import wait_for

ROOT = Path(__file__).resolve().parents[2]


def _program(tmp_path: Path, name: str, code: str, **options) -> Program:
    argv = (sys.executable, "-c", textwrap.dedent(code))
    return Program(name, argv, dict(os.environ), tmp_path / f"{name}.log", **options)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said):
    supervisor = Supervisor(say=said.append)
    yield supervisor
    supervisor.stop()


def _run_until(supervisor: Supervisor, condition, *, what: str) -> None:
    """Runs the loop in this thread until `condition` is seen by another."""

    def watch():
        try:
            wait_for(condition, what=what, timeout_s=15)
        finally:
            supervisor.is_stopping = True

    watcher = threading.Thread(target=watch)
    watcher.start()
    supervisor.run()
    watcher.join()
    assert condition(), what


def test_fallen_program_is_started_again_and_its_last_words_are_shown(
    supervisor, said, tmp_path, monkeypatch
):
    monkeypatch.setattr(supervision, "BACK_OFF_S", (0.05,))
    mark = tmp_path / "starts"
    code = f"open({str(mark)!r}, 'a').write('x'); print('the reason'); raise SystemExit(3)"
    supervisor.start(_program(tmp_path, "weak", code))
    _run_until(supervisor, lambda: mark.exists() and len(mark.read_text()) >= 3, what="3 starts")
    assert "weak stopped with status 3" in said[0]
    assert "the reason" in said[0]


def test_back_off_grows_with_each_failure(supervisor, said, tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "BACK_OFF_S", (0.01, 0.02, 0.03))
    supervisor.start(_program(tmp_path, "weak", "raise SystemExit(1)"))
    _run_until(supervisor, lambda: len(said) >= 4, what="4 failures")
    delays = [line.split("again in ")[1].split(" s")[0] for line in said[:4]]
    assert delays == ["0.01", "0.02", "0.03", "0.03"]


def test_one_off_work_is_not_repeated_and_reports_success(supervisor, tmp_path):
    done = []
    program = _program(
        tmp_path, "once", "pass", is_restarted=False, on_success=lambda: done.append(1)
    )
    supervisor.start(program)
    _run_until(supervisor, lambda: bool(done), what="the end of the work")
    assert supervisor.children == []


def test_failed_one_off_work_is_not_called_a_success(supervisor, said, tmp_path):
    done = []
    program = _program(
        tmp_path, "once", "raise SystemExit(4)", is_restarted=False, on_success=done.append
    )
    supervisor.start(program)
    _run_until(supervisor, lambda: bool(said), what="the report")
    assert said == ["once failed with status 4."]
    assert done == []


def test_stop_ends_children_and_what_they_started(supervisor, tmp_path):
    code = """
        import subprocess, sys, time, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
    """
    program = _program(tmp_path, "stubborn", code, stop_timeout_s=0.3)
    supervisor.start(program)
    grandchild = int(wait_for(lambda: log_tail(program).strip(), what="the grandchild"))
    child = supervisor.children[0].process
    supervisor.stop()
    assert child.poll() == -signal.SIGKILL
    wait_for(lambda: not _is_alive(grandchild), what="the grandchild's end")


def test_program_that_ends_before_it_is_ready_fails_the_start(supervisor, tmp_path):
    supervisor.start(_program(tmp_path, "web", "print('port taken'); raise SystemExit(1)"))
    with pytest.raises(StartFailed, match="port taken"):
        supervisor.wait_until(lambda: False, name="web", timeout_s=10)


def test_program_that_stays_silent_fails_the_start(supervisor, tmp_path):
    supervisor.start(_program(tmp_path, "web", "import time; time.sleep(60)"))
    with pytest.raises(StartFailed, match="gave no answer"):
        supervisor.wait_until(lambda: False, name="web", timeout_s=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of our death")
def test_children_die_when_the_supervisor_is_killed(tmp_path):
    code = f"""
        import os, pathlib, sys
        from config.supervisor import Program, Supervisor
        supervisor = Supervisor(say=print)
        argv = (sys.executable, "-c", "import time; time.sleep(600)")
        log = pathlib.Path({str(tmp_path / "log")!r})
        supervisor.start(Program("child", argv, dict(os.environ), log))
        print(supervisor.children[0].process.pid, flush=True)
        supervisor.run()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _is_alive(child)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not _is_alive(child), what="the child's end", timeout_s=5)


def test_large_log_of_an_earlier_run_is_moved_aside(supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "LOG_LIMIT_BYTES", 100)
    (tmp_path / "web.log").write_text("old\n" * 100)
    program = _program(tmp_path, "web", "print('new')")
    supervisor.start(program)
    supervisor.children[0].process.wait()
    time.sleep(0.05)
    assert log_tail(program).strip() == "new"
    assert (tmp_path / "web.log.1").read_text().startswith("old")


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
