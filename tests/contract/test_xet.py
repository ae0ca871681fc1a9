"""The content-addressed store with the clients that people have: hf-xet through huggingface_hub."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_site import LiveSite, wait_for
from tests.support.xet import floats, make_shard, make_xorb, noise, whole_file

pytest.importorskip("hf_xet", reason="install hf-xet to speak Xet with the site")

MIB = 1 << 20


class Client:
    """A machine with a home, caches and a token of its own."""

    def __init__(self, site: LiveSite, folder: Path, user: str) -> None:
        self.site = site
        self.folder = folder
        self.token = site.user_with_token(user)
        self.user = user

    def run(self, code: str, *, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs Python code with `api`, `data` (a folder) and the usual functions at hand."""
        start = "from pathlib import Path\nfrom huggingface_hub import *\napi = HfApi()\n"
        done = subprocess.run(
            [sys.executable, "-c", start + textwrap.dedent(code)],
            env=self.site.client_env(self.token, **self.home(), **env),
            cwd=self.folder, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"{done.stdout}\n{done.stderr}\n{self.site.log('web')[-4000:]}")
        return done

    def home(self) -> dict[str, str]:
        return {"HF_HOME": str(self.folder / "hf")}

    def forget(self) -> None:
        """As if on another machine: no caches."""
        shutil.rmtree(self.folder / "hf", ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def make_client(live_site: LiveSite, tmp_path: Path) -> Any:
    count = 0

    def make(name: str | None = None) -> Client:
        nonlocal count
        count += 1
        folder = tmp_path / f"client{count}"
        folder.mkdir()
        user = f"xet-{abs(hash(str(tmp_path))) % 10**8}-{name or count}"
        return Client(live_site, folder, user)

    return make


def stored_bytes(site: LiveSite) -> int:
    return site.execute(
        "from django.db.models import Sum\nfrom hub.models import Xorb\n"
        "result = Xorb.objects.aggregate(n=Sum('size_bytes'))['n'] or 0"
    )


def files_of(site: LiveSite, repo: str) -> list[list[str]]:
    """(SHA-256, Xet hash) of the large content that the repository may name."""
    return site.execute(
        "from hub.models import RepoBlob\n"
        "rows = RepoBlob.objects.filter(repo__namespace__name=repo.split('/')[0])\n"
        "result = list(rows.values_list('blob__sha256', 'xet_file__file_hash'))",
        repo=repo,
    )


UPLOAD = """
api.create_repo(repo, exist_ok=True, private=private)
api.upload_file(path_or_fileobj=source, path_in_repo=source, repo_id=repo)
"""
DOWNLOAD = """
import shutil
shutil.copy(hf_hub_download(repo, source), target)
"""


def call(code: str, **names: Any) -> str:
    return "".join(f"{name} = {value!r}\n" for name, value in names.items()) + code


def upload(client: Client, source: str = "model.bin", **options: Any) -> Any:
    repo = f"{client.user}/{options.pop('name', 'model')}"
    names = {"repo": repo, "source": source, "private": options.pop("private", False)}
    return client.run(call(UPLOAD, **names), **options)


def download(client: Client, repo: str, source: str = "model.bin", **options: Any) -> bytes:
    client.run(call(DOWNLOAD, repo=repo, source=source, target="got.bin"), **options)
    return client.read("got.bin")


SOURCES = {
    "one byte": b"x",
    "small": b"hello xet",
    "float32": floats(9_000_003),
    "text": b"the same words again and again\n" * 300_000,
    "zeros": bytes(20 * MIB),
}


@pytest.mark.parametrize("name", SOURCES)
def test_content_comes_back_to_another_machine(make_client: Any, name: str) -> None:
    client = make_client()
    client.write("model.bin", SOURCES[name])
    upload(client)
    client.forget()
    assert download(client, f"{client.user}/model") == SOURCES[name]
    [[_, xet_hash]] = files_of(client.site, f"{client.user}/model")
    assert xet_hash


@pytest.mark.parametrize(
    "env",
    [
        {"HF_XET_CLIENT_RECONSTRUCTION_API_VERSION": "1", "HF_XET_CLIENT_SHARD_API_VERSION": "1"},
        {"HF_XET_CLIENT_ENABLE_MULTIRANGE_FETCHING": "true"},
        {"HF_XET_CLIENT_LEGACY_DIRECT_XORB_UPLOAD": "1", "HF_XET_HIGH_PERFORMANCE": "1"},
        {"HF_HUB_DISABLE_XET": "1"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_other_settings_of_the_client_work(make_client: Any, env: dict[str, str]) -> None:
    client = make_client()
    content = noise(3_000_000) + floats(5_000_000) + noise(1_000_000)
    client.write("model.bin", content)
    upload(client, **env)
    client.forget()
    assert download(client, f"{client.user}/model", **env) == content


def test_a_file_of_several_xorbs_is_read_whole_and_in_part(make_client: Any) -> None:
    client = make_client()
    content = noise(150 * MIB)
    client.write("model.bin", content)
    upload(client)
    client.forget()
    repo = f"{client.user}/model"
    assert download(client, repo) == content
    client.run(
        f"""
        fs = HfFileSystem()
        with fs.open("{repo}/model.bin", "rb", block_size=65536) as file:
            file.seek(100_000_000)
            Path("part.bin").write_bytes(file.read(1_000_000))
        """
    )
    assert client.read("part.bin") == content[100_000_000:101_000_000]
    client.forget()
    assert download(client, repo, HF_HUB_DISABLE_XET="1") == content


def test_a_changed_file_costs_what_has_changed(make_client: Any) -> None:
    """From a machine without caches: all it knows of the first upload comes from the site."""
    client = make_client()
    content = bytearray(floats(200 * MIB))
    client.write("model.bin", content)
    upload(client)
    before = stored_bytes(client.site)
    client.forget()
    content[90 * MIB : 90 * MIB + 1000] = noise(1000)
    client.write("model.bin", content)
    upload(client)
    assert 0 < stored_bytes(client.site) - before < 2 * MIB
    client.forget()
    assert download(client, f"{client.user}/model") == content


def test_nothing_is_deduplicated_against_what_one_may_not_read(make_client: Any) -> None:
    owner, stranger = make_client("owner"), make_client("stranger")
    content = floats(8 * MIB, seed=77)
    owner.write("model.bin", content)
    upload(owner, private=True)
    before = stored_bytes(owner.site)
    stranger.write("model.bin", content)
    upload(stranger)
    assert "POST /cas/v1/xorbs" in owner.site.log("web")
    assert stored_bytes(owner.site) == before  # the same xorb, sent again and kept once
    assert download(stranger, f"{stranger.user}/model") == content
    failed = stranger.run(
        call(DOWNLOAD, repo=f"{owner.user}/model", source="model.bin", target="got2"), check=False
    )
    assert "RepositoryNotFoundError" in failed.stderr


def test_a_public_part_of_a_private_file_is_shared_and_no_more(make_client: Any) -> None:
    """The real client takes an answer in which the chunks of the private rest have no name."""
    owner, stranger = make_client("owner"), make_client("stranger")
    content = noise(48 * MIB, seed=91)
    owner.write("model.bin", content)
    upload(owner, private=True)
    owner.write("model.bin", content[24 * MIB :])
    upload(owner, name="part")
    before = stored_bytes(owner.site)
    stranger.write("model.bin", content[24 * MIB :] + noise(MIB, seed=92))
    upload(stranger)
    assert stored_bytes(owner.site) - before < 4 * MIB
    stranger.forget()
    assert download(stranger, f"{stranger.user}/model") == content[24 * MIB :] + noise(MIB, seed=92)


def test_a_server_that_lost_its_xorbs_says_what_to_do(make_client: Any) -> None:
    client = make_client()
    content = floats(6 * MIB, seed=5)
    client.write("model.bin", content)
    upload(client)
    client.site.execute(
        "from hub.models import RepoBlob, XetFile, Xorb\n"
        "RepoBlob.objects.filter(repo__namespace__name=user).delete()\n"
        "from hub.xet.terms import TermList\nfrom hub.xet.hashing import format_hash\n"
        "for f in XetFile.objects.filter(size_bytes=6 * 1024 * 1024):\n"
        "    for raw in TermList.from_bytes(f.terms).xorb_hashes():\n"
        "        Xorb.objects.filter(hash=format_hash(raw)).delete()\n"
        "    f.delete()\n",
        user=client.user,
    )
    repo = f"{client.user}/model"
    again = call(
        "api.upload_file(path_or_fileobj='model.bin', path_in_repo='b.bin', repo_id=repo)",
        repo=repo,
    )
    failed = client.run(again, check=False)
    assert failed.returncode
    assert "HF_XET_CACHE" in failed.stderr
    assert files_of(client.site, repo) == []
    client.forget()
    client.run(again)
    assert download(client, repo, "b.bin") == content


def test_ranges_of_a_xorb_come_over_one_connection(make_client: Any) -> None:
    client = make_client()
    client.write("model.bin", noise(3_000_000, seed=31))
    upload(client)
    repo = f"{client.user}/model"
    [[_, file_hash]] = files_of(client.site, repo)
    host = f"127.0.0.1:{client.site.port}"
    proof = {"Authorization": f"Bearer {cas_token(client, repo)}"}
    connection = http.client.HTTPConnection(host)
    connection.request("GET", f"/cas/v2/reconstructions/{file_hash}", headers=proof)
    [[entry]] = json.load(connection.getresponse())["xorbs"].values()
    address = entry["url"].partition(host)[2]
    held = connection.sock
    for start, end in [(0, 9), (1_000_000, 2_999_999), (10, 10)]:
        connection.request("GET", address, headers={"Range": f"bytes={start}-{end}"})
        answer = connection.getresponse()
        assert answer.status == 206
        assert len(answer.read()) == end - start + 1
        assert connection.sock is held  # still open, so the next request needs no new one
    connection.close()


# --- Two at once, and a server that dies -----------------------------------------------------


def cas_token(client: Client, repo: str) -> str:
    request = urllib.request.Request(
        f"{client.site.base_url}/api/models/{repo}/xet-write-token/main",
        headers={"Authorization": f"Bearer {client.token}"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["accessToken"]


def post(client: Client, token: str, path: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{client.site.base_url}/cas/{path}", data=body, method="POST",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_two_may_upload_the_same_at_once(make_client: Any) -> None:
    clients = [make_client("one"), make_client("two")]
    repos = []
    for client in clients:
        client.run(f"api.create_repo('{client.user}/model')")
        repos.append(f"{client.user}/model")
    variants = [make_xorb([noise(100_000, seed=9), bytes(90_000)], scheme) for scheme in (0, 1)]
    shard = make_shard([whole_file(variants[0])], [variants[0]])
    name = variants[0].index
    results: list[Any] = []

    def send(client: Client, repo: str, body: bytes) -> None:
        token = cas_token(client, repo)
        from hub.xet.hashing import format_hash

        for _ in range(5):
            results.append(
                post(client, token, f"v1/xorbs/default/{format_hash(name.xorb_hash)}", body)
            )
            results.append(post(client, token, "v1/shards", shard))

    threads = [
        threading.Thread(target=send, args=(client, repo, variant.body))
        for client, repo, variant in zip(clients, repos, variants, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in results} == {200}
    sha256 = whole_file(variants[0]).sha256
    for client, repo in zip(clients, repos, strict=True):
        assert [row[0] for row in files_of(client.site, repo)] == [sha256]
        assert (
            client.site.execute(
                "from hub.models import RepoBlob\nfrom hub.xet.content import stream_xet_file\n"
                "import hashlib\n"
                "link = RepoBlob.objects.select_related('xet_file').get("
                "repo__namespace__name=user)\n"
                "result = hashlib.sha256(b''.join(stream_xet_file(link.xet_file))).hexdigest()",
                user=client.user,
            )
            == sha256
        )


class Slow:
    """A body that stops in the middle until it is let go."""

    def __init__(self, body: bytes) -> None:
        self.parts = [body[: len(body) // 2], body[len(body) // 2 :]]
        self.half_sent = threading.Event()
        self.go_on = threading.Event()

    def __iter__(self) -> Any:
        yield self.parts[0]
        self.half_sent.set()
        self.go_on.wait(60)
        yield self.parts[1]


def test_a_server_killed_in_an_upload_shows_no_half_file(make_client: Any) -> None:
    from hub.xet.hashing import format_hash

    client = make_client()
    repo = f"{client.user}/model"
    client.run(f"api.create_repo('{repo}')")
    xorb = make_xorb([noise(120_000, seed=at) for at in range(100, 150)])
    path = f"v1/xorbs/default/{format_hash(xorb.hash)}"
    token = cas_token(client, repo)
    slow = Slow(xorb.body)

    def send() -> None:
        try:
            post(client, token, path, slow)
        except OSError:
            return

    sender = threading.Thread(target=send)
    sender.start()
    slow.half_sent.wait(30)
    staging = client.site.data_dir / "tmp"
    wait_for(lambda: list(staging.glob("recv-xorb-*")), what="the upload to arrive")
    client.site.kill("web")
    slow.go_on.set()
    sender.join()
    client.site.start_web()
    known = "from hub.models import Xorb\nresult = Xorb.objects.filter(hash=name).exists()"
    assert client.site.execute(known, name=format_hash(xorb.hash)) is False
    assert not list((client.site.data_dir / "store").rglob(format_hash(xorb.hash)))
    shard = make_shard([whole_file(xorb)], [xorb])
    assert post(client, token, "v1/shards", shard)[0] == 400
    assert files_of(client.site, repo) == []
    assert post(client, token, path, xorb.body) == (200, {"was_inserted": True})
    assert post(client, token, "v1/shards", shard) == (200, {"result": 1})
