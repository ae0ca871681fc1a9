"""Memory and process limits of a job by control groups, where this machine lets us make them.

Version 1 needs writable `memory` and `pids` hierarchies. Version 2 needs both controllers enabled
for the children of our own group (systemd: `Delegate=yes` and the worker in a group below). Where
neither holds, the runner watches memory and processes itself.
"""

import contextlib
import os
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("memory", "pids")
PREFIX = "modelguild-"
SETTLE_S = 2.0
STALE_S = 60.0


@dataclass(frozen=True)
class Parents:
    """Groups below which a job's groups are made, by controller; one group in version 2."""

    version: int
    folders: dict[str, Path]


@dataclass(frozen=True)
class Group:
    """The groups of one job."""

    version: int
    folders: dict[str, Path]

    @property
    def join_files(self) -> list[str]:
        """Files into which a process writes its id to be limited."""
        return sorted({str(folder / "cgroup.procs") for folder in self.folders.values()})

    def memory_bytes(self) -> int:
        """What the job's processes and its temporary files hold now."""
        name = "memory.usage_in_bytes" if self.version == 1 else "memory.current"
        return _read_number(self.folders["memory"] / name)

    def was_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the job for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _read_counter(self.folders["memory"] / name, "oom_kill") > 0

    def kill(self) -> None:
        """End every process of the job."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """End what is left of the job, and the groups with it."""
        deadline = time.monotonic() + SETTLE_S
        for folder in set(self.folders.values()):
            while folder.is_dir():
                self.kill()
                with contextlib.suppress(OSError):
                    folder.rmdir()
                if time.monotonic() > deadline:
                    break
                if folder.is_dir():
                    time.sleep(0.01)

    def _pids(self) -> set[int]:
        pids: set[int] = set()
        for file in self.join_files:
            with contextlib.suppress(OSError):
                pids |= {int(line) for line in Path(file).read_text(encoding="ascii").split()}
        return pids


def find_parents() -> Parents | None:
    """Where groups can be made on this machine, tried by making one; None where they cannot."""
    for parents in (_version_1(), _version_2()):
        if parents is None:
            continue
        try:
            make_group(parents, memory_bytes=1 << 30, processes=64).remove()
        except (OSError, ValueError):
            continue
        sweep(parents)
        return parents
    return None


def sweep(parents: Parents, *, older_than_s: float = STALE_S) -> None:
    """Remove the groups of workers that were killed; one with a process in it stays."""
    oldest = time.time() - older_than_s
    for folder in set(parents.folders.values()):
        for group in folder.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if group.stat().st_mtime <= oldest:
                    group.rmdir()


def make_group(parents: Parents, *, memory_bytes: int, processes: int) -> Group:
    """A group with these limits. Raises OSError."""
    name = f"{PREFIX}{uuid.uuid4().hex}"
    group = Group(parents.version, {c: f / name for c, f in parents.folders.items()})
    try:
        for folder in set(group.folders.values()):
            folder.mkdir()
        memory = group.folders["memory"]
        if group.version == 1:
            _write(memory / "memory.limit_in_bytes", memory_bytes)
            _write_if_there(memory / "memory.memsw.limit_in_bytes", memory_bytes)
        else:
            _write(memory / "memory.max", memory_bytes)
            _write_if_there(memory / "memory.swap.max", 0)
            _write_if_there(memory / "memory.oom.group", 1)
        _write(group.folders["pids"] / "pids.max", processes)
    except OSError:
        group.remove()
        raise
    return group


def _version_1() -> Parents | None:
    own, mounts = _own_paths(), _mounts("cgroup")
    folders = {}
    for controller in CONTROLLERS:
        mount = mounts.get(controller)
        if mount is None:
            return None
        inside = mount / own.get(controller, "").lstrip("/")
        folders[controller] = inside if inside.is_dir() else mount
    return Parents(1, folders)


def _version_2() -> Parents | None:
    mount = _mounts("cgroup2").get("")
    if mount is None:
        return None
    inside = mount / _own_paths().get("", "").lstrip("/")
    folder = inside if inside.is_dir() else mount
    try:
        enabled = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
    except OSError:
        return None
    if not set(CONTROLLERS) <= set(enabled):
        return None
    return Parents(2, dict.fromkeys(CONTROLLERS, folder))


def _own_paths() -> dict[str, str]:
    """Path of our own group by controller; "" is version 2."""
    paths: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _mounts(kind: str) -> dict[str, Path]:
    """Mount point by controller; "" for version 2."""
    mounts: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, point, filesystem, options, *_ = line.split(" ")
            if filesystem == kind == "cgroup2":
                mounts[""] = Path(point)
            elif filesystem == kind:
                mounts |= {c: Path(point) for c in options.split(",") if c in CONTROLLERS}
    return mounts


def _write(path: Path, value: int) -> None:
    path.write_text(str(value), encoding="ascii")


def _write_if_there(path: Path, value: int) -> None:
    with contextlib.suppress(OSError):
        _write(path, value)


def _read_number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _read_counter(path: Path, name: str) -> int:
    """The number behind `name` in a file of "name number" lines."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
