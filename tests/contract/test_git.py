"""The real git and git-lfs against the real server."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.client import Machine
from tests.support.git import Git
from tests.support.live_site import LiveSite, wait_for

MIB = 1024**2
_numbers = itertools.count(1)


@dataclass
class Desk:
    """Somebody's machine: the Hub client, and git with the same token as its password."""

    machine: Machine
    folder: Path

    def url(self, repo: str, *, token: str | None = "own") -> str:
        """The address to clone; with the owner's token, another one, or none."""
        text = self.machine.token if token == "own" else token
        user = f"anyone:{text}@" if text else ""
        return f"http://{user}127.0.0.1:{self.machine.site.port}/{repo}"

    def new_repo(self, name: str | None = None, **options: object) -> str:
        name = name or f"r{next(_numbers)}"
        arguments = "".join(f", {key}={value!r}" for key, value in options.items())
        self.machine.python(f"api.create_repo({name!r}{arguments})")
        return f"{self.machine.user}/{name}"

    def git(self, name: str | None = None) -> Git:
        """Git in an empty folder."""
        return Git(self.folder / (name or f"w{next(_numbers)}"), self.folder / "home")

    def clone(self, repo: str, *options: str, token: str | None = "own") -> Git:
        git = self.git()
        git("clone", "--quiet", *options, self.url(repo, token=token), ".")
        return git

    def head(self, repo: str, revision: str = "main") -> str:
        return self.machine.python(f"result = api.repo_info({repo!r}, revision={revision!r}).sha")


@pytest.fixture
def desk(live_site: LiveSite, tmp_path: Path) -> Desk:
    return Desk(Machine.of_new_user(live_site, tmp_path), tmp_path)


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A site that may be killed, with small limits."""
    limits = {"MAX_PUSH_BYTES": str(330 * MIB)}
    with LiveSite.started(tmp_path_factory.mktemp("git-site"), extra_env=limits) as site:
        yield site


@pytest.fixture
def own_desk(own_site: LiveSite, tmp_path: Path) -> Desk:
    return Desk(Machine.of_new_user(own_site, tmp_path), tmp_path)


def incoming(site: LiveSite) -> list[str]:
    folder = site.data_dir / "git" / "incoming"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def git_processes(site: LiveSite) -> list[psutil.Process]:
    return [
        p for p in psutil.Process(site.pid("web")).children(recursive=True) if p.name() == "git"
    ]


def test_clones_of_every_kind(desk: Desk) -> None:
    repo = desk.new_repo()
    first = desk.clone(repo)
    for number in range(3):
        sha = first.commit({f"f{number}.txt": f"{number}\n"})
    first("push", "--quiet", "origin", "main", "HEAD:refs/heads/dev")
    assert desk.clone(repo, token=None)("rev-parse", "HEAD") == sha
    assert desk.clone(f"{repo}.git", token=None)("rev-parse", "HEAD") == sha
    shallow = desk.clone(repo, "--depth", "2", token=None)
    assert shallow("rev-list", "--count", "HEAD") == "2"
    assert (shallow.folder / "f0.txt").read_text() == "0\n"
    shallow("fetch", "--quiet", "--unshallow")
    assert shallow("rev-list", "--count", "HEAD") == "4"
    one = desk.clone(repo, "--single-branch", "--branch", "dev", token=None)
    assert one("branch", "--remotes").split() == ["origin/dev"]
    for options in ((), ("-c", "protocol.version=0")):
        git = desk.git()
        git(*options, "clone", "--quiet", "--filter=blob:none", "--no-checkout",
            desk.url(repo, token=None), ".")  # fmt: skip
        assert "?" in git("rev-list", "--objects", "--missing=print", "HEAD")
        git(*options, "checkout", "--quiet", "main")
        assert (git.folder / "f2.txt").read_text() == "2\n"
    mirror = desk.git()
    mirror("clone", "--quiet", "--mirror", desk.url(repo, token=None), ".")
    mirror("fsck", "--strict")
    refused = desk.git().refused("clone", "--filter=sparse:oid=main:f", desk.url(repo), ".")
    assert "filter" in refused


def test_other_types_have_their_own_addresses(desk: Desk) -> None:
    for repo_type, prefix in (("dataset", "datasets/"), ("space", "spaces/")):
        more = {"space_sdk": "static"} if repo_type == "space" else {}
        repo = desk.new_repo(repo_type=repo_type, **more)
        git = desk.clone(f"{prefix}{repo}.git")
        sha = git.commit({"data.csv": "a,b\n"})
        git("push", "--quiet")
        assert desk.clone(f"{prefix}{repo}")("rev-parse", "HEAD") == sha


def test_what_git_pushes_all_others_read_and_the_other_way(desk: Desk, git_lfs: str) -> None:
    repo = desk.new_repo()
    git = desk.clone(repo)
    git("lfs", "install", "--local")
    weights, later = os.urandom(3 * MIB), os.urandom(2 * MIB)
    sha = git.commit({"model.safetensors": weights, "config.json": "{}\n"})
    assert git("lfs", "ls-files", "--name-only") == "model.safetensors"
    git("push", "--quiet")
    for transport in ({}, {"HF_HUB_DISABLE_XET": "1"}):
        digest = desk.machine.python(
            f"""
            import hashlib
            path = hf_hub_download({repo!r}, "model.safetensors", force_download=True)
            result = [hashlib.sha256(open(path, "rb").read()).hexdigest(),
                      api.list_repo_commits({repo!r})[0].commit_id]
            """,
            **transport,
        )
        assert digest == [hashlib.sha256(weights).hexdigest(), sha]
    (desk.machine.folder / "later.bin").write_bytes(later)
    for name, transport in (("xet.bin", {}), ("lfs.bin", {"HF_HUB_DISABLE_XET": "1"})):
        sha = desk.machine.python(
            f"result = api.upload_file(path_or_fileobj='later.bin', path_in_repo={name!r},"
            f" repo_id={repo!r}).oid",
            **transport,
        )
    git("pull", "--quiet")
    assert git("rev-parse", "HEAD") == sha
    assert (git.folder / "xet.bin").read_bytes() == later
    fresh = desk.git()
    fresh("lfs", "install")
    fresh("clone", "--quiet", desk.url(repo, token=None), ".")
    assert (fresh.folder / "lfs.bin").read_bytes() == later
    assert (fresh.folder / "model.safetensors").read_bytes() == weights
    fresh("lfs", "fsck")
    assert fresh("status", "--porcelain") == ""


def test_git_lfs_with_an_agent_for_xet_is_told_to_send_plain(
    desk: Desk, git_lfs: str, tmp_path: Path
) -> None:
    """git-xet registers itself with git-lfs as a transfer called `xet`; files go without it."""
    repo, started = desk.new_repo(), tmp_path / "started"
    git = desk.clone(repo)
    git("lfs", "install", "--local")
    agent = tmp_path / "agent"
    agent.write_text(f"#!/bin/sh\ntouch {started}\n")
    agent.chmod(0o755)
    git("config", "lfs.customtransfer.xet.path", str(agent))
    git("config", "lfs.concurrenttransfers", "1")
    weights = os.urandom(2 * MIB)
    git.commit({"model.safetensors": weights})
    said = git.run("push", "origin", "main", env={"GIT_TRACE": "1", "GIT_CURL_VERBOSE": "1"})
    assert b'"xet"' in said.stderr
    assert not started.exists()
    fresh = desk.git()
    fresh("lfs", "install")
    fresh("clone", "--quiet", desk.url(repo), ".")
    assert (fresh.folder / "model.safetensors").read_bytes() == weights


def test_a_push_without_its_large_files_is_refused(desk: Desk, git_lfs: str) -> None:
    repo = desk.new_repo()
    git = desk.clone(repo)
    git("lfs", "install", "--local")
    git.commit({"model.safetensors": os.urandom(1000)})
    before = desk.head(repo)
    words = git.refused("push", "--no-verify")  # without the hook that sends them first
    assert "remote: model.safetensors is a large file" in words
    assert "git lfs push" in words
    assert desk.head(repo) == before
    git("lfs", "push", "--all", "origin")
    git("push", "--quiet")
    assert desk.head(repo) == git("rev-parse", "HEAD")


def test_branches_and_tags_are_made_and_deleted(desk: Desk) -> None:
    repo = desk.new_repo()
    git = desk.clone(repo)
    sha = git.commit({"a.txt": "a"})
    git("tag", "-a", "v1", "-m", "first")
    git("push", "--quiet", "--atomic", "origin", "HEAD:refs/heads/dev", "v1", "HEAD:refs/tags/v2")
    refs = f"refs = api.list_repo_refs({repo!r})\n"
    names = "result = {r.ref: r.target_commit for r in refs.branches + refs.tags}"
    found = desk.machine.python(refs + names)
    assert {found.pop(f"refs/{name}") for name in ("heads/dev", "tags/v1", "tags/v2")} == {sha}
    git("push", "--quiet", "origin", ":refs/heads/dev", ":refs/tags/v1")
    assert set(desk.machine.python(refs + names)) == {"refs/heads/main", "refs/tags/v2"}
    git.commit({"a.txt": "b"})
    git("push", "--quiet", "origin", "main", "HEAD:refs/heads/dev")
    git("commit", "--quiet", "--amend", "--message", "rewritten")
    assert "[rejected]" in git.refused("push", "origin", "main")
    words = git.refused("push", "--force", "origin", "main")
    assert "[remote rejected] main -> main (main is the default branch" in words
    git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/dev")
    assert "cannot be deleted" in git.refused("push", "origin", ":main")


def test_a_pull_request_is_fetched_and_its_author_pushes_to_it(desk: Desk) -> None:
    repo = desk.new_repo()
    guest = Desk(Machine.of_new_user(desk.machine.site, desk.folder), desk.folder / "guest")
    num = guest.machine.python(f"result = api.create_pull_request({repo!r}, title='Mine').num")
    git = guest.clone(repo)
    sha = git.commit({"mine.txt": "x"})
    assert "you may read" in git.refused("push").lower()
    git("push", "--quiet", "origin", f"HEAD:refs/pr/{num}")
    assert guest.head(repo, f"refs/pr/{num}") == sha
    third = Desk(Machine.of_new_user(desk.machine.site, desk.folder), desk.folder / "third")
    other = third.clone(repo)
    other("fetch", "--quiet", "origin", f"refs/pr/{num}:pr")
    assert other("rev-parse", "pr") == sha
    other("checkout", "--quiet", "pr")
    other.commit({"theirs.txt": "y"})
    assert "Only its author" in other.refused("push", "origin", f"HEAD:refs/pr/{num}")
    mine = desk.clone(repo)
    mine("fetch", "--quiet", "origin", f"refs/pr/{num}:pr")
    mine("checkout", "--quiet", "pr")
    sha = mine.commit({"owner.txt": "z"})
    mine("push", "--quiet", "origin", f"HEAD:refs/pr/{num}")
    assert desk.head(repo, f"refs/pr/{num}") == sha
    words = mine.refused("push", "origin", f":refs/pr/{num}")
    assert "closed on the site" in words
    desk.machine.python(f"api.change_discussion_status({repo!r}, {num}, 'closed')")
    mine.commit({"late.txt": "z"})
    assert "remote rejected" in mine.refused("push", "origin", f"HEAD:refs/pr/{num}")


def test_refusals_are_said_in_words(desk: Desk) -> None:
    repo = desk.new_repo(private=True)
    site, user = desk.machine.site, desk.machine.user
    stranger = site.user_with_token(f"{user}-stranger")
    reader = site.create_token(user, scope="read")
    git = desk.clone(repo)
    git.commit({"x": "1"})
    asked = desk.git().refused("clone", desk.url(repo, token=None), ".")
    assert "could not read Username" in asked
    unknown = desk.git().refused("clone", desk.url(repo, token=stranger), ".")
    assert "not found, or you have no access" in unknown
    missing = desk.git().refused("clone", desk.url(f"{user}/nothing", token=stranger), ".")
    assert missing.replace("nothing", repo.partition("/")[2]) == unknown
    assert "Authentication failed" in desk.git().refused("ls-remote", desk.url(repo, token="bad"))
    words = git.refused("push", desk.url(repo, token=reader), "main")
    assert "remote: This token may read" in words
    words = git.refused("push", "origin", "main", "HEAD:refs/notes/x")
    assert "only branches and tags" in words
    assert "HEAD -> refs/notes/x" in words
    tree = git.tree(("100644", b"..", git.blob(b"x")))
    words = git.refused("push", "origin", f"{git.commit_tree(tree, 'HEAD')}:refs/heads/bad")
    assert "remote: ..: invalid path" in words
    assert incoming(site) == []
    assert desk.head(repo) == git("rev-parse", "origin/main")


def test_a_shallow_clone_pushes_what_it_made(desk: Desk) -> None:
    repo = desk.new_repo()
    full = desk.clone(repo)
    for number in range(3):
        full.commit({"f": str(number)})
    full("push", "--quiet")
    shallow = desk.clone(repo, "--depth", "1")
    sha = shallow.commit({"new": "x"})
    shallow("push", "--quiet")
    assert desk.head(repo) == sha
    other = desk.new_repo()
    words = shallow.refused("push", desk.url(other), "HEAD:refs/heads/dev")
    assert "not here" in words


def test_of_two_pushes_at_once_one_wins_and_the_other_fetches(desk: Desk) -> None:
    repo = desk.new_repo()
    clones = [desk.clone(repo) for _ in range(4)]
    for number, git in enumerate(clones):
        git.commit({f"mine{number}": "x"})
    running = [
        subprocess.Popen(
            ["git", "push"], cwd=git.folder, env={**os.environ, "HOME": str(git.home)},
            stderr=subprocess.PIPE,
        )
        for git in clones
    ]  # fmt: skip
    said = [process.communicate()[1].decode() for process in running]
    winners = [git for git, process in zip(clones, running, strict=True) if not process.returncode]
    assert len(winners) == 1, said
    assert desk.head(repo) == winners[0]("rev-parse", "HEAD")
    assert all("fetch first" in text for text in said if "rejected" in text)
    for git in clones:
        git("pull", "--quiet", "--rebase")
        git("push", "--quiet")
    assert len(desk.machine.python(f"result = api.list_repo_files({repo!r})")) == 5


def test_a_clone_survives_a_rename_and_the_old_address_leads_on(desk: Desk) -> None:
    repo = desk.new_repo()
    git = desk.clone(repo)
    git.commit({"a.txt": "a"})
    git("push", "--quiet")
    desk.machine.python(f"api.move_repo({repo!r}, {repo + '-new'!r})")
    git.commit({"b.txt": "b"})
    git("push", "--quiet")
    git("fetch", "--quiet")
    assert desk.head(f"{repo}-new") == git("rev-parse", "HEAD")
    assert desk.clone(f"{repo}.git")("rev-parse", "HEAD") == git("rev-parse", "HEAD")


def test_a_clone_counts_as_one_download(desk: Desk) -> None:
    repo = desk.new_repo()
    desk.clone(repo)
    desk.clone(repo, "--filter=blob:none")
    desk.git()("ls-remote", desk.url(desk.new_repo("untouched")))
    count = desk.machine.site.execute(
        "from hub.actions.downloads import record_downloads\n"
        "from hub.models import Repo\n"
        "record_downloads()\n"
        "result = dict(Repo.objects.filter(namespace__name=user)"
        ".values_list('name', 'downloads_all_time'))",
        user=desk.machine.user,
    )
    assert count == {repo.partition("/")[2]: 1, "untouched": 0}


def test_a_pushed_commit_is_scanned(desk: Desk, live_workers: LiveSite) -> None:
    repo = desk.new_repo()
    git = desk.clone(repo)
    sha = git.commit({"weights.pt.txt": "not a pickle\n"})
    git("push", "--quiet")
    wait_for(
        lambda: (
            live_workers.execute(
                "from hub.models import CommitScan\n"
                "rows = CommitScan.objects.filter(commit_sha=sha)\n"
                "result = list(rows.values_list('state', flat=True))",
                sha=sha,
            )
            == ["done"]
        ),
        what="the scan of a pushed commit",
        timeout_s=60,
    )


def make_large(git: Git, *, size_bytes: int) -> None:
    """A commit of files just below the limit, which take no time to pack."""
    for number in range(size_bytes // (10 * MIB)):
        git.write(f"f{number}.dat", os.urandom(10 * MIB))
    git("config", "core.compression", "0")
    git("config", "pack.window", "0")
    git("config", "core.bigFileThreshold", "1m")
    git.commit({})


@pytest.mark.slow
def test_a_large_push_and_clone_pass_through_little_memory(own_desk: Desk) -> None:
    repo = own_desk.new_repo()
    git = own_desk.clone(repo)
    make_large(git, size_bytes=300 * MIB)
    web = psutil.Process(psutil.Process(own_desk.machine.site.pid("web")).children()[0].pid)
    before = _peak_bytes(web)
    git("push", "--quiet")
    assert own_desk.head(repo) == git("rev-parse", "HEAD")
    own_desk.clone(repo, "--bare")
    assert _peak_bytes(web) - before < 60 * MIB
    git.commit({"more.dat": os.urandom(9 * MIB)})
    for number in range(5):
        git.commit({f"more{number}.dat": os.urandom(9 * MIB)})
    other = own_desk.new_repo()
    words = git.refused("push", own_desk.url(other), "HEAD:refs/heads/dev")
    assert f"they have more than {330 * MIB} bytes" in words
    assert incoming(own_desk.machine.site) == []


def _peak_bytes(process: psutil.Process) -> int:
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def _start_push(desk: Desk, git: Git, repo: str) -> socket.socket:
    """A push over a bare connection that stops in the middle of its pack."""
    old, new = git("rev-parse", "origin/main"), git("rev-parse", "HEAD")
    line = f"{old} {new} refs/heads/main\0report-status".encode()
    body = b"%04x" % (len(line) + 4) + line + b"0000" + git.pack(new, f"^{old}")
    head = (
        f"POST /{repo}/git-receive-pack HTTP/1.1\r\nHost: 127.0.0.1:{desk.machine.site.port}\r\n"
        f"Authorization: Bearer {desk.machine.token}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", desk.machine.site.port), timeout=30)
    connection.sendall(head.encode() + body[: len(body) // 2])
    return connection


@pytest.fixture
def half_pushed(own_desk: Desk) -> tuple[str, Git, socket.socket]:
    """A repository, what shall be pushed to it, and a push that has stopped in the middle."""
    repo = own_desk.new_repo()
    git = own_desk.clone(repo)
    git.commit({f"f{number}": os.urandom(20_000).hex() for number in range(40)})
    connection = _start_push(own_desk, git, repo)
    site = own_desk.machine.site
    wait_for(lambda: git_processes(site) and incoming(site), what="the push to be under way")
    return repo, git, connection


def test_a_push_whose_client_goes_away_leaves_nothing(own_desk: Desk, half_pushed) -> None:
    repo, git, connection = half_pushed
    site = own_desk.machine.site
    connection.close()
    wait_for(lambda: not git_processes(site), what="git to end")
    wait_for(lambda: not incoming(site), what="the quarantine to go")
    assert own_desk.head(repo) == git("rev-parse", "origin/main")
    git("push", "--quiet")
    assert own_desk.head(repo) == git("rev-parse", "HEAD")


def test_a_server_killed_in_a_push_leaves_only_what_the_sweep_takes(
    own_desk: Desk, half_pushed
) -> None:
    repo, git, connection = half_pushed
    site = own_desk.machine.site
    left = incoming(site)
    site.restart_web()
    connection.close()
    assert incoming(site) == left
    for name in left:
        os.utime(site.data_dir / "git" / "incoming" / name, (0, 0))
    site.execute("from hub.tasks import sweep_uploads\nsweep_uploads()\nresult = None")
    assert incoming(site) == []
    assert own_desk.head(repo) == git("rev-parse", "origin/main")
    assert "agree with the database" in site.run_command("doctor", check=False).stdout
    git("push", "--quiet")
    assert own_desk.head(repo) == git("rev-parse", "HEAD")


def test_a_clone_whose_client_goes_away_ends_its_process(own_desk: Desk) -> None:
    repo = own_desk.new_repo()
    git = own_desk.clone(repo)
    make_large(git, size_bytes=40 * MIB)
    git("push", "--quiet")
    site = own_desk.machine.site
    want = f"want {git('rev-parse', 'HEAD')}\n"
    body = f"0011command=fetch0016object-format=sha10001{len(want) + 4:04x}{want}0009done\n0000"
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=30)
    connection.sendall(
        f"POST /{repo}/git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        f"Content-Length: {len(body)}\r\nGit-Protocol: version=2\r\n"
        f"Content-Type: application/x-git-upload-pack-request\r\n\r\n{body}".encode()
    )
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    wait_for(lambda: git_processes(site), what="git to run")
    connection.close()
    wait_for(lambda: not git_processes(site), what="git to end")
