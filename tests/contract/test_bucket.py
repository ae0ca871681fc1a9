"""The same site over an S3 bucket: only the URL of the store differs."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.live_site import LiveSite

pytestmark = [pytest.mark.services, pytest.mark.pure]

ROUND_TRIP = """
import sys
from huggingface_hub import *
api = HfApi()
api.create_repo("b/m")
api.upload_file(path_or_fileobj=sys.argv[1], path_in_repo="m.bin", repo_id="b/m")
api.upload_file(path_or_fileobj=b"# hello", path_in_repo="README.md", repo_id="b/m")
print(snapshot_download("b/m"))
print(hf_hub_download("b/m", "m.bin", force_download=True))
"""


@pytest.fixture(scope="module")
def bucket_url():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    call = urllib.request.Request(f"http://{host}:{port}/models", method="PUT")
    urllib.request.urlopen(call).close()
    keys = "aws_access_key_id=test&aws_secret_access_key=test&aws_region=us-east-1"
    yield f"s3://models/site?{keys}&aws_endpoint=http://{host}:{port}"
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("is_xet", "is_signed"),
    [(False, True), (False, False), (True, True), (True, False)],
    ids=[
        "lfs, redirected to the bucket",
        "lfs, passed on",
        "xet, redirected to the bucket",
        "xet, passed on",
    ],
)
def test_client_uploads_to_and_downloads_from_a_bucket(bucket_url, tmp_path, is_xet, is_signed):
    path = tmp_path / "m.bin"
    path.write_bytes(os.urandom(3_000_000))
    folder = tmp_path / "site"
    folder.mkdir()
    settings = {"STORAGE_URL": bucket_url, "SIGNED_DOWNLOADS": str(is_signed)}
    with LiveSite.started(folder, extra_env=settings) as site:
        more = {} if is_xet else {"HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", ROUND_TRIP, str(path)],
            env=site.client_env(site.user_with_token("b"), **more),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:] + site.log("web")[-3000:]
        snapshot, again = (Path(line) for line in done.stdout.split())
        assert (snapshot / "m.bin").read_bytes() == path.read_bytes()
        assert again.read_bytes() == path.read_bytes()
        assert [item for item in (folder / "store").rglob("*") if item.is_file()] == []
        assert [item.name for item in (folder / "tmp").iterdir()] == []
        where = "/cas/v1/data/" if is_xet else "/m.bin"
        sent = [line for line in site.log("web").splitlines() if where in line]
        assert sent
        assert any('" 302 ' in line for line in sent) == is_signed, sent
