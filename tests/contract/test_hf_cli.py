"""The `hf` command, as a person types it."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.support.client import Machine


def test_whoami_upload_list_download(machine: Machine) -> None:
    folder = machine.folder / "ckpt"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\0\1\2\3" * 300_000)
    assert machine.user in machine.hf("auth", "whoami").stdout
    repo = f"{machine.user}/from-cli"
    machine.hf("upload", repo, "ckpt", ".", "--commit-message", "From the command line")
    assert "config.json" in machine.hf("models", "ls", repo).stdout
    machine.hf("download", repo, "--local-dir", "down")
    for name in ("config.json", "model.safetensors"):
        assert (machine.folder / "down" / name).read_bytes() == (folder / name).read_bytes()
    machine.hf("upload", repo, "ckpt/config.json", "sub/config.json")
    listed = machine.hf("models", "ls", repo, "--recursive").stdout
    assert "sub/config.json" in listed


def test_login_keeps_the_token(xet_machine: Machine) -> None:
    token, signed_out = xet_machine.token, replace(xet_machine, token=None)
    assert token is not None
    assert "Not logged in" in signed_out.hf("auth", "whoami", check=False).stderr
    signed_out.hf("auth", "login", "--token", token)
    assert xet_machine.user in signed_out.hf("auth", "whoami").stdout
    bad = signed_out.hf("auth", "login", "--token", "mg_wrong", check=False)
    assert bad.returncode
    assert xet_machine.user in signed_out.hf("auth", "whoami").stdout


def test_repos_are_made_tagged_moved_and_deleted(xet_machine: Machine) -> None:
    repo = f"{xet_machine.user}/cli"
    xet_machine.hf("repos", "create", repo, "--private")
    xet_machine.hf("repos", "create", repo, "--exist-ok")
    xet_machine.hf("repos", "branch", "create", repo, "dev")
    xet_machine.hf("repos", "tag", "create", repo, "v1", "-m", "First")
    assert "v1" in xet_machine.hf("repos", "tag", "list", repo).stdout
    xet_machine.hf("repos", "settings", repo, "--public")
    xet_machine.hf("repos", "move", repo, f"{xet_machine.user}/cli-2")
    info = json.loads(xet_machine.hf("models", "info", repo, "--json").stdout)
    assert info["id"] == f"{xet_machine.user}/cli-2"
    xet_machine.hf("repos", "tag", "delete", f"{xet_machine.user}/cli-2", "v1", "--yes")
    xet_machine.hf("repos", "delete", f"{xet_machine.user}/cli-2", "--yes")
    missing = xet_machine.hf("models", "info", repo, check=False)
    assert missing.returncode


def test_lists_of_models_and_datasets(xet_machine: Machine) -> None:
    me = xet_machine.user
    xet_machine.hf("repos", "create", f"{me}/listed")
    xet_machine.hf("repos", "create", f"{me}/listed-data", "--type", "dataset")
    for kind, name in (("models", "listed"), ("datasets", "listed-data")):
        rows = json.loads(xet_machine.hf(kind, "ls", "--author", me, "--format", "json").stdout)
        assert [row["id"] for row in rows] == [f"{me}/{name}"]
        assert f"{me}/{name}" in xet_machine.hf(kind, "info", f"{me}/{name}").stdout
    assert f"{me}/listed" in xet_machine.hf("models", "ls", "--author", me, COLUMNS="160").stdout


def test_what_is_not_served_fails_in_words(xet_machine: Machine) -> None:
    done = xet_machine.hf("papers", "ls", check=False)
    assert done.returncode
    assert "does not serve" in done.stderr + done.stdout


def test_uploading_a_folder_twice_adds_nothing(xet_machine: Machine) -> None:
    (xet_machine.folder / "d").mkdir()
    (xet_machine.folder / "d" / "a.txt").write_text("a")
    repo = f"{xet_machine.user}/twice"
    for _ in range(2):
        xet_machine.hf("upload", repo, "d", ".")
    result = xet_machine.python(f"result = len(api.list_repo_commits({repo!r}))")
    assert result == 2
