"""What of the machine a caged job sees: arguments for bubblewrap. No Django."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import ml_core

SYSTEM_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
KERNEL_FILES = ("--proc", "/proc", "--dev", "/dev")
READ_ONLY_KERNEL_FILES = tuple(
    f"/proc/{name}"
    for name in ("sys", "sysrq-trigger", "irq", "bus", "fs", "pressure", "acpi", "scsi", "mtrr")
)
HIDDEN_KERNEL_FILES = tuple(
    f"/proc/{name}"
    for name in (
        *("config.gz", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys", "kmsg"),
        *("kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "pagetypeinfo"),
        *("sched_debug", "slabinfo", "timer_list", "vmallocinfo"),
    )
)
GPU_PATTERNS = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-modeset", "nvidia-caps/*")
GPU_MODULES = ("nvidia", "nvidia_uvm")


def system_binds() -> list[str]:
    """Read-only system folders: /usr, the links into it, and the loader's cache."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM_FOLDERS:
        folder = Path(name)
        if folder.is_symlink():
            arguments += ["--symlink", str(folder.readlink()), name]
        elif folder.is_dir():
            arguments += ["--ro-bind", name, name]
    for name in SYSTEM_FILES:
        arguments += ["--ro-bind-try", name, name]
    return arguments


def closed_kernel_files() -> list[str]:
    """/proc without what a worker run by root would let a job write or learn.

    The job's user stands for the worker's own, so where that is root the kernel's settings, such as
    the program that takes core dumps, would be open to it.
    """
    arguments = []
    for name in READ_ONLY_KERNEL_FILES:
        arguments += ["--ro-bind-try", name, name]
    for name in HIDDEN_KERNEL_FILES:
        if Path(name).is_file():
            arguments += ["--ro-bind", "/dev/null", name]
    return arguments


def visible_paths(named: Iterable[Path]) -> list[Path]:
    """Paths bound read-only besides the system: this Python, `ml_core`, and those `named`.

    A snapshot in a Hub cache is links into the blobs beside it, so those come along.
    """
    wanted = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent]
    wanted.append(Path(ml_core.__file__).resolve().parent)
    for path in named:
        wanted.append(path)
        if path.parent.name == "snapshots":
            wanted.append(path.parent.parent / "blobs")
    kept: list[Path] = []
    for path in sorted({Path(os.path.abspath(path)) for path in wanted}):  # noqa: PTH100  # keep links
        inside_system = path.is_relative_to("/usr") or path == Path("/")
        if path.exists() and not inside_system and not any(path.is_relative_to(k) for k in kept):
            kept.append(path)
    return kept


def gpu_binds(root: Path = Path("/")) -> list[str]:
    """NVIDIA GPUs of this machine: device files, and what CUDA asks the kernel about them.

    CUDA does not start (error 304, "OS call failed") where it cannot read that the driver's modules
    are live, and on some machines where it cannot find the GPU on its bus.

    Source: reports for bubblewrap and nspawn, systemd issue 38018 and bubblejail 0.9.2; NVIDIA says
    nowhere which files these are.
    """
    arguments = []
    for path in _found(root / "dev", GPU_PATTERNS):
        arguments += ["--dev-bind", path, path]
    for path in _found(root / "sys/module", GPU_MODULES):
        arguments += ["--ro-bind", path, path]
    for gpu in _found(root / "proc/driver/nvidia/gpus", ("*",)):
        path = str(root / "sys/bus/pci/devices" / Path(gpu).name)
        arguments += ["--ro-bind-try", path, path]
    return arguments


def _found(folder: Path, patterns: Iterable[str]) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in folder.glob(pattern))
