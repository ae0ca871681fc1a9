"""The web process killed under the official clients: the same call again succeeds, and doctor is
content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Machine
from tests.support.git import Git
from tests.support.live_site import LiveSite, wait_for
from tests.support.mortal import choose_death

TWICE = """
import time, urllib.request
def attempt():
    {body}
try:
    attempt()
except Exception as error:
    print(repr(error)[:300])
def answers():
    try:
        return urllib.request.urlopen(api.endpoint + "/healthz", timeout=5).status == 200
    except OSError:
        return False
while not answers():
    time.sleep(0.1)
attempt()
"""
LOOK = """
import hashlib
commits = [commit.commit_id for commit in api.list_repo_commits(repo)]
got = open(hf_hub_download(repo, 'model.bin'), 'rb').read()
result = [api.model_info(repo).sha, commits, hashlib.sha256(got).hexdigest()]
"""
UPLOAD = "api.upload_file(path_or_fileobj='model.bin', path_in_repo='model.bin', repo_id=repo)"
MERGE = """
    if api.get_discussion_details(repo, 1).status != "merged":
        api.merge_pull_request(repo, 1)
"""
STAGES = [
    ("xet", UPLOAD, "before hub.actions.shards._index_chunks"),
    ("xet", UPLOAD, "before hub.actions.commits.copy_refs"),
    ("lfs", UPLOAD, "after hub.storage.Store.put_file"),
    ("xet", MERGE, "before contributions.actions.pull_requests._mark_merged"),
]
PUSH = "before hub.actions.pushes.copy_refs"


@pytest.fixture(scope="module")
def mortal_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    points = {point for _, _, point in STAGES} | {PUSH}
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.support.mortal",
        "MORTAL_POINTS": "\n".join(sorted(points)),
    }
    with LiveSite.started(tmp_path_factory.mktemp("mortal"), extra_env=env) as site:
        yield site


def machine(site: LiveSite, folder: Path, transport: str = "xet") -> Machine:
    folder.mkdir(exist_ok=True)
    off = {"HF_HUB_DISABLE_XET": "1"} if transport == "lfs" else {}
    quick = {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1"}
    return Machine.of_new_user(site, folder, transport=off | quick)


def assert_doctor_is_content(site: LiveSite) -> None:
    found: list[dict[str, Any]] = json.loads(
        site.run_command("doctor", "--json", check=False).stdout
    )["findings"]
    levels = {row["check"]: row["level"] for row in found}
    assert {levels[name] for name in ("store", "writes", "git copy", "content")} == {"ok"}, found


@pytest.mark.parametrize(("transport", "call", "point"), STAGES, ids=[row[2] for row in STAGES])
def test_same_call_of_the_client_succeeds(
    mortal_site: LiveSite, tmp_path: Path, transport: str, call: str, point: str
) -> None:
    user = machine(mortal_site, tmp_path / "home", transport)
    data = os.urandom(700_000)
    (user.folder / "model.bin").write_bytes(data)
    repo = f"{user.user}/model"
    start = f"repo = {repo!r}\napi.create_repo(repo)\n"
    if call is MERGE:
        start += UPLOAD.replace("repo_id=repo", "repo_id=repo, create_pr=True") + "\n"
    user.python(start)
    chosen = choose_death(mortal_site.data_dir, point)
    user.python(f"repo = {repo!r}\n" + TWICE.format(body=call.strip()))
    assert not chosen.exists(), "it got past the point"
    assert_doctor_is_content(mortal_site)
    head, commits, got = user.python(f"repo = {repo!r}\n" + LOOK)
    assert [head, len(commits)] == [commits[0], 2]
    assert got == hashlib.sha256(data).hexdigest()


def test_same_push_succeeds(mortal_site: LiveSite, tmp_path: Path) -> None:
    user = machine(mortal_site, tmp_path / "home")
    repo = f"{user.user}/model"
    user.python(f"api.create_repo({repo!r})")
    git = Git(tmp_path / "clone", tmp_path / "git-home")
    address = f"http://{user.user}:{user.token}@127.0.0.1:{mortal_site.port}/{repo}"
    git("clone", "--quiet", address, ".")
    head = git.commit({"a.txt": "pushed\n"})
    chosen = choose_death(mortal_site.data_dir, PUSH)
    git.refused("push", "--quiet")
    assert not chosen.exists()
    wait_for(mortal_site._answers, what="the web process to come back")
    git("push", "--quiet")
    assert_doctor_is_content(mortal_site)
    assert user.python(f"result = api.model_info({repo!r}).sha") == head
