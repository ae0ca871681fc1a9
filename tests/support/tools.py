"""Programs from outside that some tests need."""

from __future__ import annotations

import shutil


def missing_tool(*names: str, package: str) -> tuple[str | None, str]:
    """The path of the first of `names` on PATH, or None and one line that says what to install."""
    for name in names:
        if path := shutil.which(name):
            return path, ""
    return None, f"needs {names[0]}: apt-get install {package}"
