"""Keeping the worker's Hub cache within bounds: what was used longest ago goes first."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 600.0


@dataclass
class _Clock:
    next_check: float = 0.0


_clock = _Clock()


def trim_cache_now_and_then(cache_dir: Path, *, limit_bytes: int) -> None:
    """`trim_cache`, at most every ten minutes; the look through the folders takes time."""
    if time.monotonic() < _clock.next_check:
        return
    _clock.next_check = time.monotonic() + CHECK_EVERY_S
    trim_cache(cache_dir, limit_bytes=limit_bytes)


def trim_cache(cache_dir: Path, *, limit_bytes: int) -> int:
    """Removes revisions until the cache holds at most `limit_bytes`; returns the bytes freed.

    A run that is going on keeps its files: they are linked into its own folder.
    """
    try:
        info = scan_cache_dir(cache_dir)
    except (CacheNotFound, ValueError):
        return 0
    excess = info.size_on_disk - limit_bytes
    revisions = sorted(
        ((repo.last_accessed, revision) for repo in info.repos for revision in repo.revisions),
        key=lambda pair: (pair[0], pair[1].commit_hash),
    )
    chosen: list[str] = []
    freed = 0
    for _, revision in revisions:
        if freed >= excess:
            break
        chosen.append(revision.commit_hash)
        freed = info.delete_revisions(*chosen).expected_freed_size
    if chosen:
        info.delete_revisions(*chosen).execute()
        logger.info("cache: %s revisions removed, %s bytes freed", len(chosen), freed)
    return freed
