"""How a job's end becomes a verdict, and what is relayed on the way."""

import dataclasses
import json
import os
import signal
import threading
import time

import pytest

from evaluation.cage import Cage
from evaluation.child import descendants, start_child
from evaluation.runner import watch_child
from evaluation.stream import MAX_LINE_BYTES, EventLines, Tail, parse_event
from tests.support.jobs import MIB, SMALL, alive, python_job, require_cage, run_python


@pytest.fixture(scope="module")
def bubblewrap() -> Cage:
    return require_cage()


@pytest.fixture(params=["bubblewrap", "watched", "uncaged"])
def cage(request) -> Cage:
    """Each way a job can be confined."""
    if request.param == "uncaged":
        return Cage("uncaged")
    cage = require_cage()
    return dataclasses.replace(cage, parents=None) if request.param == "watched" else cage


def test_a_job_that_finishes_is_ok(tmp_path, cage):
    outcome = run_python("open(out + '/result.json', 'w').write('{}')", tmp_path / "out", cage)
    assert outcome.ok
    assert (outcome.family, outcome.code, outcome.exit_status) == (None, "finished", 0)
    assert outcome.wall_s > 0
    assert (tmp_path / "out/result.json").read_text() == "{}"


def test_progress_is_relayed_in_order(tmp_path, cage):
    code = """
def say(**event): print(json.dumps(event), flush=True)
say(event='phase', phase='loading')
say(event='phase', phase='running')
for done in range(1, 101): say(event='progress', done=done, total=100, per_second=5.0)
say(event='note', code='oom_halved', message='m')
say(event='phase', phase='scoring')"""
    events = []
    assert run_python(code, tmp_path / "out", cage, on_event=events.append).ok
    said = [e for e in events if e["event"] != "heartbeat"]
    assert said[0] == {"event": "phase", "phase": "loading"}
    assert said[-1] == {"event": "phase", "phase": "scoring"}
    done = [e["done"] for e in said if e["event"] == "progress"]
    assert done == sorted(done)
    assert done[-1] == 100
    assert len(done) < 10


def test_heartbeats_come_without_progress(tmp_path, bubblewrap):
    events = []
    run_python(
        "time.sleep(1)", tmp_path / "out", bubblewrap, on_event=events.append, heartbeat_s=0.2
    )
    beats = [e for e in events if e["event"] == "heartbeat"]
    assert len(beats) >= 4
    assert beats[-1]["elapsed_s"] > beats[0]["elapsed_s"]


def test_a_sleeper_ends_in_timeout(tmp_path, cage):
    limits = dataclasses.replace(SMALL, wall_s=1)
    started = time.monotonic()
    outcome = run_python("time.sleep(600)", tmp_path / "out", cage, limits)
    assert (outcome.family, outcome.code) == ("timeout", "timeout")
    assert "1 seconds" in outcome.message
    assert time.monotonic() - started < 4


def test_a_job_that_ignores_the_request_to_end_is_ended(tmp_path, cage):
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    limits = dataclasses.replace(SMALL, wall_s=1)
    started = time.monotonic()
    outcome = run_python(code, tmp_path / "out", cage, limits)
    assert outcome.code == "timeout"
    assert time.monotonic() - started < 4


def test_cancel_ends_the_job_and_all_it_started_within_two_seconds(tmp_path, cage):
    code = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
os.fork()
time.sleep(600)"""
    before = set(descendants(os.getpid()))
    asked = threading.Event()
    threading.Timer(1.0, asked.set).start()
    started = time.monotonic()
    outcome = run_python(code, tmp_path / "out", cage, should_cancel=asked.is_set)
    assert time.monotonic() - started < 1.0 + 2.0
    assert (outcome.family, outcome.code) == ("cancelled", "cancelled")
    assert set(descendants(os.getpid())) <= before


def test_a_run_cancelled_before_its_start_starts_nothing(tmp_path, cage):
    code = "open(out + '/started', 'w')"
    outcome = run_python(code, tmp_path / "out", cage, should_cancel=lambda: True)
    assert outcome.code == "cancelled"
    assert not (tmp_path / "out/started").exists()


def test_a_memory_hog_is_told_so(tmp_path, cage):
    code = """
held = []
while True:
    held.append(b'x' * (8 << 20))
    time.sleep(0.02)"""
    outcome = run_python(code, tmp_path / "out", cage)
    assert (outcome.family, outcome.code) == ("user", "out_of_memory")
    assert "256 MiB" in outcome.message
    assert outcome.peak_memory_bytes < 4 * SMALL.memory_bytes


def test_a_spinner_ends_by_processor_time(tmp_path, cage):
    limits = dataclasses.replace(SMALL, cpu_s=1)
    outcome = run_python("while True: pass", tmp_path / "out", cage, limits)
    assert (outcome.family, outcome.code) == ("timeout", "cpu_timeout")
    assert outcome.cpu_s > 0.3


def test_garbage_on_standard_output_is_tolerated(tmp_path, cage):
    code = r"""
write = sys.stdout.buffer.write
write(b'\xff\xfe\x00 not text\n')
write(b'{"event": "progress", "done": 5, "total": 3}\n')
write(b'{"event": "progress", "done": "1", "total": 3}\n')
write(b'[1, 2]\n{"event": "root"}\nnull\n')
write(b'[' * 50_000 + b'\n')
write(b'x' * 200_000 + b'\n')
write(b'{"event": "phase", "phase": "running", "extra": 1}\n')
write(b'no newline at the end')"""
    events = []
    outcome = run_python(code, tmp_path / "out", cage, on_event=events.append)
    assert outcome.ok
    assert [e for e in events if e["event"] != "heartbeat"] == [
        {"event": "phase", "phase": "running"}
    ]
    assert outcome.n_garbage_lines >= 7


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output_is_stopped(stream, tmp_path, cage):
    code = f"while True: sys.{stream}.write('x' * 4096 + '\\n')"
    started = time.monotonic()
    outcome = run_python(code, tmp_path / "out", cage)
    assert (outcome.family, outcome.code) == ("user", "output_limit")
    assert len(outcome.stderr_tail) <= 16 << 10
    assert time.monotonic() - started < 10


def test_a_flood_of_events_is_thinned_out(tmp_path, bubblewrap):
    code = """
for done in range(5000):
    print(json.dumps({'event': 'progress', 'done': done, 'total': 5000}))
    print(json.dumps({'event': 'note', 'code': 'n', 'message': 'm'}))"""
    events = []
    assert run_python(code, tmp_path / "out", bubblewrap, on_event=events.append).ok
    assert len([e for e in events if e["event"] == "note"]) == 100
    assert len([e for e in events if e["event"] == "progress"]) < 250


def test_the_end_of_standard_error_is_kept_for_operators(tmp_path, cage):
    code = "sys.stderr.write('first\\n' + 'x' * 30_000 + '\\nlast line\\n'); sys.exit(1)"
    outcome = run_python(code, tmp_path / "out", cage)
    assert outcome.stderr_tail.endswith("last line\n")
    assert "first" not in outcome.stderr_tail
    assert (outcome.family, outcome.code) == ("system", "child_crashed")
    assert "last line" not in outcome.message


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, "child_killed"),
        (signal.SIGSEGV, "child_crashed"),
        (signal.SIGABRT, "child_crashed"),
    ],
)
def test_a_child_that_dies_by_a_signal_gets_a_verdict(number, code, tmp_path, cage):
    script = f"""
import subprocess
if os.getpid() > 2:
    os.kill(os.getpid(), {int(number)})
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), {int(number)})
os.kill(os.getpid(), {int(number)})
time.sleep(5)"""
    outcome = run_python(script, tmp_path / "out", cage)
    assert (outcome.family, outcome.code) == ("system", code)
    assert outcome.details == {"signal": number.name}


REPORT = {"family": "user", "code": "labels_unresolved", "message": "Words.", "details": {"a": 1}}


def leave(report: object, status: int) -> str:
    return f"open(out + '/error.json', 'w').write({json.dumps(report)!r}); sys.exit({status})"


def test_an_error_report_becomes_the_verdict(tmp_path, cage):
    outcome = run_python(leave(REPORT, 3), tmp_path / "out", cage)
    assert (outcome.family, outcome.code) == ("user", "labels_unresolved")
    assert (outcome.message, outcome.details) == ("Words.", {"a": 1})


@pytest.mark.parametrize(
    "code",
    [
        leave(REPORT, 1),
        leave(REPORT | {"family": "cancelled"}, 3),
        leave(REPORT | {"code": 5}, 3),
        leave([1], 3),
        "open(out + '/error.json', 'w').write('{'); sys.exit(3)",
        "open(out + '/error.json', 'w').write('[' * 100_000); sys.exit(3)",
        "open(out + '/error.json', 'w').write(' ' * 300_000 + '{}'); sys.exit(3)",
        "os.symlink('/etc/passwd', out + '/error.json'); sys.exit(3)",
        "os.mkfifo(out + '/error.json'); sys.exit(3)",
        "os.mkdir(out + '/error.json'); sys.exit(3)",
        "sys.exit(3)",
        "sys.exit(7)",
    ],
)
def test_a_report_that_does_not_hold_is_a_crash(code, tmp_path, bubblewrap):
    outcome = run_python(code, tmp_path / "out", bubblewrap)
    assert (outcome.family, outcome.code) == ("system", "child_crashed")


def test_a_callback_that_raises_ends_the_job(tmp_path, cage):
    before = set(descendants(os.getpid()))

    def refuse(_event):
        raise ConnectionError("the lease is lost")

    with pytest.raises(ConnectionError):
        run_python("time.sleep(600)", tmp_path / "out", cage, on_event=refuse, heartbeat_s=0.1)
    assert set(descendants(os.getpid())) <= before


def test_a_child_that_ends_leaves_nobody_behind_with_its_pipes(tmp_path, cage):
    code = """
pid = os.fork()
if pid == 0:
    time.sleep(600)
open(out + '/pid', 'w').write(str(pid))
os._exit(0)"""
    started = time.monotonic()
    outcome = run_python(code, tmp_path / "out", cage)
    assert outcome.ok
    assert time.monotonic() - started < 5
    if cage.kind == "uncaged":
        pid, deadline = int((tmp_path / "out/pid").read_text()), time.monotonic() + 2
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not alive(pid)


def test_a_job_that_cannot_start_is_the_platforms_fault(tmp_path):
    cage = Cage("bubblewrap", bwrap="/nowhere/bwrap")
    outcome = run_python("pass", tmp_path / "out", cage)
    assert outcome.family == "system"


def test_a_job_standing_by_waits_for_its_word(tmp_path, bubblewrap):
    code = """
print(json.dumps({'event': 'phase', 'phase': 'ready'}), flush=True)
line = sys.stdin.readline()
open(out + '/heard', 'w').write(line)"""
    job = dataclasses.replace(python_job(code, tmp_path / "out"), standby=True)
    child = start_child(job, cage=bubblewrap, limits=SMALL)
    time.sleep(0.5)
    assert not (tmp_path / "out/heard").exists()
    child.go()
    assert watch_child(child, job).ok
    assert (tmp_path / "out/heard").read_text() == "go\n"


def test_a_job_standing_by_that_is_not_needed_leaves_nothing(tmp_path, bubblewrap):
    job = dataclasses.replace(python_job("sys.stdin.read()", tmp_path / "out"), standby=True)
    before = set(descendants(os.getpid()))
    with start_child(job, cage=bubblewrap, limits=SMALL):
        assert set(descendants(os.getpid())) > before
    assert set(descendants(os.getpid())) <= before


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"event":"phase","phase":"ready"}', {"event": "phase", "phase": "ready"}),
        (b'{"event":"phase","phase":"finished"}', None),
        (b'{"event":"heartbeat"}', None),
        (b'{"event":"progress","done":true,"total":2}', None),
        (b'{"event":"progress","done":-1,"total":2}', None),
        (
            b'{"event":"progress","done":1,"total":2,"per_second":-3}',
            {"event": "progress", "done": 1, "total": 2, "per_second": None},
        ),
        (b'{"event":"note","code":"a"}', None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_only_known_events_with_sound_fields_pass(line, event):
    assert parse_event(line) == event


def test_lines_are_put_together_however_they_are_cut():
    events = []
    lines = EventLines(events.append)
    for byte in b'{"event":"phase","phase":"loading"}\n':
        lines.feed(bytes([byte]))
    assert events == [{"event": "phase", "phase": "loading"}]


def test_a_line_without_end_takes_no_memory():
    lines = EventLines(lambda e: None)
    for _ in range(100):
        lines.feed(b"x" * MAX_LINE_BYTES)
    assert len(lines._rest) <= MAX_LINE_BYTES
    lines.feed(b"\n")
    assert lines.n_garbage == 1


def test_the_tail_keeps_the_last_bytes():
    tail = Tail()
    for number in range(1000):
        tail.feed(f"{number:099d}\n".encode())
    assert len(tail.text()) == 16 << 10
    assert tail.text().endswith("999\n")
    assert tail._size < MIB
