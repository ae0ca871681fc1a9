"""Git's addresses over the whole cast: who learns what, and in which words."""

from __future__ import annotations

import base64

import pytest
from django.test import Client

from hub.actions.repos import move_repo
from hub.githttp.pktline import FLUSH, encode
from hub.models import AccessToken, TokenScope
from hub.site import git_of
from tests.support.cast import ROLES, Cast, client_with

READERS = {"owner", "member", "reader", "admin"}
WRITERS = {"owner", "member", "admin"}
LS_REFS = encode(b"command=ls-refs\n") + encode(b"object-format=sha1") + b"0001" + FLUSH
NOBODY = "0" * 40


def basic(token: str) -> dict[str, str]:
    pair = base64.b64encode(f"whoever:{token}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def ask_refs(client: Client, address: str, service: str = "git-upload-pack"):
    return client.get(
        f"{address}/info/refs?service={service}", headers={"Git-Protocol": "version=2"}
    )


def fetch(client: Client, address: str, data: bytes = LS_REFS):
    return client.post(
        f"{address}/git-upload-pack", data, content_type="application/x-git-upload-pack-request",
        headers={"Git-Protocol": "version=2"},
    )  # fmt: skip


def push(client: Client, address: str, data: bytes):
    return client.post(
        f"{address}/git-receive-pack", data, content_type="application/x-git-receive-pack-request"
    )


def new_branch(head: str) -> bytes:
    """A push that makes a branch at a commit that is there, with an empty pack."""
    line = f"{NOBODY} {head} refs/heads/new\0report-status".encode()
    pack = bytes.fromhex("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")
    return encode(line) + FLUSH + pack


@pytest.mark.parametrize("ending", ["", ".git"])
@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
@pytest.mark.parametrize("role", ROLES)
def test_everybody_reads_public_repositories(cast: Cast, role, repo_type, ending):
    repo = cast.public_repo(repo_type=repo_type)
    client, address = cast.api_client(role), repo.url_path + ending
    answer = ask_refs(client, address)
    assert (answer.status_code, answer["Content-Type"]) == (
        200, "application/x-git-upload-pack-advertisement",
    )  # fmt: skip
    assert b"".join(answer.streaming_content).startswith(b"000eversion 2\n")
    assert "no-cache" in answer["Cache-Control"]
    answer = fetch(client, address)
    assert answer.status_code == 200
    assert b"refs/heads/main" in b"".join(answer.streaming_content)


@pytest.mark.parametrize("call", [ask_refs, fetch])
@pytest.mark.parametrize("role", ROLES)
def test_private_repositories_do_not_exist_for_others(cast: Cast, role, call):
    repo = cast.private_repo()
    answer, missing = (
        call(cast.api_client(role), address) for address in (repo.url_path, "/guild/missing-model")
    )
    if role in READERS:
        assert answer.status_code == 200
        assert b"".join(answer.streaming_content)
        return
    assert answer.status_code == (401 if role == "anonymous" else 404)
    assert answer.status_code == missing.status_code
    assert answer.content.replace(b"secret", b"missing") == missing.content
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.has_header("WWW-Authenticate") == (role == "anonymous")
    if role == "anonymous":
        assert answer["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("is_private", [False, True])
@pytest.mark.parametrize("role", ROLES)
def test_who_may_push(cast: Cast, role, is_private):
    repo = cast.private_repo() if is_private else cast.public_repo()
    head = git_of(repo).ref("refs/heads/main")
    answer = push(cast.api_client(role), repo.url_path, new_branch(head))
    is_made = "refs/heads/new" in git_of(repo).raw_refs()
    assert is_made == (role in WRITERS)
    if is_made:
        assert b"ok refs/heads/new" in b"".join(answer.streaming_content)
    elif role == "anonymous":
        assert (answer.status_code, answer["WWW-Authenticate"][:5]) == (401, "Basic")
    elif is_private and role == "stranger":
        assert answer.status_code == 404
    else:
        assert b"but not change it" in b"".join(answer.streaming_content)


@pytest.mark.parametrize("role", ROLES)
def test_before_a_push_the_right_to_take_part_is_asked_for(cast: Cast, role):
    answer = ask_refs(cast.api_client(role), cast.public_repo().url_path, "git-receive-pack")
    assert answer.status_code == (401 if role == "anonymous" else 200)


@pytest.mark.parametrize("call", ["ask", "push"])
def test_a_token_that_only_reads_is_told_so(cast: Cast, call):
    repo = cast.public_repo()
    client = cast.api_client("owner", TokenScope.READ)
    answer = (
        ask_refs(client, repo.url_path, "git-receive-pack")
        if call == "ask"
        else push(client, repo.url_path, new_branch(git_of(repo).ref("refs/heads/main")))
    )
    assert answer.status_code == 403
    assert b"token may read" in answer.content


def test_the_token_is_the_password_and_a_session_is_nothing(cast: Cast):
    repo = cast.private_repo()
    token = cast.token("member")
    answer = ask_refs(Client(headers=basic(token)), repo.url_path)
    assert b"".join(answer.streaming_content).startswith(b"000eversion 2")
    assert ask_refs(Client(headers=basic("mg_wrong")), repo.url_path).status_code == 401
    assert ask_refs(cast.web_client("owner"), repo.url_path).status_code == 401
    answer = push(cast.web_client("owner"), repo.url_path, new_branch(NOBODY))
    assert answer.status_code == 401


def test_a_repository_that_moved_sends_its_readers_on(cast: Cast):
    repo = cast.private_repo("old-name")
    move_repo(repo=repo, namespace=repo.namespace, name="new-name", acting_user=cast.owner)
    answer = ask_refs(cast.api_client("reader"), "/guild/old-name.git")
    assert answer.status_code == 307
    assert answer["Location"] == "/guild/new-name.git/info/refs?service=git-upload-pack"
    assert ask_refs(cast.api_client("stranger"), "/guild/old-name.git").status_code == 404


def test_only_what_git_sends_is_taken(cast: Cast):
    client, address = cast.api_client("owner"), cast.public_repo().url_path
    assert client.post(f"{address}/git-upload-pack", {"a": "b"}).status_code == 415
    assert client.post(f"{address}/git-receive-pack", {"a": "b"}).status_code == 415
    assert client.get(f"{address}/git-upload-pack").status_code == 405
    assert client.post(f"{address}/info/refs").status_code == 405
    assert fetch(client, address, b"0011command=nonsense").status_code == 400
    assert push(client, address, b"what?").status_code == 400
    assert push(client, address, FLUSH).status_code == 200
    assert client.get(f"{address}/info/refs").status_code == 501
    assert client.get(f"{address}.git/HEAD").status_code == 501
    assert client.get(f"{address}.git/objects/info/packs").status_code == 501
    assert client.get(f"{address}/info/refs?service=git-upload-archive").status_code == 501


def test_the_address_for_git_leads_a_browser_to_the_page():
    answer = Client().get("/datasets/guild/thing.git")
    assert (answer.status_code, answer["Location"]) == (302, "/datasets/guild/thing")


def test_a_revoked_token_opens_nothing(cast: Cast):
    token = cast.token("owner")
    client = client_with(token)
    AccessToken.objects.filter(user=cast.owner).delete()
    assert ask_refs(client, cast.private_repo().url_path).status_code == 401
