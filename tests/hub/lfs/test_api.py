"""LFS over HTTP: who may ask for what, and what comes of honest, broken and hostile bodies."""

import base64
import hashlib
import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from hub.actions.blobs import sweep_uploads
from hub.actions.organizations import remove_member
from hub.models import AccessToken, Blob, Repo, RepoBlob, TokenScope
from hub.site import store
from tests.support.cast import ROLES
from tests.support.factories import make_repo, store_blob

DATA = b"some weights" * 100
OID = hashlib.sha256(DATA).hexdigest()
MEDIA = "application/vnd.git-lfs+json"


@pytest.fixture
def repo(cast):
    return cast.public_repo()


@pytest.fixture
def owner(cast):
    return cast.api_client("owner")


def lfs(repo, suffix):
    return f"{repo.url_path}.git/info/lfs/{suffix}"


def ask(client, repo, operation="upload", objects=None, **more):
    body = {"operation": operation, "objects": objects or [{"oid": OID, "size": len(DATA)}], **more}
    return client.post(lfs(repo, "objects/batch"), json.dumps(body), content_type=MEDIA)


def actions(response):
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == MEDIA
    return response.json()["objects"][0]["actions"]


def local(href):
    """The address as the test client takes it: path and query."""
    prefix = "http://testserver"
    assert href.startswith(prefix)
    return href[len(prefix) :]


def put(href, data=DATA, **more):
    """A PUT as clients send it: without credentials."""
    return Client().put(local(href), data, content_type="application/octet-stream", **more)


def upload_href(client, repo):
    return actions(ask(client, repo))["upload"]["href"]


def assert_nothing_left(settings, repo):
    """No row, no content, no temporary file says that anything was sent."""
    assert not RepoBlob.objects.filter(repo=repo).exists()
    assert not Blob.objects.exists()
    assert list(store().list()) == []
    assert list(Path(settings.STAGING_DIR).iterdir()) == []


def body_of(response):
    return response.getvalue() if response.streaming else response.content


def test_upload_is_verified_linked_and_can_be_fetched(owner, repo, settings):
    wanted = actions(ask(owner, repo))
    assert put(wanted["upload"]["href"]).status_code == 200
    response = owner.post(
        local(wanted["verify"]["href"]),
        json.dumps({"oid": OID, "size": len(DATA)}),
        content_type=MEDIA,
    )
    assert response.status_code == 200
    blob = Blob.objects.get()
    assert (blob.sha256, blob.size_bytes, blob.is_plain) == (OID, len(DATA), True)
    assert RepoBlob.objects.get().repo == repo
    assert store().read(blob.store_key) == DATA
    assert list(Path(settings.STAGING_DIR).iterdir()) == []
    href = actions(ask(owner, repo, "download"))["download"]["href"]
    assert body_of(Client().get(local(href))) == DATA
    ranged = Client().get(local(href), headers={"range": "bytes=5-9"})
    assert (ranged.status_code, body_of(ranged)) == (206, DATA[5:10])


def test_content_this_repository_has_is_not_asked_for_again(owner, repo):
    store_blob(repo, DATA)
    response = ask(owner, repo)
    assert response.json()["objects"] == [{"oid": OID, "size": len(DATA)}]


def test_oid_known_elsewhere_spares_nothing_and_gives_nothing(cast, owner, repo):
    secret = cast.private_repo()
    blob = store_blob(secret, DATA)
    modified = store().local_path(blob.store_key).stat().st_mtime_ns
    stranger = cast.api_client("stranger")
    mine = make_repo(cast.stranger, "mine")
    assert ask(stranger, mine, "download").json()["objects"][0]["error"]["code"] == 404
    href = upload_href(stranger, mine)
    assert put(href, b"x" * len(DATA)).status_code == 400
    assert not RepoBlob.objects.filter(repo=mine).exists()
    assert put(href).status_code == 200
    assert RepoBlob.objects.filter(repo=mine, blob=blob).exists()
    assert Blob.objects.count() == 1
    assert store().local_path(blob.store_key).stat().st_mtime_ns == modified


def test_content_known_by_xet_becomes_plain_too(owner, repo):
    Blob.objects.create(sha256=OID, size_bytes=len(DATA), is_plain=False)
    assert put(upload_href(owner, repo)).status_code == 200
    assert Blob.objects.get().is_plain
    assert store().read(Blob.objects.get().store_key) == DATA


@pytest.mark.parametrize(
    "data",
    [b"", DATA[:-1], DATA + b"x", b"x" * len(DATA), DATA[::-1]],
    ids=["empty", "short", "long", "other", "reversed"],
)
def test_broken_promise_is_refused_and_leaves_nothing(owner, repo, settings, data):
    response = put(upload_href(owner, repo), data)
    assert response.status_code == 400
    assert response["Content-Type"] == MEDIA
    assert response.json()["message"]
    assert_nothing_left(settings, repo)


def test_full_disk_is_said_and_leaves_nothing(owner, repo, settings, monkeypatch):
    from hub.storage import StorageFull, Store

    href = upload_href(owner, repo)

    def full(self, key, path, *, consume=True):
        raise StorageFull

    monkeypatch.setattr(Store, "put_file", full)
    response = put(href)
    assert (response.status_code, response["X-Error-Code"]) == (507, "StorageFull")
    assert_nothing_left(settings, repo)


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace(OID, "0" * 64),
        lambda url: url.replace(f"size={len(DATA)}", f"size={len(DATA) + 1}"),
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url[:-1] + ("a" if url[-1] != "a" else "b"),
        lambda url: url.partition("?")[0],
        lambda url: url.replace("user=", "user=1"),
        lambda url: url.replace("signature=", "x="),
    ],
)
def test_changed_address_opens_nothing(owner, repo, settings, change):
    response = put(change(upload_href(owner, repo)))
    assert response.status_code == 403
    assert response.json()["message"]
    assert_nothing_left(settings, repo)


def test_address_for_one_verb_opens_no_other(owner, repo, settings):
    href = upload_href(owner, repo)
    assert Client().get(local(href)).status_code == 403
    assert Client().post(local(href)).status_code == 405
    store_blob(repo, DATA)
    down = actions(ask(owner, repo, "download"))["download"]["href"]
    assert put(down).status_code == 403


def test_expired_address_opens_nothing(owner, repo, settings, monkeypatch):
    href = upload_href(owner, repo)
    later = time.time() + settings.UPLOAD_URL_LIFETIME_S + 1
    monkeypatch.setattr("hub.lfs.transfer_urls.time.time", lambda: later)
    assert put(href).status_code == 403
    assert_nothing_left(settings, repo)


@pytest.mark.parametrize("how", ["token", "expiry", "role", "account", "repo"])
def test_address_ends_with_the_right_behind_it(cast, repo, settings, how):
    member = cast.api_client("member")
    href = upload_href(member, repo)
    if how == "token":
        AccessToken.objects.filter(user=cast.member).delete()
    elif how == "expiry":
        past = timezone.now() - timedelta(seconds=1)
        AccessToken.objects.filter(user=cast.member).update(expires_at=past)
    elif how == "role":
        Repo.objects.filter(pk=repo.pk).update(is_private=True)
        remove_member(organization=cast.organization, user=cast.member, acting_user=cast.owner)
    elif how == "account":
        type(cast.member).objects.filter(pk=cast.member.pk).update(is_active=False)
    else:
        repo.delete()
    assert put(href).status_code == 403
    assert list(store().list()) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("is_private", [False, True])
@pytest.mark.parametrize("operation", ["upload", "download"])
def test_batch_over_the_cast(cast, role, is_private, operation):
    repo = cast.private_repo() if is_private else cast.public_repo()
    store_blob(repo, DATA)
    response = ask(cast.api_client(role), repo, operation)
    reads = not is_private or role in ("owner", "member", "reader", "admin")
    if reads and (operation == "download" or role != "anonymous"):
        assert response.status_code == 200
        return
    if role == "anonymous":
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Basic")
        assert response["LFS-Authenticate"].startswith("Basic")
    else:
        assert response.status_code == (403 if reads else 404)
    assert response["Content-Type"] == MEDIA
    assert OID not in response.content.decode()


def test_read_token_may_not_upload(cast, repo):
    client = cast.api_client("owner", TokenScope.READ)
    assert ask(client, repo).status_code == 403
    assert ask(client, repo, "download").status_code == 200


def test_session_alone_opens_nothing(cast, repo):
    assert ask(cast.web_client("owner"), repo).status_code == 401


def test_token_may_come_as_basic_password(cast, repo):
    basic = base64.b64encode(f"anyone:{cast.token('owner')}".encode()).decode()
    client = Client(headers={"authorization": f"Basic {basic}"})
    assert ask(client, repo).status_code == 200


def test_bad_token_is_asked_for_again(cast, repo):
    client = Client(headers={"authorization": "Basic !!!"})
    response = ask(client, repo)
    assert (response.status_code, response["X-Error-Code"]) == (401, "InvalidToken")


def test_data_set_has_its_own_address(cast, owner):
    repo = make_repo(cast.organization, "data", repo_type="dataset", creator=cast.owner)
    href = upload_href(owner, repo)
    assert "/datasets/guild/data.git/info/lfs/" in href
    assert put(href).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b"{}", 400),
        (b'{"objects": {}}', 400),
        (b'{"objects": [1]}', 400),
        (b'{"objects": []}', 422),
        (b'{"operation": "steal", "objects": []}', 422),
        (b'{"operation": "upload", "objects": [], "hash_algo": "md5"}', 409),
        (b'{"operation": "upload", "objects": [], "transfers": ["tus"]}', 422),
        (json.dumps({"operation": "upload", "objects": [{}] * 1001}).encode(), 413),
        (b" " * 5_000_000, 413),
    ],
)
def test_nonsense_is_refused_in_the_form_git_lfs_reads(owner, repo, body, status):
    response = owner.post(lfs(repo, "objects/batch"), body, content_type=MEDIA)
    assert response.status_code == status
    assert response["Content-Type"] == MEDIA
    assert response.json()["message"]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"oid": OID},
        {"oid": OID, "size": -1},
        {"oid": OID, "size": "7"},
        {"oid": OID, "size": True},
        {"oid": OID, "size": 1.5},
        {"oid": OID, "size": 10**18},
        {"oid": OID.upper(), "size": 1},
        {"oid": "../../etc/passwd", "size": 1},
        {"oid": None, "size": 1},
        {"oid": [OID], "size": 1},
    ],
)
def test_bad_object_gets_an_error_of_its_own_beside_a_good_one(owner, repo, bad):
    response = ask(owner, repo, objects=[bad, {"oid": OID, "size": len(DATA)}])
    first, second = response.json()["objects"]
    assert first["error"]["code"] == 422
    assert first["error"]["message"]
    assert "actions" not in first
    assert second["actions"]["upload"]["href"]


def test_wrong_size_of_known_content_is_an_error(owner, repo):
    store_blob(repo, DATA)
    for operation in ("upload", "download"):
        response = ask(owner, repo, operation, [{"oid": OID, "size": 1}])
        assert response.json()["objects"][0]["error"]["code"] == 422


def test_empty_batch_is_answered(owner, repo):
    body = json.dumps({"operation": "upload", "objects": []})
    response = owner.post(lfs(repo, "objects/batch"), body, content_type=MEDIA)
    assert response.json()["objects"] == []


@pytest.mark.parametrize("role", ROLES)
def test_verify_over_the_cast(cast, role):
    repo = cast.private_repo()
    store_blob(repo, DATA)
    body = json.dumps({"oid": OID, "size": len(DATA)})
    response = cast.api_client(role).post(lfs(repo, "verify"), body, content_type=MEDIA)
    expected = {"anonymous": 401, "stranger": 404}.get(role, 200)
    assert response.status_code == expected


def test_address_of_verify_needs_no_token_and_serves_one_object(owner, repo):
    wanted = actions(ask(owner, repo))
    store_blob(repo, DATA)
    other = store_blob(repo, b"other")
    href = local(wanted["verify"]["href"])

    def verify(oid, size, href=href):
        body = json.dumps({"oid": oid, "size": size})
        return Client().post(href, body, content_type=MEDIA).status_code

    assert verify(OID, len(DATA)) == 200
    assert verify(other.sha256, 5) == 403
    assert verify(OID, len(DATA), local(wanted["upload"]["href"])) == 405
    assert verify(OID, len(DATA), href.partition("?")[0]) == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"oid": "0" * 64, "size": 1}, 404),
        ({"oid": OID, "size": 1}, 422),
        ({"oid": "x", "size": 1}, 422),
        ({}, 422),
        ([], 400),
    ],
)
def test_verify_says_what_did_not_arrive(owner, repo, body, status):
    store_blob(repo, DATA)
    response = owner.post(lfs(repo, "verify"), json.dumps(body), content_type=MEDIA)
    assert response.status_code == status
    assert response.json()["message"]


@pytest.mark.parametrize("suffix", ["locks", "locks/verify", "locks/3/unlock"])
def test_locks_are_not_offered(owner, repo, suffix):
    response = owner.post(lfs(repo, suffix), "{}", content_type=MEDIA)
    assert (response.status_code, response["Content-Type"]) == (404, MEDIA)


# Uploads in parts


@pytest.fixture
def parts(owner, repo, settings):
    """Part addresses by number, and that of the completion, for DATA in parts of 500 bytes."""
    settings.LFS_PART_BYTES = settings.LFS_SINGLE_PUT_BYTES = 500
    response = ask(owner, repo, transfers=["basic", "multipart"])
    assert response.json()["transfer"] == "multipart"
    upload = actions(response)["upload"]
    header = dict(upload["header"])
    assert header.pop("chunk_size") == "500"
    return {int(number): href for number, href in header.items()}, upload["href"]


def send_part(hrefs, number, data=None):
    return put(hrefs[number], DATA[(number - 1) * 500 : number * 500] if data is None else data)


def finish(href, numbers, oid=OID):
    body = {"oid": oid, "parts": [{"partNumber": n, "etag": "x"} for n in numbers]}
    return Client().post(local(href), json.dumps(body), content_type="application/json")


def test_parts_sent_in_any_order_make_the_whole(repo, settings, parts):
    hrefs, complete = parts
    assert sorted(hrefs) == [1, 2, 3]
    for number in (3, 1, 2):
        response = send_part(hrefs, number)
        assert response.status_code == 200
        assert response["ETag"].strip('"')
    assert not Blob.objects.exists()
    assert finish(complete, [1, 2, 3]).status_code == 200
    assert RepoBlob.objects.get().repo == repo
    assert [item.key for item in store().list()] == [Blob.objects.get().store_key]
    assert store().read(Blob.objects.get().store_key) == DATA
    assert list(Path(settings.STAGING_DIR).iterdir()) == []
    assert finish(complete, [1, 2, 3]).status_code == 200


def test_large_upload_is_kept_waiting_and_completed(repo, parts, monkeypatch, transactional_db):
    hrefs, complete = parts
    for number in hrefs:
        send_part(hrefs, number)
    monkeypatch.setattr("hub.lfs.views.SLOW_BYTES", 10)
    response = finish(complete, [1, 2, 3])
    assert response.streaming
    assert json.loads(response.getvalue()) == {"oid": OID}
    assert RepoBlob.objects.get().repo == repo


@pytest.mark.parametrize("data", [b"", b"x" * 499, b"x" * 501])
def test_part_of_another_size_is_refused(settings, repo, parts, data):
    hrefs, _ = parts
    assert send_part(hrefs, 1, data).status_code == 400
    assert_nothing_left(settings, repo)


@pytest.mark.parametrize("numbers", [[], [1, 2], [1, 2, 2], [1, 2, 3, 4], [0, 1, 2]])
def test_completion_must_name_each_part_once(repo, parts, numbers):
    hrefs, complete = parts
    for number in hrefs:
        send_part(hrefs, number)
    assert finish(complete, numbers).status_code == 400
    assert not RepoBlob.objects.exists()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"oid": 1, "parts": 2}', b'{"oid":"x","parts":[{}]}']
)
def test_completion_must_be_readable(parts, body):
    _, complete = parts
    response = Client().post(local(complete), body, content_type="application/json")
    assert response.status_code == 400


def test_missing_part_is_named_and_may_be_sent_late(repo, parts):
    hrefs, complete = parts
    send_part(hrefs, 1)
    send_part(hrefs, 3)
    response = finish(complete, [1, 2, 3])
    assert response.status_code == 400
    assert "2" in response.json()["message"]
    send_part(hrefs, 2)
    assert finish(complete, [1, 2, 3]).status_code == 200


def test_whole_with_another_digest_is_refused_and_can_be_mended(repo, settings, parts):
    hrefs, complete = parts
    for number in hrefs:
        send_part(hrefs, number)
    send_part(hrefs, 2, b"x" * 500)
    assert finish(complete, [1, 2, 3]).status_code == 400
    assert not Blob.objects.exists()
    assert list(Path(settings.STAGING_DIR).iterdir()) == []
    assert all(item.key.startswith("uploads/") for item in store().list())
    send_part(hrefs, 2)
    assert finish(complete, [1, 2, 3]).status_code == 200


@pytest.mark.parametrize("number", [0, 4, 99999])
def test_part_that_does_not_exist_is_refused(settings, repo, parts, number):
    hrefs, _ = parts
    assert put(hrefs[1].replace("/parts/1?", f"/parts/{number}?")).status_code == 400
    assert_nothing_left(settings, repo)


def test_client_that_knows_no_parts_sends_one_body(owner, repo, settings):
    settings.LFS_PART_BYTES = settings.LFS_SINGLE_PUT_BYTES = 500
    response = ask(owner, repo, transfers=["basic"])
    assert response.json()["transfer"] == "basic"
    # huggingface_hub of before 1.20 asks like this; git-lfs with an agent for Xet as below.
    response = ask(owner, repo, transfers=["basic", "multipart", "xet"])
    assert response.json()["transfer"] == "xet"
    response = ask(owner, repo, transfers=["basic", "xet"])
    assert response.json()["transfer"] == "basic"
    assert put(actions(response)["upload"]["href"]).status_code == 200


def test_number_of_parts_is_kept_down(owner, repo, settings):
    settings.LFS_PART_BYTES = settings.LFS_SINGLE_PUT_BYTES = 500
    big = [{"oid": OID, "size": 10**9}]
    response = ask(owner, repo, objects=big, transfers=["multipart", "basic"])
    header = actions(response)["upload"]["header"]
    assert int(header["chunk_size"]) == 10**6
    assert len(header) == 1001


def test_uncompleted_uploads_are_swept_up_in_time(settings, repo, parts):
    hrefs, _ = parts
    send_part(hrefs, 1)
    stray = Path(settings.STAGING_DIR) / "recv-stray"
    stray.write_bytes(b"x")
    assert sweep_uploads() == 0
    (part,) = store().list()
    old = time.time() - settings.UPLOAD_URL_LIFETIME_S - 25 * 3600
    os.utime(stray, (old, old))
    os.utime(store().local_path(part.key), (old, old))
    assert sweep_uploads() == 2
    assert_nothing_left(settings, repo)
