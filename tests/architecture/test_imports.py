"""Which package may know which: the contracts of pyproject.toml, and what really gets loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "datasets", "accelerate", "sklearn")


def _loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `statement`."""
    names = "sorted({name.partition('.')[0] for name in sys.modules})"
    code = f"{statement}\nimport json, sys; print(json.dumps({names}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings_test"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_web_side_loads_no_torch():
    loaded = _loaded_after(
        "import django; django.setup()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "import config.wsgi"
    )
    assert "config" in loaded
    assert not loaded & {*HEAVY, "pyarrow"}


def test_celery_application_loads_no_torch():
    loaded = _loaded_after(
        "import django; django.setup()\n"
        "from config.celery import app; app.loader.import_default_modules()"
    )
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("module", ["ml_core.formats", "ml_core.scan", "ml_core.metrics"])
def test_light_half_of_the_library_loads_neither_torch_nor_django(module):
    assert not _loaded_after(f"import {module}") & {*HEAVY, "django"}


@pytest.mark.parametrize("module", ["hub.vcs", "hub.storage", "hub.lfs.pointer", "hub.xet.shard"])
def test_pure_modules_of_the_hub_load_no_django(module):
    assert "django" not in _loaded_after(f"import {module}")
