"""What a caged job sees, reaches and may write. Real bubblewrap, real sockets, real files."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluation import cage as cage_module
from evaluation import cgroups, seccomp
from evaluation.cage import Cage, Job, core_job, find_cage, job_environment
from evaluation.child import descendants
from evaluation.visible import visible_paths
from ml_core.errors import PlatformError
from tests.support.jobs import MIB, SMALL, alive, require_cage, run_python


@pytest.fixture(scope="module")
def cage() -> Cage:
    return require_cage()


def answer(code: str, tmp_path: Path, cage: Cage, **more) -> object:
    """The JSON that caged code leaves in `answer`."""
    write = "\njson.dump(answer, open(out + '/answer.json', 'w'))"
    outcome = run_python(code + write, tmp_path / "out", cage, **more)
    assert outcome.ok, outcome
    return json.loads((tmp_path / "out/answer.json").read_text())


TRY = """
def tried(action):
    try:
        action()
        return 'done'
    except BaseException as error:
        return type(error).__name__
"""


def test_host_loopback_is_not_reachable(tmp_path, cage):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""{TRY}
import socket
answer = [tried(lambda: socket.create_connection(('127.0.0.1', {port}), 1)),
          tried(lambda: socket.create_connection(('192.0.2.1', 80), 1)),
          tried(lambda: socket.getaddrinfo('example.org', 80)),
          [name for _, name in socket.if_nameindex()]]"""
        refused, outside, names, interfaces = answer(code, tmp_path, cage)
    assert refused == "ConnectionRefusedError"
    assert outside == "OSError"
    assert names == "gaierror"
    assert interfaces == ["lo"]


def test_abstract_unix_sockets_of_the_host_are_not_reachable(tmp_path, cage):
    name = f"\0modelguild-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        code = f"""{TRY}
import socket
answer = tried(lambda: socket.socket(socket.AF_UNIX).connect({name!r}))"""
        assert answer(code, tmp_path, cage) == "ConnectionRefusedError"


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/passwd", "/root/.ssh", "/home", "/var/log", "/run", "/etc/hosts"]
)
def test_the_hosts_own_files_are_not_there(path, tmp_path, cage):
    assert answer(f"answer = os.path.exists({path!r})", tmp_path, cage) is False


def test_the_data_folder_is_not_there(tmp_path, cage, data_dir):
    (data_dir / "db.sqlite3").write_text("secret")
    named = tmp_path / "model"
    named.mkdir()
    (named / "config.json").write_text("{}")
    code = f"answer = [os.path.exists({str(data_dir)!r}), os.listdir({str(named)!r})]"
    assert answer(code, tmp_path, cage, read_only=(named,)) == [False, ["config.json"]]


def test_the_sources_of_the_platform_are_not_there(tmp_path, cage):
    root = Path(cage_module.__file__).resolve().parent.parent
    code = (
        f"answer = [os.path.exists({str(root)!r} + '/' + n) for n in ('hub', 'config', 'ml_core')]"
    )
    assert answer(code, tmp_path, cage) == [False, False, True]


def test_processes_of_the_host_are_not_seen(tmp_path, cage):
    code = "answer = sorted(int(n) for n in os.listdir('/proc') if n.isdigit())"
    assert len(answer(code, tmp_path, cage)) <= 3
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        code = f"{TRY}\nanswer = tried(lambda: os.kill({sleeper.pid}, 9))"
        assert answer(code, tmp_path, cage) == "ProcessLookupError"
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_nothing_outside_out_and_tmp_can_be_written(tmp_path, cage):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    beside = tmp_path / "beside"
    code = f"""{TRY}
paths = ['/x', '/usr/x', '/dev/x', '/etc/x', '/proc/sys/kernel/core_pattern',
         {str(model)!r} + '/x', {str(model)!r} + '/config.json',
         sys.prefix + '/x', '/sys/x']
tried(lambda: open({str(beside)!r}, 'w'))
answer = [tried(lambda: open(path, 'w')) for path in paths]
answer.append([tried(lambda: open(path, 'w')) for path in ('/tmp/x', '/dev/shm/x', out + '/x')])"""
    *refused, allowed = answer(code, tmp_path, cage, read_only=(model,))
    assert set(refused) <= {"OSError", "PermissionError", "FileNotFoundError"}
    assert allowed == ["done"] * 3
    assert (model / "config.json").read_text() == "{}"
    assert not beside.exists()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["answer.json", "x"]


def test_settings_of_the_kernel_cannot_be_written(tmp_path, cage):
    code = """
answer = []
for folder, folders, files in os.walk('/proc'):
    if folder == '/proc':
        folders[:] = [n for n in folders if not n.isdigit() and n not in ('self', 'thread-self')]
    for name in files:
        try:
            os.close(os.open(folder + '/' + name, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            continue
        answer.append(folder + '/' + name)"""
    assert answer(code, tmp_path, cage) == []
    code = (
        f"{TRY}\nanswer = [tried(lambda: open('/proc/' + n).read(1)) for n in ('kallsyms', 'keys')]"
    )
    assert answer(code, tmp_path, cage) == ["PermissionError"] * 2


def test_the_environment_is_made_from_nothing(tmp_path, cage, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    seen = answer("answer = dict(os.environ)", tmp_path, cage)
    job = Job((), tmp_path)
    assert set(seen) <= set(job_environment(job, SMALL, home="/tmp")) | {"PWD", "LC_CTYPE"}
    assert "secret" not in json.dumps(seen)
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE"
    outer = Path("/proc/self/environ")
    assert outer.exists()
    parent = answer("answer = open('/proc/1/environ').read()", tmp_path, cage)
    assert "secret" not in parent


def test_the_job_has_no_rights_and_cannot_get_any(tmp_path, cage):
    code = f"""{TRY}
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    return [getattr(libc, name)(*args), ctypes.get_errno()]
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
answer = {{
    'caps': [status[k].strip() for k in ('CapPrm', 'CapEff', 'CapBnd', 'CapAmb')],
    'nonewprivs': status['NoNewPrivs'].strip(), 'seccomp': status['Seccomp'].strip(),
    'uid': os.getuid(), 'core': __import__('resource').getrlimit(4),
    'unshare': call('unshare', 0x10000000), 'ptrace': call('ptrace', 0, 0, 0, 0),
    'mount': call('mount', b'none', b'/tmp', b'tmpfs', 0, None),
    'keyctl': call('syscall', 250 if os.uname().machine == 'x86_64' else 219, 0, 0),
    'io_uring': call('syscall', 425, 1, 0), 'setuid': tried(lambda: os.setuid(0)),
}}"""
    seen = answer(code, tmp_path, cage)
    assert set(seen["caps"]) == {"0" * 16}
    assert seen["nonewprivs"] == "1"
    assert seen["seccomp"] == "2"
    assert seen["uid"] == 65534
    assert seen["core"] == [0, 0]
    for name in ("unshare", "ptrace", "mount", "keyctl", "io_uring"):
        assert seen[name] == [-1, 1], name
    assert seen["setuid"] == "OSError" or seen["setuid"] == "PermissionError"


def test_a_fork_bomb_is_bounded_and_leaves_nothing(tmp_path, cage):
    code = """
made = 0
try:
    for _ in range(10_000):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except OSError as error:
    open(out + '/made', 'w').write(f'{made} {type(error).__name__}')
time.sleep(60)"""
    before = set(descendants(os.getpid()))
    limits = dataclasses.replace(SMALL, wall_s=4)
    outcome = run_python(code, tmp_path / "out", cage, limits)
    assert outcome.code in ("timeout", "process_limit")
    if cage.parents is not None:
        made, error = (tmp_path / "out/made").read_text().split()
        assert int(made) < SMALL.processes
        assert error == "BlockingIOError"
    assert set(descendants(os.getpid())) <= before


def test_a_fork_bomb_is_bounded_where_there_are_no_control_groups(tmp_path, cage):
    code = """
while True:
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    except OSError:
        time.sleep(0.01)
    time.sleep(0.001)"""
    watched = dataclasses.replace(cage, parents=None)
    started = time.monotonic()
    outcome = run_python(code, tmp_path / "out", watched)
    assert outcome.code == "process_limit"
    assert time.monotonic() - started < 10


def test_ten_gigabytes_in_one_file_stop_at_the_limit(tmp_path, cage):
    code = """
block = bytes(1 << 20)
try:
    with open(out + '/big', 'wb', buffering=0) as stream:
        for _ in range(10_000):
            stream.write(block)
except OSError as error:
    answer = error.errno"""
    assert answer(code, tmp_path, cage) == 27
    assert (tmp_path / "out/big").stat().st_size <= SMALL.file_bytes


def test_ten_gigabytes_in_many_files_are_stopped(tmp_path, cage):
    code = """
block = bytes(1 << 20)
for number in range(10_000):
    with open(f'{out}/{number}', 'wb') as stream:
        stream.write(block)
    time.sleep(0.002)
time.sleep(60)"""
    outcome = run_python(code, tmp_path / "out", cage)
    assert (outcome.family, outcome.code) == ("user", "output_limit")
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) < 20 * SMALL.out_bytes


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_scratch_space_is_bounded(folder, tmp_path, cage):
    code = f"""
try:
    with open({folder!r} + '/big', 'wb', buffering=0) as stream:
        for _ in range(10_000):
            stream.write(bytes(1 << 20))
except OSError as error:
    answer = [error.errno, os.path.getsize({folder!r} + '/big')]"""
    number, size = answer(code, tmp_path, cage)
    assert number in (27, 28)
    assert size <= SMALL.tmp_bytes + MIB


def test_scratch_space_does_not_outlive_the_job(tmp_path, cage):
    assert answer("open('/tmp/left', 'w'); answer = 1", tmp_path, cage) == 1
    assert answer("answer = os.path.exists('/tmp/left')", tmp_path, cage) is False


def test_a_hub_cache_snapshot_can_be_read_through_its_links(tmp_path, cage):
    repo = tmp_path / "models--me--m"
    (repo / "blobs").mkdir(parents=True)
    (repo / "blobs/abc").write_text("weights")
    snapshot = repo / "snapshots/123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    code = f"answer = open({str(snapshot)!r} + '/model.safetensors').read()"
    assert answer(code, tmp_path, cage, read_only=(snapshot,)) == "weights"


def test_a_worker_that_dies_takes_its_job_along(tmp_path, cage):
    script = f"""
import sys
sys.path.insert(0, {str(Path(cage_module.__file__).parent.parent)!r})
from pathlib import Path
from evaluation.cage import find_cage
from evaluation.child import start_child, descendants
from tests.support.jobs import SMALL, python_job
import time
child = start_child(python_job('time.sleep(60)', Path({str(tmp_path)!r}) / 'out'),
                    cage=find_cage(), limits=SMALL)
time.sleep(0.5)
print(*descendants(child.process.pid), flush=True)
time.sleep(60)"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as worker:
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(pids) >= 2
        assert all(alive(pid) for pid in pids)
        worker.kill()
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(alive(pid) for pid in pids)


def test_without_bubblewrap_a_job_is_refused(monkeypatch):
    monkeypatch.setattr(cage_module, "_find_bubblewrap", lambda: None)
    with pytest.raises(PlatformError, match="bubblewrap") as caught:
        find_cage()
    assert caught.value.code == "cage_unavailable"


def test_without_bubblewrap_the_operator_may_allow_it_and_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(cage_module, "_find_bubblewrap", lambda: None)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    cage = find_cage(allow_uncaged=True)
    assert cage.facts()["cage"] == "uncaged"
    code = "import resource\nanswer = [resource.getrlimit(4), 'HF_TOKEN' in os.environ]"
    assert answer(code, tmp_path, cage) == [[0, 0], False]
    outcome = run_python("pass", tmp_path / "out", cage)
    assert outcome.confinement["cage"] == "uncaged"


def test_bubblewrap_that_is_refused_by_the_kernel_is_no_cage(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert cage_module._find_bubblewrap.__wrapped__() is None


def test_a_job_sees_its_spec_but_not_the_folder_around_it(tmp_path):
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    job = core_job("evaluate", spec, tmp_path / "out", read_only=[])
    assert spec in visible_paths(job.read_only)
    assert tmp_path not in visible_paths(job.read_only)


def test_the_filter_refuses_the_same_calls_on_both_machines():
    only_x86 = 3
    assert len(seccomp.X86_64_NUMBERS) == len(seccomp.AARCH64_NUMBERS) + only_x86
    for machine in ("x86_64", "aarch64"):
        program = seccomp.build_filter(machine)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 256
    assert seccomp.build_filter("riscv64") is None


def test_control_groups_are_gone_after_the_job(tmp_path, cage):
    if cage.parents is None:
        pytest.skip("needs writable control groups")
    folders = set(cage.parents.folders.values())
    before = {path for folder in folders for path in folder.glob("modelguild-*")}
    run_python("pass", tmp_path / "out", cage)
    assert {path for folder in folders for path in folder.glob("modelguild-*")} <= before


def test_groups_of_killed_workers_are_swept(cage):
    if cage.parents is None:
        pytest.skip("needs writable control groups")
    group = cgroups.make_group(cage.parents, memory_bytes=64 * MIB, processes=8)
    cgroups.sweep(cage.parents)
    assert all(folder.is_dir() for folder in group.folders.values())
    cgroups.sweep(cage.parents, older_than_s=-1)
    assert not any(folder.is_dir() for folder in group.folders.values())


def test_a_group_that_cannot_be_made_leaves_nothing(tmp_path):
    parents = cgroups.Parents(1, {"memory": tmp_path / "memory", "pids": tmp_path / "absent/pids"})
    (tmp_path / "memory").mkdir()
    with pytest.raises(OSError, match="No such file"):
        cgroups.make_group(parents, memory_bytes=1, processes=1)
    assert not list((tmp_path / "memory").iterdir())
