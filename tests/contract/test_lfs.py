"""Large files over a live server: the real client without Xet, and bodies that end too early."""

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.client import Machine, client_path, generations
from tests.support.live_site import LiveSite

MEDIA = "application/vnd.git-lfs+json"


@pytest.fixture(scope="module", autouse=True)
def clean_start(live_site):
    """Removes what other tests left when they killed the server; the hourly sweep would, later."""
    for name in received_files(live_site):
        (live_site.data_dir / "tmp" / name).unlink()


@pytest.fixture(scope="module")
def token(live_site):
    return live_site.user_with_token("lfs-user")


@pytest.fixture(scope="module")
def client(live_site, token):
    """Runs Python code with the unmodified huggingface_hub, in a process of its own."""

    def run(code, **names):
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                given + "from huggingface_hub import *\n" + textwrap.dedent(code),
            ],
            env=live_site.client_env(token, HF_HUB_DISABLE_XET="1"),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def repo(client):
    client("HfApi().create_repo('lfs-user/raw')")
    return "lfs-user/raw"


def call(live_site, method, path, body=None, headers=None):
    parts = urlsplit(live_site.base_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response, data


def upload_path(live_site, repo, token, oid, size):
    body = json.dumps({"operation": "upload", "objects": [{"oid": oid, "size": size}]})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": MEDIA}
    _, data = call(live_site, "POST", f"/{repo}.git/info/lfs/objects/batch", body, headers)
    href = json.loads(data)["objects"][0]["actions"]["upload"]["href"]
    return href.removeprefix(live_site.base_url)


def is_known(live_site, oid):
    return live_site.execute(
        "from hub.models import Blob\nresult = Blob.objects.filter(sha256=oid).exists()", oid=oid
    )


def received_files(live_site):
    found = {path.name for path in (live_site.data_dir / "tmp").glob("recv-*")}
    return sorted(name for name in found if not name.startswith("recv-convert-"))  # a worker's


def wait_until_gone(live_site):
    deadline = time.monotonic() + 10
    while received_files(live_site) and time.monotonic() < deadline:
        time.sleep(0.05)
    return received_files(live_site) == []


def test_client_without_xet_uploads_and_downloads(client, live_site, tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    files = {
        "config.json": b'{"a": 1}\n',
        "model.safetensors": os.urandom(3_000_000),
        "sub/weights.bin": os.urandom(70 * 1024 * 1024),
        "sub/empty.bin": b"",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    client(
        """
        api = HfApi()
        api.create_repo("lfs-user/model")
        api.upload_folder(repo_id="lfs-user/model", folder_path=folder)
        snapshot_download("lfs-user/model", local_dir=target)
        """,
        folder=str(folder),
        target=str(tmp_path / "back"),
    )
    for name, data in files.items():
        assert (tmp_path / "back" / name).read_bytes() == data, name
    for name in ("model.safetensors", "sub/weights.bin"):
        assert is_known(live_site, hashlib.sha256(files[name]).hexdigest())
    assert wait_until_gone(live_site)


@pytest.fixture(scope="module")
def parts_site(tmp_path_factory):
    """A site that takes files above 2 MB in parts of 1 MB."""
    sizes = {"LFS_PART_BYTES": "1000000", "LFS_SINGLE_PUT_BYTES": "2000000"}
    with LiveSite.started(tmp_path_factory.mktemp("parts"), extra_env=sizes) as site:
        yield site


@pytest.mark.parametrize("generation", generations())
def test_client_sends_a_very_large_file_in_parts(parts_site, tmp_path, generation):
    """C20 and C21."""
    site = parts_site
    machine = Machine.of_new_user(
        site, tmp_path, transport={"HF_HUB_DISABLE_XET": "1"} | client_path(generation)
    )
    content = os.urandom(5_300_000)
    (machine.folder / "large.bin").write_bytes(content)
    came = machine.python(
        """
        repo = api.create_repo("m").repo_id
        api.upload_file(path_or_fileobj="large.bin", path_in_repo="l.bin", repo_id=repo)
        result = hf_hub_download(repo, "l.bin")
        """
    )
    assert Path(came).read_bytes() == content
    oid = hashlib.sha256(content).hexdigest()
    assert [
        line for line in site.log("web").splitlines() if f"/{oid}/" in line and "/parts/6" in line
    ]
    assert [p for p in (site.data_dir / "store" / "uploads").rglob("*") if p.is_file()] == []
    assert received_files(site) == []


def test_git_lfs_pushes_and_fetches(live_site, token, repo, git_lfs, tmp_path):
    """git-lfs itself; the refs of git go another way, so its remote is a local folder."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_TERMINAL_PROMPT": "0"}

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=work, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    git("init", "-q", "-b", "main")
    git("init", "-q", "--bare", str(tmp_path / "remote.git"))
    git("lfs", "install", "--local")
    host = live_site.base_url.removeprefix("http://")
    for name, value in {
        "user.name": "a",
        "user.email": "a@b.c",
        "lfs.url": f"http://anyone:{token}@{host}/{repo}.git/info/lfs",
        "remote.origin.url": str(tmp_path / "remote.git"),
    }.items():
        git("config", name, value)
    data = os.urandom(2_000_000)
    git("lfs", "track", "*.bin")
    (work / "x.bin").write_bytes(data)
    git("add", ".")
    git("commit", "-qm", "x")
    git("push", "-q", "origin", "main")
    assert is_known(live_site, hashlib.sha256(data).hexdigest())
    shutil.rmtree(work / ".git" / "lfs" / "objects")
    git("lfs", "fetch", "origin", "main")
    git("lfs", "fsck")


def test_unchanged_content_is_not_sent_again(client, tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(os.urandom(100_000))
    shown = client(
        """
        import huggingface_hub.lfs as lfs
        api = HfApi()
        api.create_repo("lfs-user/again")
        sent = []
        plain = lfs._upload_single_part
        def counted(*args, **kwargs):
            sent.append(1)
            return plain(*args, **kwargs)
        lfs._upload_single_part = counted
        for name in ("one.bin", "two.bin"):
            api.upload_file(path_or_fileobj=path, path_in_repo=name, repo_id="lfs-user/again")
        print(len(sent), sorted(api.list_repo_files("lfs-user/again")))
        """,
        path=str(path),
    )
    assert shown == "1 ['.gitattributes', 'one.bin', 'two.bin']"


def test_part_of_a_file_and_its_digest_come_as_asked(client, live_site, repo, tmp_path):
    data = os.urandom(1_000_000)
    path = tmp_path / "r.bin"
    path.write_bytes(data)
    client(
        "HfApi().upload_file(path_or_fileobj=path, path_in_repo='r.bin', repo_id=repo)",
        path=str(path),
        repo=repo,
    )
    address = f"/{repo}/resolve/main/r.bin"
    response, body = call(live_site, "GET", address, headers={"Range": "bytes=999000-"})
    assert (response.status, body) == (206, data[999000:])
    response, body = call(live_site, "GET", address, headers={"Accept-Encoding": "gzip"})
    assert (response.status, body) == (200, data)
    assert response.getheader("Content-Encoding") is None
    etag = response.getheader("ETag")
    assert etag == f'"{hashlib.sha256(data).hexdigest()}"'
    response, body = call(live_site, "GET", address, headers={"If-None-Match": etag})
    assert (response.status, body) == (304, b"")
    response, body = call(live_site, "HEAD", address)
    assert (response.status, response.getheader("Content-Length")) == (200, "1000000")


def test_body_without_a_stated_length_is_taken(live_site, repo, token):
    data = os.urandom(300_000)
    oid = hashlib.sha256(data).hexdigest()
    path = upload_path(live_site, repo, token, oid, len(data))
    response, _ = call(live_site, "PUT", path, iter([data[:100_000], data[100_000:]]))
    assert response.status == 200
    assert is_known(live_site, oid)


@pytest.mark.parametrize("sent", [299_999, 300_001, 5_000_000])
def test_unstated_length_that_breaks_the_promise_leaves_nothing(live_site, repo, token, sent):
    data = os.urandom(300_000)
    oid = hashlib.sha256(data).hexdigest()
    path = upload_path(live_site, repo, token, oid, len(data))
    body = (data * 20)[:sent]
    try:
        response, _ = call(live_site, "PUT", path, iter([body]))
    except (ConnectionError, http.client.HTTPException):
        response = None  # the server may hang up on a body that it does not want
    assert response is None or response.status == 400
    assert not is_known(live_site, oid)
    assert wait_until_gone(live_site)


def start_upload(live_site, path, data, announced):
    parts = urlsplit(live_site.base_url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    head = f"PUT {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {announced}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


def test_connection_lost_in_the_middle_leaves_nothing(live_site, repo, token):
    data = os.urandom(400_000)
    oid = hashlib.sha256(data).hexdigest()
    path = upload_path(live_site, repo, token, oid, len(data))
    connection = start_upload(live_site, path, data[:200_000], len(data))
    deadline = time.monotonic() + 10
    while not received_files(live_site) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert received_files(live_site)
    connection.close()
    assert wait_until_gone(live_site)
    assert not is_known(live_site, oid)
    response, _ = call(live_site, "PUT", path, data)
    assert response.status == 200
    assert is_known(live_site, oid)


def test_server_killed_in_the_middle_shows_no_half_file(live_site, repo, token):
    data = os.urandom(400_000)
    oid = hashlib.sha256(data).hexdigest()
    path = upload_path(live_site, repo, token, oid, len(data))
    connection = start_upload(live_site, path, data[:200_000], len(data))
    deadline = time.monotonic() + 10
    while not received_files(live_site) and time.monotonic() < deadline:
        time.sleep(0.02)
    live_site.restart_web()
    connection.close()
    store: Path = live_site.data_dir / "store"
    assert not is_known(live_site, oid)
    assert [path for path in store.rglob("*") if path.name == oid] == []
    response, _ = call(live_site, "PUT", path, data)
    assert response.status == 200
    assert is_known(live_site, oid)
    for name in received_files(live_site):
        (live_site.data_dir / "tmp" / name).unlink()
