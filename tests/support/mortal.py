"""Settings of a live site whose web process ends where a test says, and the way to say it.

The site itself knows nothing of this; `MortalConfig` wraps functions from outside once all
applications are loaded.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.apps import AppConfig

from config.settings import *  # noqa: F403  (a settings module)
from config.settings import DATA_DIR
from config.settings import INSTALLED_APPS as _APPS
from tests.support.deaths import Point, die

INSTALLED_APPS = [*_APPS, "tests.support.mortal.MortalConfig"]
_NEXT = "next-death"


def choose_death(data_dir: Path, point: str) -> Path:
    """From now on the site of that folder ends at `point`; the file given goes when it does."""
    path = data_dir / _NEXT
    path.write_text(point)
    return path


class MortalConfig(AppConfig):
    name = "tests.support"
    label = "mortal"

    def ready(self) -> None:
        for text in os.environ["MORTAL_POINTS"].splitlines():
            Point.parse(text).arm(lambda text=text: _next() == text, _end)


def _next() -> str:
    path = Path(DATA_DIR) / _NEXT
    return path.read_text() if path.exists() else ""


def _end() -> None:
    (Path(DATA_DIR) / _NEXT).unlink()
    die()
