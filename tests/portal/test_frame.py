"""What every page of the site has in common."""

from __future__ import annotations

import gzip
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template import Context, Template, engines
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from config.error_pages import server_error
from config.urls import urlpatterns as site_urls
from hub.portal import search_kinds
from hub.portal.search_kinds import Hit, SearchKind, register_search_kind
from tests.support.cast import Cast

PAGES = [
    "/", "/contribute", "/search", "/search?q=open", "/models", "/datasets", "/guild", "/olive",
    "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/no/such/page/here",
]  # fmt: skip
PAGES_SIGNED_IN = [
    "/settings/profile", "/settings/tokens", "/settings/organizations", "/organizations/new",
    "/organizations/guild/settings", "/accounts/email/", "/accounts/password/set/",
    "/accounts/logout/", "/new",
]  # fmt: skip


class Outline(HTMLParser):
    """What a reader of the page's structure finds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def heading_levels(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch(r"h[1-6]", tag)]


@pytest.fixture(params=PAGES + PAGES_SIGNED_IN)
def answer(request: pytest.FixtureRequest, cast: Cast):
    cast.public_repo()
    role = "owner" if request.param in PAGES_SIGNED_IN else "anonymous"
    return cast.web_client(role).get(request.param)


def test_page_has_landmarks_one_heading_and_a_way_past_the_bar(answer) -> None:
    assert answer.status_code in (200, 404)
    outline = Outline(answer.content.decode())
    assert len(outline.named("main")) == 1
    assert len(outline.named("header")) == 1
    assert len(outline.named("footer")) == 1
    assert outline.named("html")[0]["lang"] == "en"
    levels = outline.heading_levels
    assert levels.count(1) == 1, levels
    assert levels[0] == 1, levels
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    links = [attrs["href"] for attrs in outline.named("a")]
    assert links[0] == "#main"


def test_page_holds_nothing_inline_and_its_policy_forbids_it(answer) -> None:
    policy = answer["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    outline = Outline(answer.content.decode())
    for tag, attrs in outline.tags:
        assert tag != "style"
        assert "style" not in attrs, (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        if tag == "script":
            assert (attrs.get("src") or "").startswith("/static/")


def test_page_labels_its_inputs_and_repeats_no_id(answer) -> None:
    outline = Outline(answer.content.decode())
    ids = [attrs["id"] for _, attrs in outline.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    labelled = {attrs.get("for") for attrs in outline.named("label")}
    for tag in ("input", "select", "textarea"):
        for attrs in outline.named(tag):
            if attrs.get("type") in {"hidden", "submit"}:
                continue
            assert attrs.get("id") in labelled or attrs.get("aria-label"), attrs


def test_page_loads_only_files_that_exist(answer) -> None:
    outline = Outline(answer.content.decode())
    links = [attrs.get("href") for attrs in outline.named("link")]
    scripts = [attrs.get("src") for attrs in outline.named("script")]
    images = [attrs.get("src") for attrs in outline.named("img")]
    sprites = [(attrs.get("href") or "").partition("#")[0] for attrs in outline.named("use")]
    for url in {*links, *scripts, *images, *sprites}:
        assert url
        assert url.startswith("/static/")
        assert finders.find(url.removeprefix("/static/")), url


def test_icons_in_the_page_are_in_the_sprite(answer) -> None:
    sprite = Path(settings.BASE_DIR, "config/static/img/icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    used = set(re.findall(r"icons\.svg#([^\"]+)", answer.content.decode()))
    assert used - known == set()


ICON_NAMES = re.compile(
    r'{% icon "([a-z0-9-]+)"|with [^%]*?icon="([a-z0-9-]+)"|register_tab\([^)]*icon="([a-z0-9-]+)"'
    r'|Look\([^)]*\), "([a-z0-9-]+)"'
)


def test_every_icon_that_the_source_names_is_in_the_sprite() -> None:
    sprite = Path(settings.BASE_DIR, "config/static/img/icons.svg")
    packed = gzip.decompress(sprite.with_suffix(".svg.gz").read_bytes())
    assert packed == sprite.read_bytes()
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite.read_text()))
    used = set()
    for app in ("config", "hub", "contributions", "evaluation"):
        for file in Path(settings.BASE_DIR, app).rglob("*"):
            if file.suffix in {".html", ".py"}:
                found = ICON_NAMES.findall(file.read_text())
                used |= {name for names in found for name in names if name}
    assert len(used) > 40
    assert used - known == set()


@pytest.mark.django_db
def test_security_headers(client: Client) -> None:
    response = client.get("/")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["X-Request-Id"]


# --- Search ----------------------------------------------------------------------------------


def test_search_groups_by_kind_and_hides_what_is_private(cast: Cast) -> None:
    cast.public_repo("guild-open")
    cast.private_repo("guild-secret")
    cast.public_repo("guild-data", repo_type="dataset")
    for headers in ({}, {"hx-request": "true"}):
        page = cast.web_client("stranger").get("/search?q=guild", headers=headers)
        text = page.content.decode()
        assert "guild-open" in text
        assert "guild-data" in text
        assert 'href="/guild"' in text
        assert "guild-secret" not in text
        own = cast.web_client("reader").get("/search?q=guild", headers=headers).content.decode()
        assert "guild-secret" in own
    assert "<html" not in text


@pytest.mark.django_db
def test_search_shows_kinds_that_other_applications_register(client: Client) -> None:
    hit = Hit("/somewhere", '<b>A "find"</b>', "a note")
    kind = SearchKind("test", "Curios", "star", lambda request, query, limit: [hit][:limit])
    register_search_kind(kind)
    try:
        page = client.get("/search?q=anything").content.decode()
    finally:
        search_kinds._kinds.pop("test")
    assert "Curios" in page
    assert "&lt;b&gt;A &quot;find&quot;" in page
    assert "Nothing found" in client.get("/search?q=anything").content.decode()


# --- Language and appearance -----------------------------------------------------------------


@pytest.mark.django_db
def test_language_follows_the_switch_then_the_browser(client: Client) -> None:
    chinese = client.get("/", headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert Outline(chinese.content.decode()).named("html")[0]["lang"] == "zh-Hans"
    assert "注册" in chinese.content.decode()
    response = client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/contribute"})
    assert response["Location"] == "/contribute"
    assert "登录" in client.get("/contribute").content.decode()
    client.post("/i18n/setlang/", {"language": "en", "next": "/"})
    page = client.get("/", headers={"accept-language": "zh-CN"})
    assert "Sign up" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cookie", "theme"),
    [("dark", "dark"), ("light", "light"), ('"><script>', "light"), ("", "light")],
)
def test_appearance_comes_from_the_cookie_before_any_script(
    client: Client, cookie: str, theme: str
) -> None:
    client.cookies["theme"] = cookie
    assert Outline(client.get("/").content.decode()).named("html")[0]["data-bs-theme"] == theme


# --- Errors ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_unknown_address_is_a_page_with_a_request_number(client: Client) -> None:
    response = client.get("/no/such/page/at/all", headers={"x-request-id": "req-17"})
    assert response.status_code == 404
    page = response.content.decode()
    assert "There is nothing here" in page
    assert "req-17" in page


@pytest.mark.django_db
def test_live_request_gets_a_fragment_not_a_page(client: Client) -> None:
    response = client.get("/no/such/page/at/all", headers={"hx-request": "true"})
    assert response.status_code == 404
    assert "<html" not in response.content.decode()


def test_a_bug_is_answered_without_database_and_without_its_trace() -> None:
    response = server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    page = response.content.decode()
    assert "Something broke on our side" in page
    assert "Traceback" not in page


def _broken(request):
    raise RuntimeError("the secret reason")


urlpatterns = [path("broken", _broken), *site_urls]
handler500 = "config.error_pages.server_error"


@pytest.mark.django_db
@override_settings(ROOT_URLCONF="tests.portal.test_frame")
def test_a_bug_in_a_view_shows_no_reason() -> None:
    response = Client(raise_request_exception=False).get("/broken")
    assert response.status_code == 500
    assert "secret reason" not in response.content.decode()


@pytest.mark.django_db
def test_a_form_from_elsewhere_is_refused_with_a_page() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/accounts/login/", {"login": "a", "password": "b"})
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()
    assert "unsafe-inline" not in response["Content-Security-Policy"]


# --- Components ------------------------------------------------------------------------------


def draw(source: str, **context) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_999, "1 MB"), (17_500_000, "17.5 MB"),
     (1_340_000_000, "1.34 GB"), (440_473_133, "440 MB"), (None, "–")],
)  # fmt: skip
def test_file_sizes_are_decimal(size_bytes: int | None, text: str) -> None:
    assert draw("{{ size|file_size }}", size=size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0.4 s"), (42, "42 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"),
     (100_000, "1 d 3 h"), (None, "–")],
)  # fmt: skip
def test_durations_name_their_units(seconds: float | None, text: str) -> None:
    assert draw("{{ seconds|duration }}", seconds=seconds) == text


def test_score_shows_spread_n_and_a_bar_on_the_axis() -> None:
    drawn = draw("{% score 0.5 ci_low=0.4 ci_high=0.6 n=1200 %}")
    assert "0.500" in drawn
    assert "± 0.100" in drawn
    assert "n = 1,200" in drawn
    # the bar spans 4 to 116 of 120, so a half lies at 60 and 0.4 at 4 + 0.4 x 112
    assert 'cx="60.0"' in drawn
    assert 'x1="48.8"' in drawn


def test_a_missing_score_is_a_dash_never_zero() -> None:
    drawn = draw("{% score None n=0 %}")
    assert "–" in drawn
    assert "0.000" not in drawn
    assert "<svg" not in drawn


def test_state_chip_says_reason_and_since_and_survives_unknown_states() -> None:
    from datetime import UTC, datetime

    since = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    drawn = draw("{% state_chip 'failed' reason=why since=since %}", why='<b>"x"', since=since)
    assert "Failed" in drawn
    assert "&lt;b&gt;&quot;x&quot;" in drawn
    assert "since 2026-03-04 05:06 UTC" in drawn
    assert "tone-bad" in drawn
    assert "Gone fishing" in draw("{% state_chip 'gone_fishing' %}")


def test_rank_is_a_range_where_places_cannot_be_told_apart() -> None:
    assert "3–6" in draw("{% rank 3 6 %}")
    assert ">2<" in draw("{% rank 2 2 %}")


def test_progress_counts_and_estimates() -> None:
    drawn = draw("{% progress 250 1000 per_second=50 %}")
    assert 'value="250"' in drawn
    assert 'max="1000"' in drawn
    assert "about 15 s left" in drawn
    assert 'aria-live="polite"' in drawn


def test_snippet_keeps_code_as_text() -> None:
    drawn = draw(
        "{% snippet %}{% client 'CLI' %}hf upload {{ name }} ./x{% endclient %}"
        "{% client 'Python' %}a < b{% endclient %}{% endsnippet %}",
        name='<img src=x>"',
    )
    assert "<img src=x>" not in drawn
    assert "&lt;img src=x&gt;" in drawn
    assert "a &lt; b" in drawn
    assert drawn.count('type="radio"') == 2


def test_every_template_compiles() -> None:
    engine = engines["django"]
    folders = [Path(folder) for folder in engine.template_dirs]
    names = {
        str(file.relative_to(folder))
        for folder in folders
        if settings.BASE_DIR in folder.parents and ".venv" not in str(folder)
        for file in folder.rglob("*.html")
    }
    assert len(names) > 40
    for name in sorted(names):
        engine.get_template(name)


@pytest.mark.django_db
def test_pages_are_compressed_and_answers_to_clients_are_not() -> None:
    accepts = {"accept-encoding": "gzip"}
    assert Client().get("/models", headers=accepts)["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in Client().get("/models")
    assert "Content-Encoding" not in Client().get("/api/models", headers=accepts)
