"""The hub as a worker sees it, on a local folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from evaluation.worker.fetch import RemoteFile, Source


class FolderHub:
    """Stands in for `list_files` and `fetch_files`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list_files(self, source: Source) -> list[RemoteFile]:
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return [RemoteFile(p.relative_to(self.root).as_posix(), p.stat().st_size) for p in files]

    def fetch_files(self, source: Source, paths: Sequence[str], folder: Path) -> list[Path]:
        for path in paths:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / path, target)
        return [folder / path for path in paths]
