"""Joining what commits and pushes leave one by one: loose objects and small packs into one pack.

Nothing is ever pruned: objects that no ref leads to go into the pack as well, so that a push in
flight that builds on one, and whoever opens an old commit by its id, find it. Git writes the new
pack whole before it removes what the pack holds, and readers look again for what has moved, so no
lock is held; writers make a folder again that has been emptied under their hands.

Source: git-repack(1).
"""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hub.vcs.errors import VcsError
from hub.vcs.gitprocess import GitProcess, ProcessLimits

_PACK_WEIGHT = 100
"""Each object is looked for in one pack after the other; a loose one costs a file."""
_LEFTOVER_S = 24 * 3600
"""Longer than anybody writes a pack."""


class RepackFailed(VcsError):
    """Git did not join the objects; they are as they were."""

    def __init__(self, reason: str) -> None:
        super().__init__("the objects could not be joined", reason=reason)


@dataclass(frozen=True, slots=True)
class Clutter:
    """Into how many files the objects of a repository are scattered."""

    loose: int
    packs: int

    @property
    def weight(self) -> int:
        """What that costs readers, in loose objects."""
        return self.loose + _PACK_WEIGHT * max(0, self.packs - 1)


def clutter_of(repository: Path) -> Clutter:
    objects = repository / "objects"
    loose = sum(1 for folder in objects.glob("[0-9a-f][0-9a-f]") for _ in _entries(folder))
    return Clutter(loose, sum(1 for path in _entries(objects / "pack") if path.suffix == ".pack"))


def repack(repository: Path, limits: ProcessLimits) -> None:
    """Joins all objects into one pack.

    Raises:
        RepackFailed: they are as they were, in time or not.
    """
    _remove_leftovers(repository / "objects" / "pack")
    argv = ["-C", str(repository), "repack", "-a", "-d", "-k", "-n", "-q"]
    with GitProcess(argv, limits=limits) as process:
        try:
            status = process.wait()
        except subprocess.TimeoutExpired:
            raise RepackFailed(f"it took longer than {limits.time_s:.0f} seconds") from None
        if status:
            raise RepackFailed(process.errors().strip()[:300])


def _entries(folder: Path) -> Iterator[Path]:
    """What is in a folder that may vanish meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        yield from folder.iterdir()


def _remove_leftovers(folder: Path) -> None:
    """Unfinished packs of processes that were killed."""
    oldest = time.time() - _LEFTOVER_S
    for path in _entries(folder):
        if path.name.startswith((".tmp-", "tmp_")):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
