"""A machine of somebody who uses the official clients: a home, a token, a folder of files."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_site import ROOT, LiveSite

_numbers = itertools.count(1)
_RESULT = "RESULT "
_START = "import json, os, pathlib\nfrom huggingface_hub import *\napi = HfApi()\n"
_END = f"\nprint('{_RESULT}' + json.dumps(globals().get('result')))\n"
TIMEOUT_S = 240

NEWEST = "newest"
"""The client that the site itself uses; older ones are named by their version."""
_LOCKS = ROOT / "tests" / "clients"
_INSTALLED = ROOT / ".venv" / "clients"


def generations() -> list[Any]:
    """Each huggingface_hub that the site must serve, as parameters: the newest, then oldest first.

    They differ in what they ask, not in the database behind it: older ones meet one of them.
    """
    names = [path.stem for path in _LOCKS.glob("*.txt")]
    names.sort(key=lambda name: tuple(map(int, name.split("."))))
    return [NEWEST, *(pytest.param(name, marks=pytest.mark.pure) for name in names)]


def client_path(version: str) -> dict[str, str]:
    """Environment in which Python finds that version of huggingface_hub."""
    if version == NEWEST:
        return {}
    folder = _INSTALLED / version
    if not (folder / "huggingface_hub").is_dir():
        message = f"needs huggingface_hub {version}: make .venv/clients.stamp"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return {"PYTHONPATH": str(folder)}


@dataclass
class Machine:
    """Runs unmodified clients against the site; `folder` is their working folder."""

    site: LiveSite
    folder: Path
    user: str
    token: str | None
    transport: dict[str, str]

    @classmethod
    def of_new_user(
        cls, site: LiveSite, folder: Path, *, transport: dict[str, str] | None = None
    ) -> Machine:
        user = f"person{next(_numbers)}"
        work = folder / user
        work.mkdir()
        return cls(site, work, user, site.user_with_token(user), transport or {})

    def python(self, code: str, *, check: bool = True, **env: str) -> Any:
        """What `code` leaves in `result`; `api` is an `HfApi`, all of huggingface_hub is at hand.

        With `check` False, the finished process.
        """
        text = _START + f"me = {self.user!r}\n" + textwrap.dedent(code) + _END
        done = self._run([sys.executable, "-c", text], check=check, **env)
        if not check:
            return done
        lines = [line for line in done.stdout.splitlines() if line.startswith(_RESULT)]
        return json.loads(lines[-1].removeprefix(_RESULT))

    def program(self, path: Path, **env: str) -> str:
        """What the Python program at `path` prints, with nothing of ours to import."""
        return self._run([sys.executable, str(path)], check=True, **env).stdout

    def hf(self, *argv: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """The command line client."""
        return self._run([str(Path(sys.executable).with_name("hf")), *argv], check=check, **env)

    def _run(self, argv: list[str], *, check: bool, **env: str) -> subprocess.CompletedProcess[str]:
        own = {"HF_HOME": str(self.folder / "hf-home"), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        done = subprocess.run(
            argv, cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT_S,
            env=self.site.client_env(self.token, **own, **self.transport, **env),
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(
                f"{' '.join(argv[:1] + argv[2:] if argv[1:2] == ['-c'] else argv)[:3000]}\n"
                f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}\n{self.site.log('web')[-3000:]}"
            )
        return done
