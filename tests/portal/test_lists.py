"""List pages: facets, filters that can be removed, orders, likes; all without JavaScript."""

import re

import pytest
from django.core.cache import cache

from hub import facets
from hub.actions.facets import refresh_facets
from hub.actions.likes import like_repo
from hub.models import FacetCount, Like
from tests.support.factories import make_repo


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def shelf(cast):
    for number, (licence, language, task) in enumerate(
        [("mit", "fr", "fill-mask"), ("mit", "zh", "translation"), ("gpl", "fr", "translation")]
    ):
        card = f"---\nlicense: {licence}\nlanguage: {language}\npipeline_tag: {task}\n---\nwords"
        make_repo(cast.owner, f"model{number}", files={"README.md": card})
    return cast


def names(client, address):
    page = client.get(address)
    assert page.status_code == 200
    return re.findall(r"<strong>(\w+)</strong>", page.content.decode())


def test_each_facet_narrows_the_list_by_what_it_counts(shelf):
    client = shelf.web_client("anonymous")
    text = client.get("/models").content.decode()
    found = re.findall(r'href="(\?(?:task|license|language)=[^"]+)"[^>]*>\s*<span>[^<]+</span>'
                       r'<span class="num">(\d+)</span>', text)  # fmt: skip
    assert len(found) == 6
    for address, count in found:
        assert len(names(client, f"/models{address}")) == int(count), address


def test_filters_add_up_and_can_be_removed(shelf):
    client = shelf.web_client("anonymous")
    address = "/models?license=mit&language=fr&search=words&tag=fill-mask&sort=likes"
    assert names(client, address) == ["model0"]
    text = client.get(address).content.decode()
    chips = re.findall(r'<a class="tag is-active" href="(\?[^"]*)"', text)
    assert len(chips) == 4
    without = [chip.replace("&amp;", "&") for chip in chips]
    for key in ("license", "language", "search", "tag"):
        assert sum(f"{key}=" not in chip for chip in without) == 1, key
    assert all("sort=likes" in chip for chip in without)


@pytest.mark.parametrize("address", ["/models", "/datasets", "/spaces", "/models?search=zzz"])
def test_an_empty_list_says_so(cast, address):
    text = cast.web_client("stranger").get(address).content.decode()
    assert 'class="empty' in text


def test_an_unknown_order_counts_as_none_and_a_bad_size_is_explained(shelf):
    client = shelf.web_client("anonymous")
    assert len(names(client, "/models?sort=nonsense")) == 3
    assert client.get("/models?size=huge").status_code == 400
    assert client.get("/models?cursor=nonsense").status_code == 400


def test_a_large_site_shows_what_was_counted_last(shelf, monkeypatch):
    monkeypatch.setattr("hub.actions.facets.LARGE_SITE", 2)
    refresh_facets()
    assert FacetCount.objects.get(facet="license", value="mit", repo_type="model").count == 2
    make_repo(shelf.owner, "later", files={"README.md": "---\nlicense: mit\n---\n"})
    assert dict(facets.facets_of("model")["license"]) == {"mit": 2, "gpl": 1}
    refresh_facets()
    assert dict(facets.facets_of("model")["license"]) == {"mit": 3, "gpl": 1}
    monkeypatch.setattr("hub.actions.facets.LARGE_SITE", 100)
    refresh_facets()
    assert not FacetCount.objects.exists()


def test_private_repositories_count_in_no_facet(cast):
    make_repo(cast.owner, "x", is_private=True, files={"README.md": "---\nlicense: wtfpl\n---\n"})
    assert b"wtfpl" not in cast.web_client("anonymous").get("/models").content


def test_the_like_button_works_with_and_without_htmx(cast):
    repo = cast.public_repo()
    client = cast.web_client("stranger")
    answer = client.post(f"{repo.url_path}/like", {"like": "yes"})
    assert (answer.status_code, answer["Location"]) == (302, repo.url_path)
    assert Like.objects.filter(user=cast.stranger, repo=repo).exists()
    assert b'aria-pressed="true"' in client.get(repo.url_path).content
    part = client.post(f"{repo.url_path}/like", {"like": "no"}, headers={"hx-request": "true"})
    assert b'aria-pressed="false"' in part.content
    assert b"<html" not in part.content
    assert not Like.objects.exists()


@pytest.mark.parametrize("is_private", [False, True])
def test_who_may_press_the_like_button(cast, is_private):
    repo = cast.private_repo() if is_private else cast.public_repo()
    for role in ("owner", "member", "reader", "admin", "stranger"):
        may = not is_private or role != "stranger"
        answer = cast.web_client(role).post(f"{repo.url_path}/like")
        assert answer.status_code == (302 if may else 404), role
        assert Like.objects.filter(user=cast.user(role)).exists() is may, role
    answer = cast.web_client("anonymous").post(f"{repo.url_path}/like")
    assert "/login" in answer["Location"]


def test_likes_on_a_profile_hide_what_the_reader_may_not_see(cast):
    for repo in (cast.public_repo(), cast.private_repo()):
        like_repo(repo=repo, acting_user=cast.reader)
    seen = {"reader": 2, "stranger": 1, "anonymous": 1}
    for role, count in seen.items():
        text = cast.web_client(role).get("/rene?show=likes").content.decode()
        assert text.count('class="repo-row"') == count, role
