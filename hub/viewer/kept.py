"""Answers and media that the viewer keeps on disk, as far as there is room.

Not in the cache: that is small and others rely on it, and strangers choose how much is kept here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
from django.conf import settings

from hub.viewer.errors import DataError, ViewerBusy

KEPT_BYTES = 2 * 1024**3
SMALLEST_BYTES = 32 * 1024
"""As which the smallest files count, so that their number has a limit, too."""
ERROR_KEPT_S = 300
LOCKS = 64
LOCK_TIMEOUT_S = 30
_PASSING = frozenset({"FileUnavailable"})
_since_room = [KEPT_BYTES]
"""Bytes that this process kept since it last made room."""


def place_of(repo_id: int, *what: object) -> Path:
    """Where the answer to a question about a repository is kept."""
    text = json.dumps(what, default=str)
    return _root() / str(repo_id) / f"{hashlib.sha256(text.encode()).hexdigest()}.kept"


def answer_of(place: Path, find: Callable[[], Any]) -> Any:
    """What `find` answers, as JSON: kept from before or found now.

    Raises:
        DataError: raised by `find`, now or a few minutes ago.
    """
    kept = kept_answer(place)
    if kept is None:
        kept = _found(find)
        if kept.get("error", {}).get("code") not in _PASSING:
            keep(place, json.dumps(kept).encode())
    if "error" in kept:
        raise DataError(**kept["error"])
    return kept["answer"]


def kept_answer(place: Path) -> dict[str, Any] | None:
    """`{"answer"}` or `{"error"}`, if one is at hand."""
    with suppress(FileNotFoundError, ValueError):
        kept: dict[str, Any] = json.loads(place.read_bytes())
        if kept["until"] is None or time.time() < kept["until"]:
            return kept
    return None


def _found(find: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"until": None, "answer": find()}
    except DataError as error:
        facts = {"code": error.code, "message": error.message, **error.details}
        return {"until": time.time() + ERROR_KEPT_S, "error": facts}


def keep(place: Path, data: bytes) -> None:
    """Keeps `data`; what was kept first goes where there is no more room."""
    with suppress(FileNotFoundError):  # where the repository is forgotten meanwhile
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, suffix=".new")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(place)
    _since_room[0] += max(len(data), SMALLEST_BYTES)
    if _since_room[0] > KEPT_BYTES // 64:
        _since_room[0] = 0
        _make_room()


@contextmanager
def one_at_a_time(place: Path) -> Iterator[None]:
    """Lets one request at a time fetch what is kept there. Raises `ViewerBusy`."""
    locks = _root() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(locks / f"{int(place.stem, 16) % LOCKS}.lock", timeout=LOCK_TIMEOUT_S)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise ViewerBusy from None
    try:
        yield
    finally:
        lock.release()


def forget_kept(repo_id: int) -> None:
    """Removes what is kept of a repository."""
    shutil.rmtree(_root() / str(repo_id), ignore_errors=True)


def _root() -> Path:
    return Path(settings.DATA_DIR) / "viewer"


def _make_room() -> None:
    """Removes what was kept first where all together takes more than `KEPT_BYTES`."""
    total = 0
    for _, size, path in sorted(_all_kept(), reverse=True):
        total += size
        if total > KEPT_BYTES:
            path.unlink(missing_ok=True)


def _all_kept() -> Iterator[tuple[float, int, Path]]:
    for path in _root().glob("[0-9]*/*"):
        with suppress(FileNotFoundError):
            facts = path.stat()
            yield facts.st_mtime, max(facts.st_size, SMALLEST_BYTES), path
