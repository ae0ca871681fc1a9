"""`hf auth login` without a token: the newest client in a terminal, its user in a browser."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Machine
from tests.support.live_site import LiveSite

PASSWORD = "a-Long-enough-secret-4"
TIMEOUT_S = 60
CODE = re.compile(r"[A-Z]{4}-[A-Z]{4}")


class Terminal:
    """A program whose output goes to a terminal; `text` is what it has shown so far.

    Nothing is typed: without a keyboard the client asks no questions and takes the browser.
    """

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def read(self) -> str:
        """Waits for more; at the end of the program nothing more comes."""
        assert select.select([self.ours], [], [], TIMEOUT_S)[0], f"it is silent\n{self.text}"
        try:
            more = os.read(self.ours, 4096).decode(errors="replace")
        except OSError:  # how Linux tells the end
            more = ""
        self.text += more
        return more

    def read_until(self, pattern: re.Pattern[str]) -> str:
        while not (found := pattern.search(self.text)):
            assert self.read(), f"the program ended\n{self.text}"
        return found.group()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def machine(live_site: LiveSite, tmp_path: Path) -> Machine:
    """A machine whose user has a password here, and which has no token yet."""
    live_site.create_user("dora", password=PASSWORD)
    return Machine(live_site, tmp_path, "dora", None, {})


def sign_in(page: Any) -> None:
    page.goto("/device")
    page.fill("[name=login]", "dora")
    page.fill("[name=password]", PASSWORD)
    page.click("main [type=submit]")


def test_a_terminal_logs_in_through_the_browser(machine: Machine, page: Any) -> None:
    """S44, S45: the code, the page, the token, and the next token when its time comes."""
    own = {"HF_HOME": str(machine.folder / "hf-home"), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    env = machine.site.client_env(**own, TERM="xterm")
    terminal = Terminal([str(Path(sys.executable).with_name("hf")), "auth", "login"], env)
    try:
        code = terminal.read_until(CODE)
        assert f"{machine.site.base_url}/device?user_code={code}" in terminal.text
        sign_in(page)
        page.fill("[name=user_code]", code.lower())
        page.click("main [type=submit]")
        assert code in page.text_content("main")
        assert "huggingface_hub" in page.text_content("main")
        page.fill("[name=name]", "the terminal")
        page.click("button[value=allow]")
        assert "the terminal" in page.text_content("main")
        while terminal.read():
            pass
        assert terminal.process.wait() == 0, terminal.text
    finally:
        terminal.close()
    assert machine.python("result = api.whoami()['name']") == "dora"
    assert renewed(machine) == ["the terminal", True, "dora"]
    page.goto("/settings/tokens")
    assert page.locator("tbody tr").count() == 1, "the next token stands in its place"


def renewed(machine: Machine) -> Any:
    """Lets the stored token be about to end; the client fetches the next one by itself."""
    return machine.python(
        """
        import time
        from huggingface_hub.utils import _auth
        before = pathlib.Path(os.environ["HF_HOME"], "token").read_text()
        (name, fields), = _auth._read_stored_tokens_full().items()
        _auth._save_token(
            token=before, token_name=name, refresh_token=fields["refresh_token"],
            expires_at=int(time.time()) + 3600,
        )
        user = api.whoami()["name"]
        after = pathlib.Path(os.environ["HF_HOME"], "token").read_text()
        result = [name, before != after and get_token() == after, user]
        """
    )


def test_a_refusal_is_told_in_the_terminal(live_site: LiveSite, tmp_path: Path) -> None:
    machine = Machine(live_site, tmp_path, "nobody", None, {})
    asked = machine.python(
        """
        from huggingface_hub.utils import _oauth_device
        result = _oauth_device.request_device_code()
        """
    )
    live_site.execute(
        "from hub.actions.devices import deny_device\n"
        "from hub.devices import read_code\n"
        "from hub.models import DeviceRequest, User\n"
        "from hub.actions.accounts import create_user\n"
        "user = create_user(username='denier', email='denier@example.org')\n"
        "deny_device(request=DeviceRequest.objects.get(user_code=read_code(shown)), user=user)\n"
        "result = None",
        shown=asked["user_code"],
    )
    told = machine.python(
        f"""
        from huggingface_hub.errors import DeviceCodeError
        from huggingface_hub.utils import _oauth_device
        try:
            _oauth_device.poll_device_token({asked!r})
        except DeviceCodeError as error:
            result = [str(error), error.error_code]
        """
    )
    assert "denied" in told[0]
    assert told[1] == "access_denied"
