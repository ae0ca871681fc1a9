"""The official clients as people install them, over both ways large files can go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client import Machine
from tests.support.live_site import LiveSite

TRANSPORTS = {"xet": {}, "lfs": {"HF_HUB_DISABLE_XET": "1"}}


@pytest.fixture(params=TRANSPORTS)
def machine(request: pytest.FixtureRequest, live_site: LiveSite, tmp_path: Path) -> Machine:
    """A new user's machine; once with Xet (the default), once without."""
    return Machine.of_new_user(live_site, tmp_path, transport=TRANSPORTS[request.param])


@pytest.fixture
def xet_machine(live_site: LiveSite, tmp_path: Path) -> Machine:
    """A new user's machine with the default set-up."""
    return Machine.of_new_user(live_site, tmp_path)
