"""Discussions and pull requests in a real browser: live forms, the same without script, axe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live_site import LiveSite, wait_for

PASSWORD = "a-Long-enough-secret-4"
BASE = "/talker/talk-model/discussions"
PAGES = ["", "?status=closed&type=discussion", "/1", "/2", "/2/commits", "/2/files", "/3",
         "/3/files", "/new", "/new-pull-request"]  # fmt: skip
OPEN_ALL = "for (const part of document.querySelectorAll('main details')) { part.open = true }"
MAKE = """
import numpy as np
from safetensors.numpy import save
from contributions.actions.discussions import add_comment, change_status, open_discussion
from contributions.actions.pull_requests import open_pull_request
from hub.models import User
from tests.support.factories import commit, commit_large, make_repo

user = User.objects.get(username="talker")
text = "a: 1\\nb: 2\\nc: 3\\n"
repo = make_repo(user, "talk-model", files={"config.yaml": text})
commit_large(repo, {"model.safetensors": save({"w": np.zeros((4, 8), np.float32)})})
say = dict(acting_user=user)
asked = open_discussion(repo=repo, title="Which data?", description="See `main`.", **say)
add_comment(discussion=asked, text="| a | b |\\n|---|---|\\n| 1 | 2 |", **say)
pull = open_pull_request(repo=repo, title="Wider", description="**Wider**", **say)
commit(repo, {"config.yaml": text.replace("2", "5")}, ref=pull.head_ref)
wide = save({"w": np.zeros((4, 16), np.float32)})
commit_large(repo, {"model.safetensors": wide}, ref=pull.head_ref)
change_status(discussion=pull, status="open", **say)
open_pull_request(repo=repo, title="Empty", description="", **say)
"""


@pytest.fixture(scope="module")
def site(live_site: LiveSite) -> LiveSite:
    live_site.create_user("talker", password=PASSWORD)
    live_site.execute(MAKE)
    return live_site


@pytest.fixture(scope="module")
def session(browser: Any, site: LiveSite) -> list[dict[str, Any]]:
    context = browser.new_context(base_url=site.base_url, locale="en-GB")
    window = context.new_page()
    window.goto("/accounts/login/")
    window.fill("[name=login]", "talker")
    window.fill("[name=password]", PASSWORD)
    window.click("main [type=submit]")
    window.wait_for_url("**/")
    cookies = context.cookies()
    context.close()
    return cookies


@pytest.fixture
def open_window(browser: Any, site: LiveSite, session: Any) -> Iterator[Any]:
    contexts = []

    def make(**options: Any) -> Any:
        context = browser.new_context(base_url=site.base_url, locale="en-GB", **options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.add_cookies(session)
        window = context.new_page()
        window.troubles = []
        window.on("pageerror", lambda error: window.troubles.append(str(error)))
        return window

    yield make
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_too_wide(open_window: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    window, found = open_window(color_scheme=scheme), []
    for path in PAGES:
        window.set_viewport_size({"width": 1200, "height": 900})
        window.goto(BASE + path)
        if path.endswith("2/files"):
            window.wait_for_selector(".tensor-rows")
        window.evaluate(
            "document.querySelectorAll('main details').forEach(part => { part.open = true })"
        )
        result = Axe().run(window)
        found += [
            (path, violation["id"], [node["html"][:160] for node in violation["nodes"]][:3])
            for violation in result.response["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
        for width in (360, 768):
            window.set_viewport_size({"width": width, "height": 740})
            over = window.evaluate("document.documentElement.scrollWidth - innerWidth")
            found += [(path, width)] if over > 0 else []
    assert found == []
    assert window.troubles == []


def test_a_comment_is_previewed_sent_and_edited_without_leaving_the_page(open_window: Any) -> None:
    window = open_window()
    window.goto(f"{BASE}/1")
    window.evaluate("window.stays = true")
    window.click("#comment-button")  # empty: the browser refuses it
    window.fill("#id_comment", "live **words**")
    window.click("text=Preview")
    window.wait_for_selector(".comment-preview strong")
    window.click("#comment-button")
    window.wait_for_selector(".timeline .comment strong:text('words')")
    assert window.input_value("#id_comment") == ""
    window.locator(".timeline .comment").last.locator("text=Edit").click()
    window.fill("#id_edit_comment", "other words")
    assert window.evaluate("window.stays") is True
    window.click(".comment-body [type=submit]")
    window.wait_for_selector(".timeline .comment p:text-is('other words')")
    assert window.troubles == []


DROP = """
([kind, area]) => {
  const bytes = Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 0]);
  const file = new File(kind === "image/png" ? [bytes] : ["<svg/>"], "a shot.png", { type: kind });
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(file);
  const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector(area).dispatchEvent(event);
}
"""


def test_a_picture_dropped_on_a_comment_becomes_part_of_it(open_window: Any) -> None:
    window = open_window()
    window.goto(f"{BASE}/1")
    window.fill("#id_comment", "see ")
    window.evaluate(DROP, ["image/png", "#id_comment"])
    wait_for(lambda: window.input_value("#id_comment").endswith(".png)"), what="the picture")
    text = window.input_value("#id_comment")
    assert text.startswith("see ![a shot.png](/uploads/")
    window.evaluate(DROP, ["text/html", "#id_comment"])
    window.wait_for_selector("#toasts:has-text('none of the kinds')")
    wait_for(lambda: window.input_value("#id_comment") == text, what="no mark left")
    window.click("#comment-button")
    window.wait_for_selector(".timeline .comment img[alt='a shot.png']")
    window.goto(f"{BASE}/new")
    with window.expect_file_chooser():
        window.click("text=Attach a file")
    assert window.troubles == []


def test_a_file_is_sent_without_script(open_window: Any) -> None:
    window = open_window(java_script_enabled=False)
    window.goto(f"{BASE}/1")
    with window.expect_popup() as opened:
        window.click("text=Attach a file")
    page = opened.value
    png = b"\x89PNG\r\n\x1a\n" + bytes(40)
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": png}
    page.set_input_files("[name=file]", picture)
    page.click("main [type=submit]")
    assert page.inner_text("#attachment-markdown").startswith("![](/uploads/")


def test_closing_and_reopening_changes_the_page_in_place(open_window: Any) -> None:
    window = open_window()
    window.goto(f"{BASE}/1")
    window.evaluate("window.stays = true")
    window.fill("#id_comment", "last word")
    window.click("#close-button")
    window.wait_for_selector(".discussion-head .chip:has-text('Closed')")
    assert window.locator("text=last word").count() == 1
    window.click("#reopen-button")
    window.wait_for_selector(".discussion-head .chip:has-text('Open')")
    assert "reopened this" in window.inner_text(".timeline")
    assert window.evaluate("window.stays") is True


def test_a_pull_request_is_read_commented_on_and_merged_without_script(open_window: Any) -> None:
    window = open_window(java_script_enabled=False)
    window.goto(f"{BASE}/2/files")
    assert window.inner_text("del") == "2"
    window.click("text=Compare the tensors")
    assert "4 × 16" in window.inner_text(".tensor-rows")
    window.goto(f"{BASE}/2")
    window.fill("#id_comment", "plain words")
    window.click("#comment-button")
    assert "plain words" in window.inner_text(".timeline")
    assert "#event-" in window.url
    window.click(".merge-confirm > summary")
    window.click(".merge-confirm [type=submit]")
    assert "Merged" in window.inner_text(".discussion-head .chip")
    assert window.locator(".merge-box").count() == 0
