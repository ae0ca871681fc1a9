"""Sign-up, sign-in, profile, tokens and organisations, as a browser without scripts meets them."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from hub.auth import digest_of, find_token
from hub.models import AccessToken, Membership, Namespace, Role, User
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_organization, make_repo, make_token, make_user

PASSWORD = "a-Long-enough-secret-4"


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    """Each test starts with no failed tries counted."""
    cache.clear()


def sign_up(client: Client, name: str, **changes: str):
    data = {"username": name, "email": f"{name[:20]}@example.org", "password1": PASSWORD}
    return client.post("/accounts/signup/", data | changes)


# --- Sign-up ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_sign_up_makes_user_with_namespace_and_signs_in(client: Client) -> None:
    response = sign_up(client, "newcomer")
    assert response.status_code == 302
    user = User.objects.get(username="newcomer")
    assert user.namespace.name == "newcomer"
    assert user.check_password(PASSWORD)
    assert not user.is_staff
    assert client.get("/settings/profile").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "admin", "API", "settings", "datasets", "Models", "static", "login",  # kept for pages
        "..", "a..b", "-a", "a-", ".git", "a.git", "x--y", "a/b", "a b", "a@b", "名字",
        "<script>", "a\x00b", "a\nb", "%2e%2e", "a" * 97, "api_organisation",
    ],
)  # fmt: skip
def test_sign_up_refuses_names_we_cannot_use(client: Client, name: str) -> None:
    response = sign_up(client, name, email="someone@example.org")
    assert response.status_code == 200
    assert response.context["form"].errors
    assert not User.objects.exists()
    assert not Namespace.objects.exists()


@pytest.mark.django_db
def test_sign_up_refuses_a_taken_name_in_any_case_also_an_organisations(client: Client) -> None:
    make_organization("Guild", admin=make_user("Olive"))
    for name in ("olive", "OLIVE", "guild"):
        response = sign_up(client, name, email="other@example.org")
        assert "username" in response.context["form"].errors
    assert User.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["short1", "12345678901", "password", ""])
def test_sign_up_refuses_weak_passwords(client: Client, password: str) -> None:
    response = sign_up(client, "newcomer", password1=password)
    assert "password1" in response.context["form"].errors
    assert not User.objects.exists()


# --- Sign-in ---------------------------------------------------------------------------------


@pytest.fixture
def person(db: None) -> User:
    user = make_user("perla")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.mark.parametrize("login", ["perla", "perla@example.org", "PERLA"])
def test_sign_in_works_by_name_and_by_email(client: Client, person: User, login: str) -> None:
    data = {"login": login, "password": PASSWORD}
    response = client.post(
        "/accounts/login/?next=/settings/tokens", data | {"next": "/settings/tokens"}
    )
    assert response.status_code == 302
    assert response["Location"] == "/settings/tokens"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_sign_in_never_leads_to_another_site(client: Client, person: User, target: str) -> None:
    data = {"login": "perla", "password": PASSWORD, "next": target}
    response = client.post("/accounts/login/", data)
    assert response.status_code == 302
    assert response["Location"] == "/"


def test_wrong_password_says_the_same_for_known_and_unknown_users(
    client: Client, person: User
) -> None:
    texts = set()
    for login in ("perla", "nobody-here"):
        response = client.post("/accounts/login/", {"login": login, "password": "wrong"})
        assert response.status_code == 200
        texts.add(str(response.context["form"].non_field_errors()))
    assert len(texts) == 1


def test_many_failed_tries_are_slowed_down(client: Client, person: User) -> None:
    for _ in range(12):
        client.post("/accounts/login/", {"login": "perla", "password": "wrong"})
    response = client.post("/accounts/login/", {"login": "perla", "password": PASSWORD})
    assert response.status_code in (200, 429)
    assert "_auth_user_id" not in client.session


def test_sign_out_needs_a_post(client: Client, person: User) -> None:
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/accounts/logout/").status_code == 200
    assert "_auth_user_id" in client.session
    assert client.post("/accounts/logout/").status_code == 302
    assert "_auth_user_id" not in client.session


# --- GitHub ----------------------------------------------------------------------------------


@pytest.fixture
def github(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub login is configured, and GitHub answers that the caller is its user 77, `octo`."""
    keys = {"client_id": "id", "secret": "s"}
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [keys]}}
    monkeypatch.setattr(
        OAuth2Client, "get_access_token", lambda *args, **kwargs: {"access_token": "t"}
    )
    answer = {"id": 77, "login": "octo", "name": "Octo", "email": "octo@example.org"}
    monkeypatch.setattr(
        GitHubOAuth2Adapter,
        "complete_login",
        lambda self, request, *args, **kwargs: self.get_provider().sociallogin_from_response(
            request, answer
        ),
    )


def come_back_from_github(client: Client):
    location = client.post("/accounts/github/login/")["Location"]
    assert location.startswith("https://github.com/login/oauth/authorize?")
    state = parse_qs(urlsplit(location).query)["state"][0]
    return client.get("/accounts/github/login/callback/", {"code": "c", "state": state})


@pytest.mark.django_db
def test_github_button_is_there_only_with_keys(client: Client) -> None:
    assert "GitHub" not in client.get("/accounts/login/").content.decode()


@pytest.mark.django_db
def test_github_login_lets_a_newcomer_choose_a_name(client: Client, github: None) -> None:
    make_organization("octo", admin=make_user("olive"))  # the name is taken here
    assert 'action="/accounts/github/login/' in client.get("/accounts/login/").content.decode()
    response = come_back_from_github(client)
    assert response["Location"] == "/accounts/3rdparty/signup/"
    assert client.get("/accounts/3rdparty/signup/").status_code == 200
    taken = {"username": "octo", "email": "octo@example.org"}
    response = client.post("/accounts/3rdparty/signup/", taken)
    assert "username" in response.context["form"].errors
    assert not User.objects.filter(email="octo@example.org").exists()
    response = client.post("/accounts/3rdparty/signup/", taken | {"username": "octo-cat"})
    assert response.status_code == 302
    user = User.objects.get(username="octo-cat")
    assert user.namespace.name == "octo-cat"
    assert not user.has_usable_password()
    assert client.session["_auth_user_id"] == str(user.pk)
    again = Client()
    assert come_back_from_github(again)["Location"] == "/"
    assert again.session["_auth_user_id"] == str(user.pk)


@pytest.mark.django_db
def test_github_page_of_settings(client: Client, github: None) -> None:
    user = make_user("perla")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/accounts/3rdparty/").content.decode()
    assert "Connect GitHub" in page


# --- Profile ---------------------------------------------------------------------------------


def test_profile_shows_only_what_the_reader_may_see(cast: Cast) -> None:
    cast.public_repo("open-model")
    cast.private_repo("secret-model")
    for role in ROLES:
        page = cast.web_client(role).get("/guild").content.decode()
        assert "open-model" in page
        sees = role in {"owner", "member", "reader", "admin"}
        assert ("secret-model" in page) is sees, role


@pytest.mark.django_db
def test_profile_is_found_in_any_case_and_unknown_names_are_404(client: Client) -> None:
    make_user("Perla")
    assert client.get("/perla")["Location"] == "/Perla"
    assert client.get("/Perla").status_code == 200
    assert client.get("/nobody").status_code == 404


@pytest.mark.django_db
def test_profile_of_a_disabled_user_is_gone(client: Client) -> None:
    user = make_user("perla")
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/perla").status_code == 404


def test_profile_text_is_shown_as_text(cast: Cast) -> None:
    client = cast.web_client("stranger")
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    client.post("/settings/profile", {"full_name": hostile, "bio": hostile, "homepage": ""})
    page = client.get("/sten").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "ftp://example.org/"])
def test_home_page_must_be_a_web_address(cast: Cast, url: str) -> None:
    response = cast.web_client("stranger").post("/settings/profile", {"homepage": url})
    assert "homepage" in response.context["form"].errors
    cast.stranger.refresh_from_db()
    assert cast.stranger.homepage == ""


# --- Tokens ----------------------------------------------------------------------------------


def make_by_form(client: Client, **changes: str):
    data = {"name": "laptop", "scope": "write", "lifetime": "90"}
    return client.post("/settings/tokens", data | changes)


def token_in(page: str) -> str:
    found = re.search(r'id="new-token">(mg_[\w-]+)<', page)
    assert found, "the page shows no token"
    return found.group(1)


def test_a_token_is_shown_once_and_kept_as_a_digest(cast: Cast) -> None:
    client = cast.web_client("stranger")
    response = make_by_form(client)
    text = token_in(response.content.decode())
    assert f"HF_TOKEN={text}" in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert find_token(text).user == cast.stranger
    row = AccessToken.objects.get(user=cast.stranger)
    assert row.digest == digest_of(text)
    later = client.get("/settings/tokens").content.decode()
    assert text not in later
    assert row.prefix in later
    assert text not in str(client.session.items())


def test_the_same_form_sent_twice_makes_one_token(cast: Cast) -> None:
    client = cast.web_client("stranger")
    make_by_form(client)
    second = make_by_form(client)
    assert "name" in second.context["form"].errors
    assert AccessToken.objects.filter(user=cast.stranger).count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"scope": "everything"}, "scope"),
        ({"scope": "fine-grained"}, "scope"),
        ({"lifetime": "forever"}, "lifetime"),
    ],
)
def test_token_form_refuses_what_it_does_not_know(
    cast: Cast, changes: dict[str, str], field: str
) -> None:
    response = make_by_form(cast.web_client("stranger"), **changes)
    assert field in response.context["form"].errors
    assert not AccessToken.objects.filter(user=cast.stranger).exists()


def test_a_fine_grained_token_reaches_only_what_was_chosen(cast: Cast) -> None:
    mine, other = make_repo(cast.stranger, "mine"), make_repo(cast.stranger, "other")
    foreign = cast.private_repo()
    response = make_by_form(
        cast.web_client("stranger"),
        scope="fine-grained",
        **{f"grant_{mine.pk}": "write", f"grant_{other.pk}": "", f"grant_{foreign.pk}": "write"},
    )
    token = find_token(token_in(response.content.decode()))
    grants = {(grant.repo_id, grant.can_write) for grant in token.grants.all()}
    assert grants == {(mine.pk, True)}


def test_expiry_is_kept(cast: Cast) -> None:
    make_by_form(cast.web_client("stranger"), lifetime="30")
    row = AccessToken.objects.get(user=cast.stranger)
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=5)


def test_only_its_owner_revokes_a_token(cast: Cast) -> None:
    text = make_token(cast.owner)
    token_id = AccessToken.objects.get(user=cast.owner).pk
    for role in ("stranger", "member", "admin"):
        response = cast.web_client(role).post(f"/settings/tokens/{token_id}/revoke")
        assert response.status_code == 404
    assert cast.web_client("owner").get(f"/settings/tokens/{token_id}/revoke").status_code == 405
    assert find_token(text).pk == token_id
    assert cast.web_client("owner").post(f"/settings/tokens/{token_id}/revoke").status_code == 302
    assert not AccessToken.objects.filter(pk=token_id).exists()


def test_settings_are_for_signed_in_people(client: Client, db: None) -> None:
    for path in ("/settings/profile", "/settings/tokens", "/settings/organizations"):
        response = client.get(path)
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/")


# --- Organisations ---------------------------------------------------------------------------


def test_whoever_makes_an_organisation_is_its_admin(cast: Cast) -> None:
    client = cast.web_client("stranger")
    response = client.post("/organizations/new", {"name": "atelier", "full_name": "L’Atelier"})
    assert response["Location"] == "/organizations/atelier/settings"
    membership = Membership.objects.get(organization__namespace__name="atelier")
    assert (membership.user, membership.role) == (cast.stranger, Role.ADMIN)
    assert "L’Atelier" in client.get("/atelier").content.decode()


@pytest.mark.parametrize("name", ["guild", "GUILD", "sten", "admin", "a/b", "..", "", "a.git"])
def test_an_organisation_gets_no_taken_or_impossible_name(cast: Cast, name: str) -> None:
    before = Namespace.objects.count()
    response = cast.web_client("stranger").post("/organizations/new", {"name": name})
    assert "name" in response.context["form"].errors
    assert Namespace.objects.count() == before


@pytest.mark.parametrize("role", ROLES)
def test_only_admins_manage_members(cast: Cast, role: str) -> None:
    client = cast.web_client(role)
    allowed = role in {"owner", "admin"}
    expected = 200 if allowed else 302 if role == "anonymous" else 403
    assert client.get("/organizations/guild/settings").status_code == expected
    client.post("/organizations/guild/members", {"username": "sten", "role": "write"})
    assert cast.organization.memberships.filter(user=cast.stranger).exists() is allowed
    client.post("/organizations/guild/members/mira/role", {"role": "admin"})
    changed = cast.organization.memberships.get(user=cast.member).role == Role.ADMIN
    assert changed is allowed
    client.post("/organizations/guild/members/rene/remove")
    removed = not cast.organization.memberships.filter(user=cast.reader).exists()
    assert removed is (allowed or role == "reader")
    client.post("/organizations/guild/settings", {"full_name": "New", "bio": "", "homepage": ""})
    cast.organization.refresh_from_db()
    assert (cast.organization.full_name == "New") is allowed


def test_the_last_admin_stays(cast: Cast) -> None:
    client = cast.web_client("owner")
    client.post("/organizations/guild/members/olive/remove")
    client.post("/organizations/guild/members/olive/role", {"role": "read"})
    assert cast.organization.memberships.get(user=cast.owner).role == Role.ADMIN


@pytest.mark.parametrize(
    "data",
    [
        {"username": "nobody", "role": "write"},
        {"username": "mira", "role": "admin"},  # a member already: changed only by her row
        {"username": "sten", "role": "emperor"},
        {"username": "", "role": "write"},
    ],
)
def test_member_form_says_what_is_wrong(cast: Cast, data: dict[str, str]) -> None:
    before = set(cast.organization.memberships.values_list("user_id", "role"))
    response = cast.web_client("owner").post("/organizations/guild/members", data)
    assert response.status_code == 400
    assert response.context["member_form"].errors
    assert set(cast.organization.memberships.values_list("user_id", "role")) == before


def test_unknown_role_changes_nothing(cast: Cast) -> None:
    client = cast.web_client("owner")
    response = client.post("/organizations/guild/members/mira/role", {"role": "emperor"})
    assert response.status_code == 400
    assert cast.organization.memberships.get(user=cast.member).role == Role.WRITE
