"""A worker makes itself known: what it is, that it lives, that it goes."""

from __future__ import annotations

import logging
import platform
import shutil
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from evaluation.actions.workers import (
    announce_stop,
    beat_worker,
    register_worker,
    retire_worker,
)
from evaluation.models import Worker

logger = logging.getLogger(__name__)

BEAT_S = 10.0
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "datasets", "huggingface-hub")
_stop = threading.Event()


@dataclass
class _Self:
    """Which worker this process belongs to; a pool's children inherit it."""

    name: str = ""


_self = _Self()


def belong_to(name: str) -> None:
    """Says once, before the pool forks, which worker this is."""
    _self.name = name


def belongs_to_worker() -> bool:
    return bool(_self.name)


def appear(name: str, *, slots: int) -> Worker:
    """Registers this process as the worker `name` and keeps its row alive from a thread."""
    _self.name = name
    worker = register_worker(
        name=name, pools=settings.WORKER_POOLS, slots=slots, device=device(), versions=versions()
    )
    _stop.clear()
    threading.Thread(target=_beat, args=(name,), name="presence", daemon=True).start()
    return worker


def begin_to_stop(name: str) -> None:
    """Takes nothing new; runs in work are handed back."""
    _safely(announce_stop, name)


def disappear(name: str) -> None:
    """The last word: whatever the worker still holds goes back to the queue at once."""
    _stop.set()
    _safely(retire_worker, name)


def this_worker() -> Worker:
    """The row of the worker that this process belongs to; made on the spot outside of Celery."""
    name = _self.name or f"local@{socket.gethostname()}"
    worker = Worker.objects.filter(name=name).first()
    if worker is not None:
        return worker
    return register_worker(
        name=name, pools=settings.WORKER_POOLS, slots=1, device=device(), versions=versions()
    )


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide a score."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def device() -> str:
    """The machine in a few words, read without torch; its GPUs first."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    kinds = Counter(gpu_names(NVIDIA_GPUS))
    kinds[names[0] if names else platform.machine()] = len(names) or 1
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.items())[:80]


def gpu_names(folder: Path) -> list[str]:
    """The make of each NVIDIA GPU, as the driver tells it in a folder a GPU."""
    names = []
    for path in sorted(folder.glob("*/information")):
        with suppress(OSError):
            fields = dict(
                line.split(":", 1) for line in path.read_text("utf-8").splitlines() if ":" in line
            )
            names.append(fields.get("Model", "").strip() or "NVIDIA GPU")
    return names


def _beat(name: str) -> None:
    while not _stop.wait(BEAT_S):
        _safely(beat_worker, name, disk_free_bytes=disk_free_bytes())
        connection.close()


def disk_free_bytes() -> int | None:
    """Room where jobs and cache are; None where it cannot be told."""
    try:
        return shutil.disk_usage(settings.WORKER_DIR).free
    except OSError:
        return None


def _safely(action: Any, name: str, **more: Any) -> None:
    try:
        action(name=name, **more)
    except DatabaseError:
        logger.warning("worker %s: %s did not reach the database", name, action.__name__)
        connection.close()
