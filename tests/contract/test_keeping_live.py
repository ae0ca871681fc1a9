"""Keeping bytes, as the official clients meet it: quotas with their reason, conversion, reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.contract.conftest import TRANSPORTS
from tests.support.client import Machine
from tests.support.live_site import ROOT, LiveSite, wait_for

MIB = 1 << 20


def _set_quota(site: LiveSite, user: str, size: int | None) -> None:
    site.execute(
        "from hub.models import Namespace\n"
        f"Namespace.objects.filter(name={user!r}).update(quota_bytes={size!r})"
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_shows_why_an_upload_is_refused_and_works_again(transport, live_site, tmp_path):
    machine = Machine.of_new_user(live_site, tmp_path, transport=TRANSPORTS[transport])
    (machine.folder / "big.bin").write_bytes(os.urandom(3 * MIB))
    _set_quota(live_site, machine.user, 2 * MIB)
    upload = (
        "api.create_repo(f'{me}/m', exist_ok=True)\n"
        "api.upload_file(path_or_fileobj='big.bin', path_in_repo='big.bin', repo_id=f'{me}/m')"
    )
    refused = machine.python(upload, check=False)
    assert refused.returncode != 0
    assert f"The repositories of {machine.user} may hold 2.0 MB together" in refused.stderr
    assert "/cas/v1/xorbs" not in live_site.log("web").split(machine.user)[-1]
    _set_quota(live_site, machine.user, None)
    machine.python(upload)
    page = machine.python(
        "result = api.model_info(f'{me}/m', files_metadata=True).siblings[-1].size"
    )
    assert page == 3 * MIB


@pytest.mark.slow
def test_file_sent_by_lfs_is_fetched_by_xet_once_a_worker_has_converted_it(live_workers, tmp_path):
    sender = Machine.of_new_user(live_workers, tmp_path, transport=TRANSPORTS["lfs"])
    data = os.urandom(2 * MIB)
    (sender.folder / "a.bin").write_bytes(data)
    sender.python(
        "api.create_repo(f'{me}/m')\n"
        "api.upload_file(path_or_fileobj='a.bin', path_in_repo='a.bin', repo_id=f'{me}/m')"
    )
    asked = "result = getattr(api.get_paths_info(f'{me}/m', ['a.bin'])[0], 'xet_hash', None)"
    announced = wait_for(lambda: sender.python(asked), what="the conversion", timeout_s=90)
    assert len(announced) == 64
    before = live_workers.log("web").count("/cas/v1/data/")
    sender.transport = TRANSPORTS["xet"]
    sender.python("hf_hub_download(f'{me}/m', 'a.bin', local_dir='got')")
    assert (sender.folder / "got" / "a.bin").read_bytes() == data
    assert live_workers.log("web").count("/cas/v1/data/") > before
    report = _report(live_workers)
    assert report["xorb_count"] >= 1
    assert any(row["name"] == f"{sender.user}/m" for row in report["repos"])


def _report(site: LiveSite) -> dict:
    done = subprocess.run(
        [sys.executable, "manage.py", "storage", "report", "--json", "--top", "100"],
        cwd=ROOT, env=site.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)
