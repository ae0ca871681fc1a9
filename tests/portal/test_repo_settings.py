"""Settings of a repository: visibility, name, owner, copy and end, over the whole cast."""

from __future__ import annotations

import pytest

from hub.models import AuditEntry, Namespace, Repo, Role
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit_large, make_organization, make_repo

MAY_ADMIN = {"owner", "admin"}
MAY_READ = {"owner", "member", "reader", "admin"}


def refused(role: str) -> set[int]:
    return {302} if role == "anonymous" else {403}


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
@pytest.mark.parametrize("role", ROLES)
def test_only_admins_change_who_sees_it(cast: Cast, role: str, repo_type: str) -> None:
    repo = cast.public_repo(repo_type=repo_type)
    client = cast.web_client(role)
    answer = client.post(f"{repo.url_path}/settings/visibility", {"is_private": "on"})
    repo.refresh_from_db()
    assert repo.is_private == (role in MAY_ADMIN)
    assert answer.status_code in ({302} if role in MAY_ADMIN else refused(role))
    if role in MAY_ADMIN:
        client.post(f"{repo.url_path}/settings/visibility", {})
        repo.refresh_from_db()
        assert not repo.is_private


@pytest.mark.parametrize("role", ROLES)
def test_only_admins_rename_and_the_old_address_leads_on(cast: Cast, role: str) -> None:
    repo = cast.public_repo()
    client = cast.web_client(role)
    form = {"owner": "guild", "name": "better"}
    client.post("/guild/open-model/settings/rename", form)
    repo.refresh_from_db()
    assert repo.name == ("better" if role in MAY_ADMIN else "open-model")
    if role in MAY_ADMIN:
        assert client.get("/guild/open-model")["Location"] == "/guild/better"


def test_transfer_goes_where_the_caller_may_create_and_nowhere_else(cast: Cast) -> None:
    repo = make_repo(cast.member, "mine")
    far = make_organization("far", admin=cast.stranger)
    client = cast.web_client("member")
    assert (
        client.post("/mira/mine/settings/rename", {"owner": "far", "name": "m"}).status_code == 422
    )
    repo.refresh_from_db()
    assert repo.full_name == "mira/mine"
    far.memberships.create(user=cast.member, role=Role.CONTRIBUTOR)
    assert (
        client.post("/mira/mine/settings/rename", {"owner": "far", "name": "m"}).status_code == 302
    )
    repo.refresh_from_db()
    assert repo.full_name == "far/m"
    assert AuditEntry.objects.get(verb="repo.moved").details == {"old": "mira/mine"}
    assert client.get("/far/m/settings").status_code == 403


@pytest.mark.parametrize(("name", "word"), [("a..b", "not a name"), ("taken", "already exists")])
def test_a_name_that_cannot_be_is_said_beside_the_field(cast: Cast, name: str, word: str) -> None:
    repo = cast.public_repo()
    cast.public_repo("taken")
    form = {"owner": "guild", "name": name}
    answer = cast.web_client("owner").post("/guild/open-model/settings/rename", form)
    assert answer.status_code == 422
    assert word in answer.content.decode()
    repo.refresh_from_db()
    assert repo.name == "open-model"


@pytest.mark.parametrize("typed", ["guild/open-model", "guild/Open-Model", "open-model", ""])
@pytest.mark.parametrize("role", ROLES)
def test_only_admins_delete_and_only_with_the_name_typed(cast: Cast, role: str, typed: str) -> None:
    repo = cast.public_repo()
    client = cast.web_client(role)
    answer = client.post("/guild/open-model/settings/delete", {"confirm": typed})
    goes = role in MAY_ADMIN and typed == "guild/open-model"
    assert Repo.objects.filter(pk=repo.pk).exists() != goes
    if goes:
        assert answer["Location"] == "/guild"
        assert client.get("/guild/open-model").status_code in {401, 404}
    elif role in MAY_ADMIN:
        assert "Nothing was deleted" in answer.content.decode()


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("role", ROLES)
def test_every_signed_in_reader_duplicates(cast: Cast, role: str, is_private: bool) -> None:
    repo = cast.private_repo() if is_private else cast.public_repo()
    user = cast.user(role)
    client = cast.web_client(role)
    page = client.get(f"{repo.url_path}/duplicate")
    form = {"owner": user.username if user else "x", "name": "copy", "is_private": "on"}
    answer = client.post(f"{repo.url_path}/duplicate", form)
    if user is None:
        assert page.status_code == answer.status_code == 302
    elif role in MAY_READ or not is_private:
        assert page.status_code == 200
        assert answer["Location"] == f"/{user.username}/copy"
        assert Repo.objects.get(name="copy").is_private
    else:
        assert page.status_code == answer.status_code == 404
    assert Repo.objects.filter(name="copy").exists() == (
        user is not None and (role in MAY_READ or not is_private)
    )


def test_a_copy_that_cannot_be_is_said_beside_the_field(cast: Cast) -> None:
    repo = cast.public_repo()
    commit_large(repo, {"a.bin": b"x" * 9000})
    make_repo(cast.owner, "taken")
    client = cast.web_client("owner")
    form = {"owner": "olive", "name": "taken"}
    assert "already exists" in client.post(f"{repo.url_path}/duplicate", form).content.decode()
    Namespace.objects.filter(name="olive").update(quota_bytes=1)
    form["name"] = "free"
    assert "do not fit" in client.post(f"{repo.url_path}/duplicate", form).content.decode()
    assert Repo.objects.count() == 2
