"""The pages of a repository, of lists and of search, by role."""

from __future__ import annotations

import hashlib

import pytest
from django.test import Client

from hub.models import Repo
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, commit_large, make_repo, make_user

pytestmark = pytest.mark.django_db

README = "---\nlicense: mit\n---\n# Kind model\n\n<script>alert(1)</script>\n\nReads *letters*."
MAY_READ = {"owner", "member", "reader", "admin"}
MAY_ADMIN = {"owner", "admin"}
PAGES = ["", "/tree/main", "/blob/main/README.md", "/commits/main", "/commit/main"]


@pytest.fixture
def public(cast: Cast) -> Repo:
    return make_repo(cast.organization, "open", files={"README.md": README}, creator=cast.owner)


@pytest.fixture
def private(cast: Cast) -> Repo:
    return make_repo(
        cast.organization,
        "hidden",
        is_private=True,
        files={"README.md": README},
        creator=cast.owner,
    )


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("role", ROLES)
def test_everyone_sees_public_and_members_see_private_pages(
    cast: Cast, public: Repo, private: Repo, role: str, page: str
) -> None:
    client = cast.web_client(role)
    assert client.get(public.url_path + page).status_code == 200
    answer = client.get(private.url_path + page)
    if role in MAY_READ:
        assert answer.status_code == 200
    else:
        assert answer.status_code == (401 if role == "anonymous" else 404)
        assert b"Kind model" not in answer.content


@pytest.mark.parametrize("role", ROLES)
def test_only_admins_reach_settings_and_their_forms(cast: Cast, public: Repo, role: str) -> None:
    client = cast.web_client(role)
    settings = client.get(f"{public.url_path}/settings")
    renamed = client.post(
        f"{public.url_path}/settings/rename",
        {"owner": public.namespace.name, "name": "stolen"},
    )
    public.refresh_from_db()
    if role in MAY_ADMIN:
        assert settings.status_code == 200
        assert renamed.status_code == 302
        assert public.name == "stolen"
    else:
        assert settings.status_code in {302, 403}
        assert renamed.status_code in {302, 403}
        assert public.name == "open"


def test_private_repository_is_in_no_strangers_list_or_search(
    cast: Cast, public: Repo, private: Repo
) -> None:
    for address in ("/models", "/models?search=hid", "/search?q=hidden", "/guild"):
        assert "hidden" not in _links(cast.web_client("stranger").get(address).content)
    assert "hidden" in _links(cast.web_client("reader").get("/search?q=hidden").content)


def _links(content: bytes) -> str:
    """The addresses a page links to (the page also repeats what was searched for)."""
    return " ".join(part.split('"')[0] for part in content.decode().split('href="')[1:])


def test_card_is_shown_sanitised(cast: Cast, public: Repo) -> None:
    page = cast.web_client("anonymous").get(public.url_path).content.decode()
    assert "Kind model" in page
    assert "<em>letters</em>" in page
    assert "alert(1)" not in page


def test_repository_without_a_card_says_what_belongs_there() -> None:
    user = make_user("newcomer")
    repo = make_repo(user, "bare")
    page = Client().get(repo.url_path).content.decode()
    assert "README.md" in page


@pytest.mark.parametrize("end", ["", "/"])
def test_folder_shows_size_and_digest_of_large_files(cast: Cast, public: Repo, end: str) -> None:
    """Older clients print `/tree/main/.` after an upload, of which browsers leave the slash."""
    commit_large(public, {"model.bin": b"weights" * 1000})
    page = cast.web_client("anonymous").get(f"{public.url_path}/tree/main{end}").content.decode()
    assert "model.bin" in page
    assert hashlib.sha256(b"weights" * 1000).hexdigest() in page


def test_binary_file_is_offered_for_download_not_shown(cast: Cast, public: Repo) -> None:
    commit(public, {"noise.dat": bytes(range(256))})
    page = cast.web_client("anonymous").get(f"{public.url_path}/blob/main/noise.dat")
    assert page.status_code == 200
    assert "resolve/main/noise.dat" in page.content.decode()


def test_hostile_file_is_shown_escaped(cast: Cast, public: Repo) -> None:
    commit(public, {"x.html": "<script>alert(2)</script>"})
    page = cast.web_client("anonymous").get(f"{public.url_path}/blob/main/x.html").content.decode()
    assert "<script>alert(2)" not in page


@pytest.mark.parametrize("page", ["/tree/nowhere", "/blob/main/absent.txt", "/commit/0000000"])
def test_unknown_revision_or_path_is_a_page_that_says_so(
    cast: Cast, public: Repo, page: str
) -> None:
    answer = cast.web_client("anonymous").get(public.url_path + page)
    assert answer.status_code == 404
    assert b"<main" in answer.content


def test_repository_is_created_in_the_browser_and_names_are_checked(cast: Cast) -> None:
    client = cast.web_client("member")
    bad = client.post("/new", {"repo_type": "model", "owner": "mira", "name": "a--b"})
    assert bad.status_code == 200
    assert not Repo.objects.filter(name="a--b").exists()
    good = client.post("/new", {"repo_type": "model", "owner": "mira", "name": "fresh"})
    assert good.status_code == 302
    assert good.url == "/mira/fresh"
    twice = client.post("/new", {"repo_type": "model", "owner": "mira", "name": "FRESH"})
    assert twice.status_code == 200
    assert Repo.objects.filter(name__iexact="fresh").count() == 1


def test_repository_is_deleted_only_with_its_name_typed(cast: Cast, public: Repo) -> None:
    client = cast.web_client("owner")
    wrong = client.post(f"{public.url_path}/settings/delete", {"confirm": "open"})
    assert wrong.status_code == 422
    assert Repo.objects.filter(pk=public.pk).exists()
    right = client.post(f"{public.url_path}/settings/delete", {"confirm": public.full_name})
    assert right.status_code == 302
    assert not Repo.objects.filter(pk=public.pk).exists()


def test_old_address_of_a_renamed_repository_leads_to_the_new(cast: Cast, public: Repo) -> None:
    old = public.url_path
    rename = {"owner": public.namespace.name, "name": "renamed"}
    cast.web_client("owner").post(f"{old}/settings/rename", rename)
    answer = cast.web_client("anonymous").get(f"{old}/tree/main")
    assert answer.status_code == 307
    assert answer["Location"] == f"/{public.namespace.name}/renamed/tree/main"


def test_list_pages_by_key(cast: Cast) -> None:
    for number in range(31):
        make_repo(cast.stranger, f"many-{number:02d}")
    client = cast.web_client("anonymous")
    first = client.get("/models?search=many")
    assert first.content.decode().count('class="repo-row"') == 30
    more = first.context["next_url"]
    assert client.get(more).content.decode().count('class="repo-row"') == 1


def test_list_refuses_a_cursor_that_is_not_ours(cast: Cast) -> None:
    assert cast.web_client("anonymous").get("/models?cursor=%00").status_code == 400
