"""Commands for scripts: what they print, what they refuse, what they leave behind."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hub.auth import digest_of
from hub.models import AccessToken, Namespace, User
from tests.support.factories import make_repo, make_user

pytestmark = pytest.mark.django_db

PASSWORD = "a quiet harbour at dawn"


def _run(*argv: str, **options) -> str:
    out = io.StringIO()
    call_command(*argv, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def stdin(monkeypatch):
    def give(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    give("")
    return give


def test_create_user_reads_the_password_from_standard_input(stdin):
    stdin(PASSWORD + "\n")
    out = _run("create_user", "ada", "--password-stdin", "--email", "ada@example.org")
    user = User.objects.get(username="ada")
    assert user.check_password(PASSWORD)
    assert user.email == "ada@example.org"
    assert not user.is_staff
    assert Namespace.objects.get(name="ada").user == user
    assert PASSWORD not in out


def test_create_user_without_a_password_makes_an_account_for_tokens_only(stdin):
    assert "without a password" in _run("create_user", "ada")
    assert not User.objects.get(username="ada").has_usable_password()


def test_create_user_makes_a_maintainer(stdin):
    _run("create_user", "ada", "--maintainer")
    user = User.objects.get(username="ada")
    assert user.is_staff
    assert user.is_superuser


@pytest.mark.parametrize(
    ("argv", "given", "said"),
    [
        (["ada", "--password-stdin"], "", "held no password"),
        (["ada", "--password-stdin"], "12345678\n", "too common"),
        (["taken"], "", "is taken"),
        (["TAKEN"], "", "is taken"),
        (["not a name"], "", "name"),
        (["../up"], "", "name"),
        (["api"], "", "is reserved"),
    ],
)
def test_create_user_refuses_and_leaves_nothing_behind(stdin, argv, given, said):
    make_user("taken")
    stdin(given)
    with pytest.raises(CommandError, match=said):
        _run("create_user", *argv)
    assert list(User.objects.values_list("username", flat=True)) == ["taken"]
    assert Namespace.objects.count() == 1


def test_create_token_prints_the_token_and_stores_its_digest():
    user = make_user("ada")
    text = _run("create_token", "ada", "--scope", "write").strip()
    token = AccessToken.objects.get()
    assert token.user == user
    assert token.scope == "write"
    assert token.digest == digest_of(text)
    assert text not in str(token.__dict__)


def test_create_token_reaches_chosen_repositories():
    user = make_user("ada")
    model = make_repo(user, "net")
    dataset = make_repo(user, "words", repo_type="dataset")
    argv = ["--repo", "ada/net:write", "--repo", "datasets/ada/words", "--days", "7"]
    _run("create_token", "ada", "--scope", "fine-grained", *argv)
    token = AccessToken.objects.get()
    grants = {grant.repo: grant.can_write for grant in token.grants.all()}
    assert grants == {model: True, dataset: False}
    left = token.expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nobody", "--scope", "read"], "no user"),
        (["ada", "--scope", "everything"], "invalid choice"),
        (["ada", "--scope", "fine-grained"], "Choose repositories"),
        (["ada", "--scope", "read", "--repo", "ada/net"], "Choose repositories"),
        (["ada", "--scope", "fine-grained", "--repo", "ada/none"], "no model"),
        (["ada", "--scope", "fine-grained", "--repo", "datasets/ada/net"], "no dataset"),
        (["ada", "--scope", "fine-grained", "--repo", "ada/net:admin"], "read or write"),
    ],
)
def test_create_token_refuses_and_makes_none(argv, said):
    make_repo(make_user("ada"), "net")
    with pytest.raises(CommandError, match=said):
        _run("create_token", *argv)
    assert not AccessToken.objects.exists()
