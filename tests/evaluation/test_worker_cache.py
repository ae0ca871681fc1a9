"""The worker's cache gives up what was used longest ago."""

from __future__ import annotations

import os
from pathlib import Path

from evaluation.worker.cache import trim_cache


def cached(cache: Path, name: str, *, size_bytes: int, used_at: int) -> Path:
    """A repository with one file, laid out as the client does."""
    root = cache / f"models--me--{name}"
    commit = format(used_at, "040x")
    blob = root / "blobs" / format(used_at, "064x")
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x" * size_bytes)
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{blob.name}")
    (root / "refs").mkdir()
    os.utime(blob, (used_at, used_at))
    return blob


def test_oldest_goes_first_until_it_fits(tmp_path: Path) -> None:
    oldest = cached(tmp_path, "a", size_bytes=400, used_at=1000)
    middle = cached(tmp_path, "b", size_bytes=400, used_at=2000)
    newest = cached(tmp_path, "c", size_bytes=400, used_at=3000)
    assert trim_cache(tmp_path, limit_bytes=900) == 400
    assert [blob.exists() for blob in (oldest, middle, newest)] == [False, True, True]


def test_files_linked_into_a_run_survive(tmp_path: Path) -> None:
    blob = cached(tmp_path / "cache", "a", size_bytes=10, used_at=1000)
    os.link(blob, tmp_path / "in-use")
    trim_cache(tmp_path / "cache", limit_bytes=0)
    assert not blob.exists()
    assert (tmp_path / "in-use").read_bytes() == b"x" * 10


def test_cache_within_its_bounds_or_absent_is_left_alone(tmp_path: Path) -> None:
    blob = cached(tmp_path, "a", size_bytes=10, used_at=1000)
    assert trim_cache(tmp_path, limit_bytes=100) == 0
    assert blob.exists()
    assert trim_cache(tmp_path / "none", limit_bytes=0) == 0
