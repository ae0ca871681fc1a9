"""The production front: the shipped nginx configuration before a real gunicorn."""

from __future__ import annotations

import hashlib
import os
import shutil
import string
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import need_tool
from tests.support.live_site import ROOT, LiveSite, free_port, wait_for

pytestmark = pytest.mark.pure

BIG = bytes(range(256)) * 20_000
_MAIN = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log info; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass
class Front:
    """nginx, the site behind it, and a model with one large file."""

    url: str
    site: LiveSite
    token: str
    access_log: Path

    def client(self, code: str, *, is_xet: bool = False, **more: str) -> None:
        """Runs `code` with the unmodified client, over LFS or Xet, in a process of its own."""
        transport = more if is_xet else {"HF_HUB_DISABLE_XET": "1", **more}
        env = self.site.client_env(self.token, HF_ENDPOINT=self.url, **transport)
        argv = [sys.executable, "-c", "from huggingface_hub import HfApi\n" + code]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(
            self.url + path,
            headers={name.replace("_", "-"): text for name, text in headers.items()},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, dict(response.headers.items()), response.read()

    def refusal(self, path: str) -> int:
        """The status with which `path` is refused."""
        with pytest.raises(urllib.error.HTTPError) as refused:
            self.get(path)
        refused.value.close()
        return refused.value.code


def _write_configuration(folder: Path, *, port: int, site: LiveSite) -> Path:
    template = (ROOT / "deploy" / "nginx.conf.template").read_text()
    values = {"LISTEN": f"127.0.0.1:{port}", "WEB_UPSTREAM": f"127.0.0.1:{site.port}"}
    values["STORE_DIR"] = str(site.data_dir / "store")
    (folder / "site.conf").write_text(string.Template(template).safe_substitute(values))
    main = folder / "nginx.conf"
    main.write_text(_MAIN.format(folder=folder))
    return main


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    program = need_tool("nginx", "/usr/sbin/nginx", package="nginx-light")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    url = f"http://127.0.0.1:{port}"
    behind_proxy = {"ACCEL_REDIRECT_PREFIX": "/_store", "PUBLIC_URL": url}
    with LiveSite.started(tmp_path_factory.mktemp("front"), extra_env=behind_proxy) as site:
        main = _write_configuration(folder, port=port, site=site)
        if Path(program).stat().st_uid == 0:
            folder.chmod(0o755)
        nginx = subprocess.Popen([program, "-c", str(main), "-p", str(folder), "-g", "user root;"])
        try:
            wait_for(lambda: _is_up(url), what="nginx")
            yield Front(url, site, site.user_with_token("ada"), folder / "access.log")
        finally:
            nginx.terminate()
            nginx.wait(10)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def uploaded(front: Front) -> str:
    """Path of a large file that went up through nginx over LFS."""
    front.client("HfApi().create_repo('ada/big')")
    file = front.site.data_dir / "page.html.bin"
    file.write_bytes(BIG)
    front.client(
        f"HfApi().upload_file(path_or_fileobj={str(file)!r},"
        " path_in_repo='page.html.bin', repo_id='ada/big')"
    )
    return "/ada/big/resolve/main/page.html.bin"


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def test_pages_come_through(front):
    status, headers, body = front.get("/")
    assert status == 200
    assert b"<html" in body
    assert "Content-Security-Policy" in headers


def test_large_file_is_sent_whole_by_nginx(front, uploaded):
    status, headers, body = front.get(uploaded)
    assert status == 200
    assert hashlib.sha256(body).hexdigest() == hashlib.sha256(BIG).hexdigest()
    assert hashlib.sha256(BIG).hexdigest() in headers["ETag"]


def test_range_is_cut_by_nginx(front, uploaded):
    status, headers, body = front.get(uploaded, Range="bytes=1000-1999")
    assert status == 206
    assert body == BIG[1000:2000]
    assert headers["Content-Range"] == f"bytes 1000-1999/{len(BIG)}"


def test_rules_against_running_user_files_survive_the_hand_over(front, uploaded):
    _, headers, _ = front.get(uploaded)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"].startswith("attachment")
    assert len(headers["X-Repo-Commit"]) == 40


@pytest.mark.parametrize(
    "path", ["/_store/", "/_store/lfs/aa/bb/whatever", "/_store/../db.sqlite3"]
)
def test_store_cannot_be_reached_from_outside(front, uploaded, path):
    assert front.refusal(path) in {400, 404}


def test_private_file_is_refused_before_nginx_sends_a_byte(front, uploaded):
    front.client("HfApi().update_repo_settings('ada/big', private=True)")
    try:
        assert front.refusal(uploaded) in {401, 404}
        status, _, body = front.get(uploaded, Authorization=f"Bearer {front.token}")
        assert (status, len(body)) == (200, len(BIG))
    finally:
        front.client("HfApi().update_repo_settings('ada/big', private=False)")


def test_xet_client_fetches_ranges_of_xorbs_from_nginx(front, tmp_path):
    """Uploads stream through; of a download the web process sends no byte."""
    source, big = tmp_path / "weights.bin", os.urandom(6_000_000)
    source.write_bytes(big)
    home = {"HF_HOME": str(tmp_path / "hf")}
    front.client(
        "HfApi().create_repo('ada/xet');"
        f" HfApi().upload_file(path_or_fileobj={str(source)!r},"
        " path_in_repo='weights.bin', repo_id='ada/xet')",
        is_xet=True,
        **home,
    )
    front.client(
        f"HfApi().hf_hub_download('ada/xet', 'weights.bin', local_dir={str(tmp_path / 'got')!r})",
        is_xet=True,
        HF_HOME=str(tmp_path / "another"),
    )
    assert (tmp_path / "got" / "weights.bin").read_bytes() == big
    lines = front.access_log.read_text().splitlines()
    fetched = [line for line in lines if "/cas/v1/data/" in line]
    assert fetched
    assert all('" 206 ' in line for line in fetched), fetched
    asked = [line for line in front.site.log("web").splitlines() if "/cas/v1/data/" in line]
    assert len(asked) == len(fetched)
    assert all('" 200 0 ' in line or '" 200 - ' in line for line in asked), asked
