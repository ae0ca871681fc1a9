"""What the site keeps, and time enough for property tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from hub.models import Blob, RepoBlob, RepoXorb, XetFile, Xorb, XorbChunk

# A busy machine makes no test wrong.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture
def kept(data_dir: Path) -> Callable[[], dict[str, Any]]:
    """Everything an upload could leave behind: rows, objects of the store, staged files."""
    models = (Blob, RepoBlob, RepoXorb, XetFile, Xorb, XorbChunk)

    def look() -> dict[str, Any]:
        counts: dict[str, Any] = {model.__name__: model.objects.count() for model in models}
        for folder in ("store", "tmp"):
            files = (data_dir / folder).rglob("*")
            counts[folder] = sorted(str(path) for path in files if path.is_file())
        return counts

    return look
