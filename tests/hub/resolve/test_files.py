"""HEAD and GET of files: headers that clients demand, ranges, conditions, rights, and safety."""

import hashlib

import pytest
from django.urls import reverse

from hub.actions.repos import move_repo
from hub.site import git_of, store
from hub.storage import Store
from hub.vcs import AddPointer
from hub.vcs.values import Signature
from tests.support.cast import ROLES
from tests.support.factories import commit, commit_large, make_repo, store_blob

TEXT = b"hello world\n"
LARGE = bytes(range(256)) * 40
SHA256 = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture
def repo(cast):
    return cast.public_repo()


@pytest.fixture
def sha(repo):
    commit(repo, {"README.md": TEXT, "a/b c/é.txt": b"deep", "page.html": b"<script>x()</script>"})
    return commit_large(repo, {"model.safetensors": LARGE})


@pytest.fixture
def client(cast):
    return cast.api_client("stranger")


def body_of(response):
    return response.getvalue() if response.streaming else response.content


def url(repo, path, revision="main", kind="resolve"):
    return f"{repo.url_path}/{kind}/{revision}/{path}"


def test_head_of_a_regular_file_has_all_a_client_needs(client, repo, sha):
    response = client.head(url(repo, "README.md"))
    assert response.status_code == 200
    assert response["X-Repo-Commit"] == sha
    assert response["ETag"] == '"3b18e512dba79e4c8300dd08aeb37f8e728b8dad"'  # git hash-object
    assert response["Content-Length"] == "12"
    assert response["Accept-Ranges"] == "bytes"
    assert "X-Linked-Etag" not in response
    assert body_of(response) == b""


def test_head_of_a_large_file_names_its_sha256(client, repo, sha):
    response = client.head(url(repo, "model.safetensors"))
    assert response["ETag"] == response["X-Linked-Etag"] == f'"{SHA256}"'
    assert response["X-Linked-Size"] == response["Content-Length"] == str(len(LARGE))
    assert response["X-Repo-Commit"] == sha


@pytest.mark.parametrize(("path", "data"), [("README.md", TEXT), ("model.safetensors", LARGE)])
def test_get_gives_the_bytes_by_every_kind_of_revision(client, repo, sha, path, data):
    git_of(repo).create_ref("refs/tags/v1", sha)
    git_of(repo).create_ref("refs/pr/7", sha)
    for revision in ("main", sha, "v1", "refs%2Fheads%2Fmain", "refs%2Fpr%2F7", sha[:8]):
        address = url(repo, path, revision)
        response = client.get(address, RAW_URI=address)
        assert response.status_code == 200, revision
        assert body_of(response) == data
        assert response["Content-Length"] == str(len(data))
        assert response["X-Repo-Commit"] == sha
        assert "Content-Encoding" not in response


def test_path_may_have_slashes_spaces_and_accents(client, repo, sha):
    for quoted in ("a/b%20c/%C3%A9.txt", "a%2Fb%20c%2F%C3%A9.txt"):
        address = url(repo, quoted)
        assert body_of(client.get(address, RAW_URI=address)) == b"deep"


@pytest.mark.parametrize("path", ["README.md", "model.safetensors"])
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=2-5", 2, 5), ("bytes=5-", 5, None), ("bytes=-3", -3, None),
     ("bytes=0-999999", 0, None), ("bytes=-999999", 0, None)],
)  # fmt: skip
def test_range_is_answered_with_its_part(client, repo, sha, path, header, first, last):
    data = TEXT if path == "README.md" else LARGE
    start = first if first >= 0 else len(data) + first
    end = len(data) - 1 if last is None else last
    response = client.get(url(repo, path), headers={"range": header})
    assert response.status_code == 206
    assert body_of(response) == data[start : end + 1]
    assert response["Content-Range"] == f"bytes {start}-{end}/{len(data)}"
    assert response["Content-Length"] == str(end + 1 - start)
    assert response["X-Repo-Commit"] == sha


@pytest.mark.parametrize("path", ["README.md", "model.safetensors"])
@pytest.mark.parametrize("header", ["bytes=999999-", "bytes=999999-1000000", "bytes=-0"])
def test_range_outside_is_refused_with_the_size(client, repo, sha, path, header):
    data = TEXT if path == "README.md" else LARGE
    response = client.get(url(repo, path), headers={"range": header})
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{len(data)}"
    assert response["X-Repo-Commit"] == sha
    assert response["X-Error-Code"] == "RangeNotSatisfiable"


@pytest.mark.parametrize(
    "header", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes", "", "bytes=-"]
)
def test_range_we_cannot_read_is_answered_with_the_whole(client, repo, sha, header):
    response = client.get(url(repo, "README.md"), headers={"range": header})
    assert (response.status_code, body_of(response)) == (200, TEXT)


def test_unchanged_file_is_not_sent_again(client, repo, sha):
    etag = client.head(url(repo, "README.md"))["ETag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(url(repo, "README.md"), headers={"if-none-match": given})
        assert response.status_code == 304
        assert body_of(response) == b""
        assert (response["ETag"], response["X-Repo-Commit"]) == (etag, sha)
    response = client.get(url(repo, "README.md"), headers={"if-none-match": '"other"'})
    assert response.status_code == 200


def test_range_of_a_file_that_changed_is_the_whole_new_file(client, repo, sha):
    etag = client.head(url(repo, "README.md"))["ETag"]
    same = client.get(url(repo, "README.md"), headers={"range": "bytes=0-1", "if-range": etag})
    other = client.get(url(repo, "README.md"), headers={"range": "bytes=0-1", "if-range": '"x"'})
    assert (same.status_code, other.status_code) == (206, 200)
    assert body_of(other) == TEXT


@pytest.mark.parametrize("path", ["a b.txt", "100%.txt", "50%25.txt", "what?.txt", "a#b", "é模.md"])
@pytest.mark.parametrize("branch", ["main", "feature/x", "100%", "a%2Fb"])
@pytest.mark.parametrize("view", ["resolve", "raw", "blob"])
def test_addresses_of_our_pages_lead_to_the_file(cast, repo, path, branch, view):
    if branch != "main":
        git_of(repo).create_ref(f"refs/heads/{branch}", repo.head_sha)
    commit(repo, {path: b"text"}, ref=f"refs/heads/{branch}")
    address = reverse(
        view, kwargs={"namespace": "guild", "name": repo.name, "revision": branch, "path": path}
    )
    response = cast.web_client("owner").get(address, RAW_URI=address)
    assert response.status_code == 200
    assert b"text" in body_of(response)


def test_missing_file_names_the_commit(client, repo, sha):
    for path in ("nope.txt", "README.md/x", "a", "a%2F..%2FREADME.md"):
        for call in (client.head, client.get):
            response = call(url(repo, path))
            assert response.status_code == 404
            assert response["X-Error-Code"] == "EntryNotFound"
            assert response["X-Repo-Commit"] == sha


def test_missing_revision_and_repository_have_codes_of_their_own(client, repo, sha):
    response = client.get(url(repo, "README.md", "nope"))
    assert (response.status_code, response["X-Error-Code"]) == (404, "RevisionNotFound")
    response = client.get("/guild/nothing/resolve/main/README.md")
    assert (response.status_code, response["X-Error-Code"]) == (404, "RepoNotFound")


def test_old_name_leads_to_the_new_one(cast, client, repo, sha):
    old = url(repo, "README.md", "refs%2Fheads%2Fmain")
    move_repo(repo=repo, namespace=repo.namespace, name="renamed", acting_user=cast.owner)
    response = client.get(old, RAW_URI=old)
    assert response.status_code == 307
    assert response["Location"] == "/guild/renamed/resolve/refs%2Fheads%2Fmain/README.md"


def test_id_is_found_in_any_case(client, repo, sha):
    assert client.head("/GUILD/Open-Model/resolve/main/README.md").status_code == 200


@pytest.mark.parametrize("kind", ["resolve", "raw"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ["README.md", "model.safetensors"])
def test_private_file_is_read_by_those_who_may(cast, kind, role, path):
    repo = cast.private_repo()
    commit(repo, {"README.md": TEXT})
    commit_large(repo, {"model.safetensors": LARGE})
    allowed = role in ("owner", "member", "reader", "admin")
    for client in (cast.api_client(role), cast.web_client(role)):
        for call in (client.head, client.get):
            response = call(url(repo, path, kind=kind))
            expected = 200 if allowed else 401 if role == "anonymous" else 404
            assert response.status_code == expected
            body_of(response)
            if not allowed:
                assert response["X-Error-Code"] == "RepoNotFound"
                assert "X-Repo-Commit" not in response


def test_bad_token_is_named(repo, sha, cast):
    client = cast.api_client("anonymous")
    response = client.get(url(repo, "README.md"), headers={"authorization": "Bearer nonsense"})
    assert (response.status_code, response["X-Error-Code"]) == (401, "InvalidToken")


def test_data_set_has_its_own_address(cast, client):
    repo = make_repo(cast.organization, "open-model", repo_type="dataset", creator=cast.owner)
    commit(repo, {"data.csv": b"a,b\n"})
    assert repo.url_path.startswith("/datasets/")
    assert body_of(client.get(url(repo, "data.csv"))) == b"a,b\n"
    assert client.get("/guild/open-model/resolve/main/data.csv").status_code == 404


def test_pointer_to_content_of_another_repository_gives_nothing(cast, client, repo, sha):
    other = make_repo(cast.stranger, "thief")
    git = git_of(other)
    author = Signature("x", "y", cast.stranger.date_joined)
    main = "refs/heads/main"
    git.commit(main, [AddPointer("stolen", SHA256, len(LARGE))], message="m", author=author)
    response = client.get(url(other, "stolen"))
    assert (response.status_code, response["X-Error-Code"]) == (404, "EntryNotFound")
    store_blob(other, LARGE)
    assert body_of(client.get(url(other, "stolen"))) == LARGE


@pytest.mark.parametrize("is_local", [True, False])
def test_content_lost_from_the_store_is_said_to_be_missing(
    client, repo, sha, monkeypatch, is_local
):
    store().delete(f"lfs/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}")
    if not is_local:
        monkeypatch.setattr(Store, "local_path", lambda self, key: None)
    response = client.get(url(repo, "model.safetensors"))
    assert (response.status_code, response["X-Error-Code"]) == (404, "EntryNotFound")


@pytest.mark.parametrize(
    ("path", "content_type", "disposition"),
    [
        ("page.html", "text/plain; charset=utf-8", "inline"),
        ("a.svg", "image/svg+xml", "inline"),
        ("a.js", "text/plain; charset=utf-8", "inline"),
        ("a.PNG", "image/png", "inline"),
        ("LICENSE", "text/plain; charset=utf-8", "inline"),
        (".gitattributes", "text/plain; charset=utf-8", "inline"),
        ("a.pdf", "application/octet-stream", "attachment"),
        ("a.swf", "application/octet-stream", "attachment"),
        ("noextension", "application/octet-stream", "attachment"),
    ],
)
@pytest.mark.parametrize("kind", ["resolve", "raw"])
def test_browser_runs_nothing_a_stranger_uploaded(
    client, repo, kind, path, content_type, disposition
):
    commit(repo, {path: b"<script>alert(1)</script>"})
    response = client.get(url(repo, path, kind=kind))
    assert response["Content-Type"] == content_type
    assert response["Content-Disposition"].startswith(f"{disposition}; ")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


def test_file_name_cannot_break_out_of_its_header(client, repo):
    name = 'a";x=%0d "é模.bin'
    commit(repo, {name: b"x"})
    response = client.get(url(repo, "a%22%3Bx%3D%250d%20%22%C3%A9%E6%A8%A1.bin"))
    assert response.status_code == 200
    assert response["Content-Disposition"] == (
        "attachment; filename*=UTF-8''a%22%3Bx%3D%250d%20%22%C3%A9%E6%A8%A1.bin;"
        ' filename="a_;x=_0d ___.bin";'
    )


def test_download_flag_saves_the_file(client, repo, sha):
    response = client.get(url(repo, "README.md") + "?download=true")
    assert response["Content-Disposition"].startswith("attachment; ")


def test_pinned_revision_may_be_kept_and_a_branch_may_not(client, repo, sha):
    assert "immutable" in client.get(url(repo, "README.md", sha))["Cache-Control"]
    assert client.get(url(repo, "README.md"))["Cache-Control"] == "private, no-cache"


def test_empty_file_is_a_file(client, repo):
    commit(repo, {"empty.txt": b""})
    response = client.get(url(repo, "empty.txt"))
    assert (response.status_code, response["Content-Length"]) == (200, "0")
    assert body_of(response) == b""


def test_only_reading_is_allowed(client, repo, sha):
    for call in (client.post, client.put, client.delete):
        assert call(url(repo, "README.md")).status_code == 405


def test_content_of_a_bucket_is_passed_through(client, repo, sha, monkeypatch):
    monkeypatch.setattr(Store, "local_path", lambda self, key: None)
    assert body_of(client.get(url(repo, "model.safetensors"))) == LARGE
    response = client.get(url(repo, "model.safetensors"), headers={"range": "bytes=7-9"})
    assert (response.status_code, body_of(response)) == (206, LARGE[7:10])


def test_front_server_is_told_where_the_file_lies(client, repo, sha, settings):
    settings.ACCEL_REDIRECT_PREFIX = "/_store"
    response = client.get(url(repo, "model.safetensors"))
    assert response["X-Accel-Redirect"] == f"/_store/lfs/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"
    assert response["ETag"] == f'"{SHA256}"'
    assert body_of(response) == b""
    assert body_of(client.get(url(repo, "README.md"))) == TEXT


def test_store_that_signs_is_redirected_to(client, repo, sha, settings, monkeypatch):
    signed = "https://bucket.example/key?sig=1"
    monkeypatch.setattr(Store, "signed_url", lambda self, key, *, expires_s: signed)
    assert body_of(client.get(url(repo, "model.safetensors"))) == LARGE
    settings.SIGNED_DOWNLOADS = True
    for call in (client.head, client.get):
        response = call(url(repo, "model.safetensors"))
        assert (response.status_code, response["Location"]) == (302, signed)
        assert response["X-Linked-Etag"] == f'"{SHA256}"'
        assert response["X-Linked-Size"] == str(len(LARGE))
        assert response["X-Repo-Commit"] == sha
    assert body_of(client.get(url(repo, "README.md"))) == TEXT
