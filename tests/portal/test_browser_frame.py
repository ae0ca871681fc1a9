"""The frame in a real browser: keyboard, themes, languages, narrow screens, no script, axe."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live_site import LiveSite

PASSWORD = "a-Long-enough-secret-4"
_numbers = itertools.count(1)

PUBLIC = ["/", "/contribute", "/models", "/datasets", "/benchmarks", "/search?q=frame",
          "/accounts/login/", "/accounts/signup/", "/framer", "/no/such/page/here",
          "/framer/frame-model", "/framer/frame-model/tree/main",
          "/framer/frame-model/commits/main", "/framer/frame-model/blob/main/.gitattributes",
          "/framer/frame-model/commit/main", "/datasets/framer/frame-dataset"]  # fmt: skip
PRIVATE = ["/", "/settings/profile", "/settings/tokens", "/settings/organizations",
           "/organizations/new", "/organizations/framers/settings", "/accounts/email/",
           "/accounts/password/change/", "/new", "/framer/frame-model/settings"]  # fmt: skip


@pytest.fixture(scope="module")
def site(live_site: LiveSite) -> LiveSite:
    """The live site with a user `framer`, an organisation, a model and a data set."""
    live_site.create_user("framer", password=PASSWORD)
    live_site.execute(
        "from hub.actions.organizations import create_organization\n"
        "from hub.actions.repos import create_repo\n"
        "from hub.models import User\n"
        "user = User.objects.get(username='framer')\n"
        "create_organization(name='framers', acting_user=user)\n"
        "for kind in ('model', 'dataset'):\n"
        "    create_repo(repo_type=kind, namespace=user.namespace, name=f'frame-{kind}',"
        " acting_user=user)\n"
    )
    return live_site


@pytest.fixture(scope="module")
def session(browser: Any, site: LiveSite) -> list[dict[str, Any]]:
    """Cookies of the signed-in user `framer`."""
    context = browser.new_context(base_url=site.base_url, locale="en-GB")
    window = context.new_page()
    window.goto("/accounts/login/")
    window.fill("[name=login]", "framer")
    window.fill("[name=password]", PASSWORD)
    window.click("main [type=submit]")
    window.wait_for_url("**/")
    cookies = context.cookies()
    context.close()
    return cookies


@pytest.fixture
def open_window(browser: Any, site: LiveSite, session: Any) -> Iterator[Any]:
    """`open_window(signed_in=…, **context options)`: a window that collects what goes wrong."""
    contexts = []

    def make(*, signed_in: bool = False, **options: Any) -> Any:
        context = browser.new_context(base_url=site.base_url, **{"locale": "en-GB"} | options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        if signed_in:
            context.add_cookies(session)
        window = context.new_page()
        window.troubles = []
        window.on("pageerror", lambda error: window.troubles.append(str(error)))
        window.on("console", lambda message: _note(window, message))
        return window

    yield make
    for context in contexts:
        context.close()


def _note(window: Any, message: Any) -> None:
    if message.type == "error" and "404 (Not Found)" not in message.text:
        window.troubles.append(message.text)


def _overflow(window: Any) -> int:
    return window.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_window: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for signed_in, paths in ((False, PUBLIC), (True, PRIVATE)):
        window = open_window(signed_in=signed_in, color_scheme=scheme)
        for path in paths:
            window.goto(path)
            result = Axe().run(window)
            found += [
                (path, violation["id"], [node["html"][:160] for node in violation["nodes"]][:3])
                for violation in result.response["violations"]
                if violation["impact"] in {"serious", "critical"}
            ]
        assert window.troubles == []
    assert found == []


def test_nothing_is_wider_than_the_screen(open_window: Any) -> None:
    wide = []
    for signed_in, paths in ((False, PUBLIC), (True, PRIVATE)):
        window = open_window(signed_in=signed_in)
        for path in paths:
            window.goto(path)
            for width in (360, 768, 1024):
                window.set_viewport_size({"width": width, "height": 740})
                if _overflow(window) > 0:
                    wide.append((path, width))
    assert wide == []


def test_a_thumb_reaches_the_sections_on_a_narrow_screen(open_window: Any) -> None:
    window = open_window(viewport={"width": 375, "height": 740}, has_touch=True)
    window.goto("/")
    links = window.locator(".thumbbar a")
    assert links.count() == 4
    for index in range(links.count()):
        box = links.nth(index).bounding_box()
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 740
        assert box["y"] > 600
    links.first.tap()
    window.wait_for_url("**/models")


def test_the_open_tab_is_in_sight_on_a_narrow_screen(open_window: Any) -> None:
    window = open_window(signed_in=True, viewport={"width": 360, "height": 740})
    window.goto("/framer/frame-model/settings")
    window.wait_for_function(
        """() => {
            const row = document.querySelector(".tabs").getBoundingClientRect();
            const open = document.querySelector(".tabs [aria-current]").getBoundingClientRect();
            return open.left >= row.left && open.right <= row.right;
        }"""
    )


def test_slash_finds_and_arrows_choose(open_window: Any) -> None:
    window = open_window()
    window.goto("/")
    window.keyboard.press("/")
    assert window.evaluate("document.activeElement.name") == "q"
    window.keyboard.type("frame-")
    hit = window.locator("#search-results .search-hit").first
    hit.wait_for()
    assert "Models" in window.inner_text("#search-results")
    assert "Data sets" in window.inner_text("#search-results")
    window.keyboard.press("ArrowDown")
    assert "search-hit" in window.evaluate("document.activeElement.className")
    window.keyboard.press("Escape")
    assert window.locator("#search-results .search-hit").count() == 0
    assert window.troubles == []


def test_skip_link_is_first_and_leads_to_the_content(open_window: Any) -> None:
    window = open_window()
    window.goto("/contribute")
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.className") == "skip-link"
    window.keyboard.press("Enter")
    assert window.evaluate("document.activeElement.id") == "main"


def test_appearance_is_kept_over_pages_and_reloads(open_window: Any) -> None:
    window = open_window(color_scheme="light")
    window.goto("/")
    theme = "document.documentElement.dataset.bsTheme"
    assert window.evaluate(theme) == "light"
    window.click("summary[aria-label='Language and appearance']")
    window.click("[data-theme-value=dark]")
    assert window.evaluate(theme) == "dark"
    window.goto("/contribute")
    assert window.evaluate(theme) == "dark"
    dark = window.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(17, 21, 22)"
    window.click("summary[aria-label='Language and appearance']")
    window.click("[data-theme-value=auto]")
    assert window.evaluate(theme) == "light"
    window.emulate_media(color_scheme="dark")
    window.wait_for_selector("html[data-bs-theme=dark]")
    assert window.troubles == []


def test_language_is_switched_without_script(open_window: Any) -> None:
    window = open_window(java_script_enabled=False)
    window.goto("/contribute")
    window.click("summary[aria-label='Language and appearance']")
    window.click("button[value=zh-hans]")
    window.wait_for_url("**/contribute")
    assert window.get_attribute("html", "lang") == "zh-Hans"
    assert window.inner_text("h1") == "参与贡献"


def test_signing_up_making_a_token_and_revoking_it_needs_no_script(open_window: Any) -> None:
    window = open_window(java_script_enabled=False)
    name = f"plain-{next(_numbers)}"
    window.goto("/accounts/signup/")
    window.fill("[name=username]", name)
    window.fill("main [name=email]", f"{name}@example.org")
    window.fill("[name=password1]", PASSWORD)
    window.click("main [type=submit]")
    window.goto("/settings/tokens")
    window.fill("[name=name]", "laptop")
    window.click("form.panel [type=submit]")
    assert window.inner_text("#new-token").startswith("mg_")
    window.goto("/settings/tokens")
    assert window.locator("#new-token").count() == 0
    window.click("details.confirm summary")
    window.click("details.confirm [type=submit]")
    assert "revoked" in window.inner_text("#messages")


def test_the_new_token_can_be_copied(open_window: Any, site: LiveSite) -> None:
    window = open_window(signed_in=True, permissions=["clipboard-read", "clipboard-write"])
    window.goto("/settings/tokens")
    window.fill("[name=name]", f"copied-{next(_numbers)}")
    window.click("form.panel [type=submit]")
    token = window.inner_text("#new-token")
    window.click(".secret .copy")
    window.wait_for_selector(".secret .copy.is-done")
    assert window.evaluate("navigator.clipboard.readText()") == token
    assert window.inner_text("#live") == "Copied"
    window.locator(".snippet .copy:visible").first.click()
    window.wait_for_selector(".snippet .copy.is-done")
    pasted = window.evaluate("navigator.clipboard.readText()")
    assert f"export HF_ENDPOINT={site.base_url} HF_TOKEN={token}" in pasted
    assert window.troubles == []


def test_repositories_are_asked_for_only_with_a_fine_grained_token(open_window: Any) -> None:
    window = open_window(signed_in=True)
    window.goto("/settings/tokens")
    assert not window.is_visible("#grants")
    window.check("[name=scope][value=fine-grained]")
    assert window.is_visible("#grants")
    window.fill("#grant-filter", "frame-data")
    assert window.locator("#grants tr:visible").count() == 1


def test_menus_close_by_escape_and_by_a_click_elsewhere(open_window: Any) -> None:
    window = open_window(signed_in=True)
    window.goto("/")
    menu = window.locator("summary[aria-label='Menu of framer']")
    menu.click()
    assert window.is_visible("text=Sign out")
    window.keyboard.press("Escape")
    assert not window.is_visible("text=Sign out")
    menu.click()
    window.click("h1")
    assert not window.is_visible("text=Sign out")


@pytest.mark.parametrize("path", ["/", "/models", "/accounts/signup/"])
def test_a_page_weighs_less_than_150_kb(open_window: Any, path: str) -> None:
    window = open_window()
    sizes: dict[str, int] = {}

    def weigh(response: Any) -> None:
        if response.request.resource_type != "image":
            sizes[response.url] = response.request.sizes()["responseBodySize"]

    window.on("requestfinished", lambda request: weigh(request.response()))
    window.goto(path)
    window.wait_for_load_state("networkidle")
    assert sum(sizes.values()) < 150_000, sizes
