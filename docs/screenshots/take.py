"""Takes the pictures of this folder from a running site with the finished demo.

`python docs/screenshots/take.py http://localhost:8000 [PASSWORD]` (of the demo's maintainer).
"""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent
BOARD = "/benchmarks/demo/interface-languages/language-identification"
PAGES = {
    "home": "/",
    "models": "/models",
    "model": "/demo/bert-tiny-languages",
    "files": "/demo/bert-tiny-languages/tree/main",
    "file": "/demo/bert-tiny-languages/blob/main/config.json",
    "evaluations": "/demo/bert-tiny-languages/evaluations",
    "data-set": "/datasets/demo/interface-languages",
    "leaderboard": BOARD,
    "contribute": "/contribute",
    "community": "/demo/bert-tiny/discussions",
    "pull-request": "/demo/bert-tiny/discussions/1",
    "pull-request-files": "/demo/bert-tiny/discussions/1/files",
}
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"


def main(base_url: str, password: str = "") -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS.split()
        )
        window = browser.new_page(base_url=base_url, viewport={"width": 1200, "height": 900})
        for name, path in {**PAGES, "run": newest_run(base_url)}.items():
            shoot(window, path, name)
        if password:
            sign_in(window, password)
            shoot(window, "/admin/", "dashboard")
        special(browser, base_url)
        browser.close()


def special(browser: Any, base_url: str) -> None:
    """The same board in the dark, in Chinese, and on a phone."""
    dark = browser.new_context(base_url=base_url, color_scheme="dark")
    shoot(dark.new_page(), BOARD, "leaderboard-dark")
    chinese = browser.new_context(base_url=base_url, locale="zh-CN")
    shoot(chinese.new_page(), BOARD, "leaderboard-zh")
    phone = browser.new_context(base_url=base_url, viewport={"width": 390, "height": 800})
    shoot(phone.new_page(), BOARD, "leaderboard-phone")


def shoot(window: Any, path: str, name: str) -> None:
    window.goto(path)
    window.wait_for_timeout(800)
    window.screenshot(path=FOLDER / f"{name}.png", full_page=True)


def sign_in(window: Any, password: str) -> None:
    window.goto("/accounts/login/")
    window.fill("[name=login]", "maintainer")
    window.fill("[name=password]", password)
    window.click("main [type=submit]")
    window.wait_for_url("**/")


def newest_run(base_url: str) -> str:
    with urllib.request.urlopen(f"{base_url}/api/v1/runs") as answer:  # noqa: S310
        return str(json.load(answer)["items"][0]["url"])


if __name__ == "__main__":
    main(*sys.argv[1:])
