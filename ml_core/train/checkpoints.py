"""Checkpoints that a crash cannot spoil: whole ones are found again, others are left aside.

A checkpoint is written into a folder with a name of its own, every file is brought to the disk, a
manifest with sizes and SHA-256 is written last, and the folder is renamed. Whatever dies in
between leaves a folder that no name of a checkpoint matches. One that is read is checked against
its manifest first, so neither a torn write nor a damaged disk is ever trained on.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_core.data.rows import sha256_of
from ml_core.records import RecordError, from_json, to_json
from ml_core.train.progress import Progress

MANIFEST = "manifest.json"
UNFINISHED = ".writing-"
NAME = re.compile(r"step-(\d{8})")
MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Stamp:
    """Size and digest of a file."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of. `identity` says of which training it is."""

    step: int
    identity: str
    files: dict[str, Stamp]

    @property
    def size_bytes(self) -> int:
        return sum(stamp.size_bytes for stamp in self.files.values())


@dataclass(frozen=True)
class Found:
    """The newest checkpoint that is whole, None where there is none, and those left aside."""

    folder: Path | None
    skipped: tuple[str, ...]


def name_of(step: int) -> str:
    """The folder's name of the checkpoint after `step` steps."""
    return f"step-{step:08d}"


def save_checkpoint(root: Path, step: int, identity: str, fill: Callable[[Path], None]) -> Manifest:
    """Write the checkpoint of `step` below `root`; `fill` writes its files into a folder.

    One of the same step that is there already is replaced.
    """
    root.mkdir(parents=True, exist_ok=True)
    writing = root / f"{UNFINISHED}{name_of(step)}"
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    fill(writing)
    files = {str(path.relative_to(writing)): _stamp(path) for path in _files(writing)}
    manifest = Manifest(step, identity, files)
    (writing / MANIFEST).write_text(json.dumps(to_json(manifest)), encoding="utf-8")
    publish(writing, root / name_of(step))
    return manifest


def publish(writing: Path, final: Path) -> None:
    """Bring a folder to the disk and give it its name, in one step; what had it is deleted."""
    for path in _files(writing):
        _sync(path)
    for path in (writing, *(p for p in writing.rglob("*") if p.is_dir())):
        _sync(path)
    if final.exists():
        old = final.with_name(f"{UNFINISHED}old-{final.name}")
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
        writing.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        writing.rename(final)
    _sync(final.parent)


def find_checkpoint(roots: Iterable[Path], identity: str) -> Found:
    """The newest whole checkpoint of the training `identity` below any of `roots`.

    Where the best weights so far are those of an earlier step, that checkpoint must be whole too.
    """
    skipped: list[str] = []
    known = list(roots)
    for folder in sorted(_candidates(known), key=lambda path: path.name, reverse=True):
        problem = find_fault(folder, identity) or _best_fault(folder, known, identity)
        if problem is None:
            return Found(folder, tuple(skipped))
        skipped.append(f"{folder.name}: {problem}")
    return Found(None, tuple(skipped))


def find_fault(folder: Path, identity: str) -> str | None:
    """What is wrong with a checkpoint, None where it is whole."""
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    if manifest.identity != identity:
        return "it is of another training"
    for name, stamp in manifest.files.items():
        path = folder / name
        try:
            if path.stat().st_size != stamp.size_bytes or sha256_of(path) != stamp.sha256:
                return f"{name} is damaged"
        except OSError:
            return f"{name} is missing"
    return None


def read_manifest(folder: Path) -> Manifest:
    """Raises OSError, or ValueError for a file that holds no manifest."""
    with (folder / MANIFEST).open("rb") as stream:
        raw = stream.read(MAX_MANIFEST_BYTES)
    try:
        manifest = from_json(Manifest, json.loads(raw))
    except RecursionError as error:
        raise RecordError("", "it is nested too deeply") from error
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in manifest.files):
        raise RecordError("files", "a path leads out of the checkpoint")
    return manifest


def locate(roots: Iterable[Path], step: int, identity: str) -> Path | None:
    """The whole checkpoint of `step` below one of `roots`."""
    for root in roots:
        folder = root / name_of(step)
        if folder.is_dir() and find_fault(folder, identity) is None:
            return folder
    return None


def adopt(folder: Path, root: Path) -> None:
    """Copy a checkpoint below `root`, where it is not there."""
    final = root / folder.name
    if final.exists():
        return
    root.mkdir(parents=True, exist_ok=True)
    writing = root / f"{UNFINISHED}{folder.name}"
    shutil.rmtree(writing, ignore_errors=True)
    shutil.copytree(folder, writing)
    publish(writing, final)


def clear(root: Path, *, keep: int, best_step: int | None, above: int | None = None) -> None:
    """Delete all checkpoints but the newest `keep` and the best, and what was never finished.

    Args:
        above: those of later steps are deleted too: they are damaged, or of a path not taken.
    """
    if not root.is_dir():
        return
    for path in root.iterdir():
        if path.name.startswith(UNFINISHED):
            shutil.rmtree(path, ignore_errors=True)
    there = sorted(_candidates([root]), key=lambda path: path.name)
    if above is not None:
        for path in [p for p in there if p.name > name_of(above)]:
            shutil.rmtree(path, ignore_errors=True)
            there.remove(path)
    best = None if best_step is None else name_of(best_step)
    for path in there[: max(0, len(there) - keep)]:
        if path.name != best:
            shutil.rmtree(path, ignore_errors=True)


def _best_fault(folder: Path, roots: list[Path], identity: str) -> str | None:
    try:
        progress = Progress.read(folder)
    except (OSError, ValueError) as error:
        return f"its progress cannot be read ({type(error).__name__})"
    best = progress.best_step
    if best in (None, 0, progress.step) or locate(roots, best, identity):
        return None
    return f"the best so far, {name_of(best)}, is missing or damaged"


def _candidates(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_dir():
            yield from (p for p in root.iterdir() if NAME.fullmatch(p.name) and p.is_dir())


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _stamp(path: Path) -> Stamp:
    return Stamp(path.stat().st_size, sha256_of(path))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
