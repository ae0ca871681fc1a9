"""Gates: who passes, at every way to contents; and what asking, letting in and rejecting do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from hub import events
from hub.access import may_read_contents, repos_open_to
from hub.actions.copies import duplicate_repo
from hub.actions.gates import decide_request, grant_access, request_access, withdraw_request
from hub.actions.repos import move_repo, update_repo_settings
from hub.actions.tokens import Grant
from hub.auth import Actor, find_token
from hub.errors import GatedRepo, InvalidInput, NotFound, NotGated
from hub.lfs.transfer_urls import Transfer, open_transfer, signed_query
from hub.models import (
    AccessRequest,
    AuditEntry,
    Gate,
    Repo,
    RequestStatus,
    Role,
    TokenScope,
    Xorb,
    XorbChunk,
)
from hub.site import git_of
from hub.xet import dedup
from hub.xet.token import issue_token, read_token
from tests.hub.githttp.test_permissions import LS_REFS
from tests.support.cast import Cast, client_with
from tests.support.factories import (
    commit,
    commit_large,
    gate,
    make_organization,
    make_repo,
    make_token,
    make_user,
)

pytestmark = pytest.mark.django_db

STANDINGS = {
    "owner": True, "member": True, "reader": True, "admin": True, "accepted": True,
    "pending": False, "rejected": False, "stranger": False, "anonymous": False,
}  # fmt: skip
"""Everybody who may see a public repository, and whether its gate lets them in."""

WEIGHTS = b"w" * 4000


def client_of(cast: Cast, standing: str, repo: Repo) -> Client:
    """A client with a token of somebody who stands so at the gate of `repo`."""
    if standing in RequestStatus.values:
        user = make_user(f"{standing}-{repo.repo_type}")
        AccessRequest.objects.create(repo=repo, user=user, status=standing)
        return client_with(make_token(user))
    return cast.api_client(standing)


def send(client: Client, path: str, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, data, content_type="application/json", headers=headers)


def lfs_batch(operation: str, oid: str) -> dict[str, Any]:
    return {"operation": operation, "objects": [{"oid": oid, "size": len(WEIGHTS)}]}


OID = "41" * 32
COMMIT_LINE = b'{"key": "header", "value": {"summary": "x"}}\n'
MODEL_DOORS: dict[str, Callable[[Client, str], Any]] = {
    "file": lambda c, name: c.get(f"/{name}/resolve/main/config.json"),
    "head": lambda c, name: c.head(f"/{name}/resolve/main/model.bin"),
    "file that is not there": lambda c, name: c.get(f"/{name}/resolve/main/no.bin"),
    "raw": lambda c, name: c.get(f"/{name}/raw/main/config.json"),
    "xet token": lambda c, name: c.get(f"/api/models/{name}/xet-read-token/main"),
    "xet token of a proposal": lambda c, name: c.get(
        f"/api/models/{name}/xet-write-token/None?create_pr=1"
    ),
    "auth-check": lambda c, name: c.get(f"/api/models/{name}/auth-check"),
    "clone, refs": lambda c, name: c.get(f"/{name}.git/info/refs?service=git-upload-pack"),
    "clone": lambda c, name: c.post(
        f"/{name}/git-upload-pack", LS_REFS, headers={"Git-Protocol": "version=2"},
        content_type="application/x-git-upload-pack-request",
    ),
    "push, refs": lambda c, name: c.get(f"/{name}.git/info/refs?service=git-receive-pack"),
    "lfs download": lambda c, name: send(
        c, f"/{name}.git/info/lfs/objects/batch", lfs_batch("download", OID)
    ),
    "lfs upload": lambda c, name: send(
        c, f"/{name}.git/info/lfs/objects/batch", lfs_batch("upload", OID)
    ),
    "lfs verify": lambda c, name: send(
        c, f"/{name}.git/info/lfs/verify", {"oid": OID, "size": 1}
    ),
    "commit as a proposal": lambda c, name: send(
        c, f"/api/models/{name}/commit/main?create_pr=1", COMMIT_LINE
    ),
    "preupload of a proposal": lambda c, name: send(
        c, f"/api/models/{name}/preupload/main?create_pr=1", {"files": []}
    ),
    "pull request": lambda c, name: send(
        c, f"/api/models/{name}/discussions", {"title": "One", "pullRequest": True}
    ),
    "copied files": lambda c, name: send(
        c, f"/api/models/{name}/lfs-files/duplicate", {"files": [], "target": {"name": name}}
    ),
    "commit page": lambda c, name: c.get(f"/{name}/commit/main"),
    "file page": lambda c, name: c.get(f"/{name}/blob/main/config.json"),
    "tensors": lambda c, name: c.get(f"/{name}/tensors/main/a.safetensors"),
}  # fmt: skip
DATA_DOORS: dict[str, Callable[[Client, str], Any]] = {
    call: lambda c, name, call=call: c.get(f"/api/v1/datasets/{name}/{call}")
    for call in (
        "splits", "rows", "search?query=a", "filter", "statistics", "parquet", "croissant"
    )
} | {
    "croissant of the Hub": lambda c, name: c.get(f"/api/datasets/{name}/croissant"),
    "viewer": lambda c, name: c.get(f"/datasets/{name}/viewer"),
    "preview": lambda c, name: c.get(f"/datasets/{name}/viewer-preview"),
    "media": lambda c, name: c.get(f"/datasets/{name}/viewer-media?row=0&column=t"),
}  # fmt: skip


def test_every_way_to_contents_asks_the_gate(cast: Cast) -> None:
    model = make_repo(cast.organization, "gated", creator=cast.owner)
    commit(model, {"config.json": "{}"})
    commit_large(model, {"model.bin": WEIGHTS})
    data = make_repo(cast.organization, "gated", repo_type="dataset", creator=cast.owner)
    commit(data, {"train.jsonl": '{"t": "a"}\n'})
    for repo, doors in ((model, MODEL_DOORS), (data, DATA_DOORS)):
        gate(repo)
        for standing, passes in STANDINGS.items():
            client = client_of(cast, standing, repo)
            for name, door in doors.items():
                answer = door(client, repo.full_name)
                b"".join(answer)  # a stream ends what it holds when it is read
                told = (name, standing, answer.status_code, answer.headers.get("X-Error-Code"))
                if passes:
                    assert answer.headers.get("X-Error-Code") != "GatedRepo", told
                    assert answer.status_code < 500, told
                elif standing == "anonymous":
                    assert answer.status_code == 401, told
                    assert answer["X-Error-Code"] in {"GatedRepo", "AuthenticationRequired"}, told
                else:
                    assert (answer.status_code, answer["X-Error-Code"]) == (403, "GatedRepo"), told
    assert not Repo.objects.filter(name="copy").exists()


@pytest.mark.parametrize("standing", STANDINGS)
def test_copies_go_to_whom_the_gate_lets_in(cast: Cast, standing: str) -> None:
    repo = gate(make_repo(cast.organization, "gated", creator=cast.owner), Gate.AUTO)
    client = client_of(cast, standing, repo)
    named = cast.user(standing) if standing in ("owner", "member", "reader", "admin") else None
    owner = named.username if named else f"{standing}-model"
    wish = {"repository": f"{owner}/copy"}
    answer = send(client, f"{repo.api_path}/duplicate", wish)
    if STANDINGS[standing]:
        assert answer.status_code == 200
        assert Repo.objects.get(name="copy").gated == Gate.AUTO
    else:
        assert answer["X-Error-Code"] == "GatedRepo"
        assert not Repo.objects.filter(name="copy").exists()


def test_the_words_say_where_one_stands(cast: Cast) -> None:
    repo = gate(cast.public_repo())
    path = f"{repo.url_path}/resolve/main/config.json"
    told = {}
    for standing in ("pending", "rejected", "stranger", "anonymous"):
        answer = client_of(cast, standing, repo).get(path)
        assert answer.json()["code"] == "GatedRepo"
        assert answer.json()["details"] == {"ask_at": "/guild/open-model"}
        assert repo.full_name in answer["X-Error-Message"]
        told[standing] = answer["X-Error-Message"]
    assert len(set(told.values())) == 4
    assert "waits" in told["pending"]
    assert "rejected" in told["rejected"]
    assert told["stranger"].endswith(repo.url_path)


def test_card_and_licence_are_open_as_they_are_on_the_default_branch(cast: Cast) -> None:
    repo = cast.public_repo()
    old = commit(repo, {"README.md": "old", "LICENSE": "mine", "sub/README.md": "x"})
    commit(repo, {"README.md": "new", "readme.md": "x", "LICENSE.rst": "x"})
    gate(repo)
    client = cast.api_client("anonymous")
    for kind in ("resolve", "raw", "blob"):
        for path in ("README.md", "LICENSE"):
            assert client.get(f"{repo.url_path}/{kind}/main/{path}").status_code == 200
            answer = client.get(f"{repo.url_path}/{kind}/{old}/{path}")
            assert answer["X-Error-Code"] == "GatedRepo", "a pull request may hold anything there"
        for path in ("sub/README.md", "readme.md", "LICENSE.rst", ".gitattributes"):
            answer = client.get(f"{repo.url_path}/{kind}/main/{path}")
            assert answer["X-Error-Code"] == "GatedRepo", path
    missing = client.get(f"{repo.url_path}/resolve/main/LICENSE.txt")
    assert missing["X-Error-Code"] == "EntryNotFound"


def test_digests_of_large_files_are_starred_out(cast: Cast) -> None:
    repo = cast.public_repo()
    commit_large(repo, {"model.bin": WEIGHTS})
    gate(repo)
    for role, is_shown in (("member", True), ("stranger", False), ("anonymous", False)):
        client = cast.api_client(role)
        listed = client.get(f"{repo.api_path}/tree/main").json()
        asked = send(client, f"{repo.api_path}/paths-info/main", {"paths": ["model.bin"]}).json()
        info = client.get(f"{repo.api_path}?blobs=true").json()
        found = [row["lfs"]["oid"] for row in [*listed, *asked] if "lfs" in row]
        found += [row["lfs"]["sha256"] for row in info["siblings"] if "lfs" in row]
        assert len(found) == 3
        assert all((oid != "*" * 64) == is_shown for oid in found), role
        page = client.get(f"{repo.url_path}/tree/main").content.decode()
        assert (found[0] in page) == is_shown


@pytest.mark.parametrize("mode", ["", *Gate.values])
def test_the_set_and_the_single_question_agree(cast: Cast, mode: str) -> None:
    own = make_repo(cast.stranger, "own")
    repos = [cast.public_repo(), cast.private_repo(), own]
    for repo in repos:
        update_repo_settings(repo=repo, gated=mode, acting_user=cast.owner)
    accepted = make_user("anna")
    AccessRequest.objects.create(repo=repos[0], user=accepted, status=RequestStatus.ACCEPTED)
    AccessRequest.objects.create(repo=own, user=accepted, status=RequestStatus.REJECTED)
    actors = [cast.actor(role) for role in STANDINGS if role not in RequestStatus.values]
    actors.append(Actor(user=accepted))
    for user in (cast.owner, accepted):
        for grants in ((Grant(repos[0]),), (Grant(own),)):
            text = make_token(user, scope=TokenScope.FINE_GRAINED, grants=grants)
            actors.append(Actor(user=user, token=find_token(text)))
    for actor in actors:
        seen = Repo.objects.visible_to(actor.user)
        if actor.token:
            seen = seen.filter(is_private=False) | seen.filter(
                pk__in=actor.token.grants.values("repo")
            )
        single = {repo.pk for repo in seen if may_read_contents(actor, repo)}
        assert set(repos_open_to(actor).values_list("pk", flat=True)) == single, actor


def test_fine_grained_token_passes_only_where_it_was_made_for(cast: Cast) -> None:
    repo = gate(cast.public_repo(), let_in=[cast.stranger])
    other = make_repo(cast.stranger)
    path = f"{repo.api_path}/auth-check"
    for granted, status in ((other, 403), (repo, 200)):
        token = make_token(cast.stranger, scope=TokenScope.FINE_GRAINED, grants=(Grant(granted),))
        answer = client_with(token).get(path)
        assert answer.status_code == status
        assert status == 200 or "token" in answer["X-Error-Message"]
    page = cast.web_client("stranger").get("/settings/tokens").content.decode()
    assert f"grant_{repo.pk}" in page


def test_who_leaves_the_organisation_is_outside_the_gate(cast: Cast) -> None:
    repo = gate(cast.public_repo())
    client = cast.api_client("member")
    assert client.get(f"{repo.api_path}/auth-check").status_code == 200
    cast.organization.memberships.filter(user=cast.member).delete()
    assert client.get(f"{repo.api_path}/auth-check").status_code == 403


def test_access_that_is_withdrawn_ends_what_was_given_out(cast: Cast) -> None:
    """Tokens of Xet and addresses of LFS, made while one had access."""
    repo = gate(cast.public_repo(), let_in=[cast.stranger])
    actor = cast.actor("stranger")
    tokens = [issue_token(repo=repo, actor=actor, can_write=w).text for w in (False, True)]
    transfers = {
        verb: dict(pair.split("=") for pair in query.split("&"))
        for verb in ("download", "upload")
        for query in [signed_query(Transfer(verb, OID, 1, repo, actor))]
    }
    assert all(read_token(text).repo == repo for text in tokens)
    assert all(open_transfer(verb, OID, query).repo == repo for verb, query in transfers.items())
    decide_request(repo=repo, user=cast.stranger, status="rejected", acting_user=cast.owner)
    for text in tokens:
        with pytest.raises(GatedRepo):
            read_token(text)
    for verb, query in transfers.items():
        with pytest.raises(Exception, match="no longer have the right"):
            open_transfer(verb, OID, query)


def test_deduplication_tells_nothing_of_what_is_behind_a_gate(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[int]] = []
    monkeypatch.setattr(
        dedup, "repos_open_to", lambda actor: asked.append(set()) or repos_open_to(actor)
    )
    repo, own = gate(cast.public_repo()), make_repo(cast.stranger)
    xorb = Xorb.objects.create(hash="cd" * 32, size_bytes=9, unpacked_bytes=9, chunk_count=1)
    XorbChunk.objects.create(chunk_hash="ab" * 32, xorb=xorb)
    assert dedup.answer_query("ab" * 32, repo=own, actor=cast.actor("stranger")) is None
    assert asked
    assert set(repos_open_to(cast.actor("stranger"))) == {own}
    assert set(repos_open_to(cast.actor("reader"))) == {own, repo}


# --- Asking and answering --------------------------------------------------------------------


def state(repo: Repo, user: Any) -> str | None:
    return (
        AccessRequest.objects.filter(repo=repo, user=user).values_list("status", flat=True).first()
    )


def test_asking_waits_or_opens_at_once_and_twice_changes_nothing(cast: Cast) -> None:
    manual, auto = gate(cast.public_repo("m")), gate(cast.public_repo("a"), Gate.AUTO)
    first, is_new = request_access(repo=manual, fields={"Who": "me"}, acting_user=cast.stranger)
    again, is_new_again = request_access(repo=manual, fields={}, acting_user=cast.stranger)
    assert (is_new, is_new_again, first.pk) == (True, False, again.pk)
    assert (again.status, again.fields, again.decided_at) == ("pending", {"Who": "me"}, None)
    opened, _ = request_access(repo=auto, fields={}, acting_user=cast.stranger)
    assert (opened.status, opened.decided_by) == ("accepted", None)
    assert opened.decided_at is not None
    assert may_read_contents(cast.actor("stranger"), auto)
    assert not may_read_contents(cast.actor("stranger"), manual)


def test_who_was_rejected_stays_so_by_asking_again(cast: Cast) -> None:
    repo = gate(cast.public_repo(), Gate.AUTO, let_in=[cast.stranger])
    facts = {"repo": repo, "user": cast.stranger, "acting_user": cast.owner}
    decide_request(**facts, status="rejected", reason="No.")
    _, is_new = request_access(repo=repo, fields={}, acting_user=cast.stranger)
    assert (is_new, state(repo, cast.stranger)) == (False, "rejected")
    with pytest.raises(NotFound):
        withdraw_request(repo=repo, acting_user=cast.stranger)


def test_each_answer_may_follow_on_each_other_and_none_on_itself(cast: Cast) -> None:
    repo = gate(cast.public_repo(), let_in=[cast.stranger])
    facts = {"repo": repo, "user": cast.stranger, "acting_user": cast.member}
    at = "accepted"
    for to in ("pending", "rejected", "accepted", "rejected", "pending", "accepted"):
        with pytest.raises(NotFound):
            decide_request(**facts, status=at)
        row = decide_request(**facts, status=to, reason="Because.")
        assert (row.status, row.reason) == (to, "Because." if to == "rejected" else "")
        assert (row.decided_by, row.decided_at is None) == (cast.member, False)
        assert may_read_contents(cast.actor("stranger"), repo) == (to == "accepted")
        at = to


def test_bad_answers_change_nothing(cast: Cast) -> None:
    repo, open_repo = gate(cast.public_repo()), cast.public_repo("open")
    request_access(repo=repo, fields={}, acting_user=cast.stranger)
    facts = {"repo": repo, "user": cast.stranger, "acting_user": cast.owner}
    with pytest.raises(InvalidInput):
        decide_request(**facts, status="reset")
    with pytest.raises(InvalidInput):
        decide_request(**facts, status="rejected", reason="x" * 201)
    with pytest.raises(NotFound):
        decide_request(**facts | {"user": cast.reader}, status="accepted")
    for call in (
        lambda: request_access(repo=open_repo, fields={}, acting_user=cast.stranger),
        lambda: grant_access(repo=open_repo, user=cast.stranger, acting_user=cast.owner),
        lambda: decide_request(**facts | {"repo": open_repo}, status="accepted"),
    ):
        with pytest.raises(NotGated):
            call()
    assert state(repo, cast.stranger) == "pending"
    assert AccessRequest.objects.count() == 1


def test_granting_lets_in_whoever_is_not_in_yet(cast: Cast) -> None:
    repo = gate(cast.public_repo())
    request_access(repo=repo, fields={"a": "b"}, acting_user=cast.reader)
    granted = grant_access(repo=repo, user=cast.stranger, acting_user=cast.owner)
    asked = grant_access(repo=repo, user=cast.reader, acting_user=cast.owner)
    assert (granted.shares_email, asked.shares_email, asked.fields) == (False, True, {"a": "b"})
    for user in (cast.stranger, cast.reader):
        with pytest.raises(InvalidInput, match="already has access"):
            grant_access(repo=repo, user=user, acting_user=cast.owner)


def test_a_waiting_request_can_be_taken_back_with_all_it_said(cast: Cast) -> None:
    repo = gate(cast.public_repo())
    request_access(repo=repo, fields={"Who": "me"}, acting_user=cast.stranger)
    withdraw_request(repo=repo, acting_user=cast.stranger)
    assert not AccessRequest.objects.exists()
    assert "me" not in json.dumps(list(AuditEntry.objects.values_list("details", flat=True)))


def test_requests_outlive_the_gate_and_its_kind(cast: Cast) -> None:
    repo = gate(cast.public_repo(), let_in=[cast.reader])
    request_access(repo=repo, fields={}, acting_user=cast.stranger)
    for mode in ("auto", "", "manual"):
        update_repo_settings(repo=repo, gated=mode, acting_user=cast.owner)
        assert may_read_contents(cast.actor("stranger"), repo) == (mode == "")
        assert state(repo, cast.stranger) == "pending"
    verbs = AuditEntry.objects.filter(verb="repo.gate_changed").values_list("details", flat=True)
    assert [(each["old"], each["new"]) for each in verbs] == [
        ("", "manual"), ("manual", "auto"), ("auto", ""), ("", "manual"),
    ]  # fmt: skip


def test_others_hear_of_requests_and_answers(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[events.AccessRequestChanged] = []
    monkeypatch.setitem(events._receivers, events.AccessRequestChanged, [heard.append])
    with django_capture_on_commit_callbacks(execute=True):
        repo = gate(cast.public_repo())
        request_access(repo=repo, fields={}, acting_user=cast.stranger)
        decide_request(repo=repo, user=cast.stranger, status="accepted", acting_user=cast.member)
    assert [(each.status, each.actor_id) for each in heard] == [
        ("pending", cast.stranger.pk), ("accepted", cast.member.pk),
    ]  # fmt: skip
    assert {each.user_id for each in heard} == {cast.stranger.pk}


def test_a_copy_keeps_the_gate_and_lets_nobody_in(cast: Cast) -> None:
    repo = gate(cast.public_repo(), let_in=[cast.reader, cast.stranger])
    copy = duplicate_repo(
        source=repo, namespace=cast.stranger.namespace, name="copy", is_private=False,
        acting_user=cast.stranger,
    )  # fmt: skip
    assert copy.gated == "manual"
    assert not may_read_contents(cast.actor("reader"), copy)


def test_a_moved_repository_takes_its_gate_along(cast: Cast) -> None:
    from hub.actions.repos import move_repo

    other = make_organization("other", admin=cast.owner, members={cast.reader: Role.READ})
    repo = gate(cast.public_repo(), let_in=[cast.stranger])
    move_repo(repo=repo, namespace=other.namespace, name="moved", acting_user=cast.owner)
    told = {role: cast.api_client(role).get(f"{repo.api_path}/auth-check").status_code
            for role in ("reader", "member", "stranger")}  # fmt: skip
    assert told == {"reader": 200, "member": 403, "stranger": 200}


def test_what_people_shared_does_not_go_to_another_owner(cast: Cast) -> None:
    """A new name changes nothing; with a new owner who is let in stays so, and nothing else."""
    repo = gate(make_repo(cast.owner, "m"))
    request_access(repo=repo, fields={"Country": "Utopia"}, acting_user=cast.stranger)
    decide_request(repo=repo, user=cast.stranger, status="accepted", acting_user=cast.owner)
    move_repo(repo=repo, namespace=repo.namespace, name="n", acting_user=cast.owner)
    asked = repo.access_requests.get()
    assert (asked.fields, asked.shares_email) == ({"Country": "Utopia"}, True)
    move_repo(repo=repo, namespace=cast.organization.namespace, name="n", acting_user=cast.owner)
    asked.refresh_from_db()
    assert (asked.fields, asked.shares_email, asked.status) == ({}, False, "accepted")
    page = cast.web_client("owner").get(f"{repo.url_path}/access-requests?status=accepted")
    assert page.status_code == 200
    assert cast.stranger.username.encode() in page.content
    assert cast.stranger.email.encode() not in page.content
    assert may_read_contents(cast.actor("stranger"), repo)


def test_a_request_that_was_put_back_is_not_taken_away_to_ask_anew(cast: Cast) -> None:
    repo = gate(cast.public_repo(), Gate.AUTO)
    request_access(repo=repo, fields={}, acting_user=cast.stranger)
    decide_request(
        repo=repo, user=cast.stranger, status=RequestStatus.PENDING, acting_user=cast.owner
    )
    with pytest.raises(NotFound):
        withdraw_request(repo=repo, acting_user=cast.stranger)
    asked, is_new = request_access(repo=repo, fields={}, acting_user=cast.stranger)
    assert (asked.status, is_new) == (RequestStatus.PENDING, False)


def test_nothing_is_read_out_of_earlier_commits_for_outsiders(cast: Cast) -> None:
    word = "zanzibarium"
    files = {
        "README.md": f"---\ntags: [{word}]\n---\n# {word}\n",
        "config.json": f'{{"model_type": "{word}"}}',
        ".eval_results/a.yaml": f"- {{dataset: {{id: a/{word}, task_id: t}}, value: 1}}",
    }
    repo = make_repo(cast.organization, "told", files=files, creator=cast.owner)
    earlier = git_of(repo).resolve("main")
    commit(repo, {"README.md": "# Nothing", "config.json": "{}", ".eval_results/a.yaml": "[]"})
    gate(repo)
    path = f"/api/models/{repo.full_name}/revision/{earlier}"
    for query in ("", "?expand=evalResults&expand=config&expand=cardData&expand=tags"):
        assert word.encode() in cast.api_client("reader").get(path + query).content
        assert word.encode() not in cast.api_client("stranger").get(path + query).content
