"""Commits on the real server: many clients at once, chunked bodies, a server that is killed."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.hfapi.conftest import file_line, header
from tests.support.client import Machine
from tests.support.live_site import LiveSite, wait_for


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """A site that may be killed."""
    with LiveSite.started(tmp_path_factory.mktemp("killed")) as site:
        yield site


@pytest.fixture
def owner(own_site: LiveSite, tmp_path: Path) -> Machine:
    machine = Machine.of_new_user(own_site, tmp_path)
    machine.python("api.create_repo('busy')")
    return machine


def ask(machine: Machine, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", machine.site.port, timeout=60)
    headers = {"Authorization": f"Bearer {machine.token}"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data or b"null")


def lines(*rows: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def test_commits_of_many_clients_at_once_all_arrive(owner: Machine) -> None:
    repo = f"/api/models/{owner.user}/busy"
    statuses: list[int] = []

    def send(number: int) -> None:
        body = lines(header(f"Commit {number}"), file_line(f"f{number}", b"x" * number))
        statuses.append(ask(owner, "POST", f"{repo}/commit/main", body)[0])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20
    _, tree = ask(owner, "GET", f"{repo}/tree/main")
    assert len(tree) == 21
    _, commits = ask(owner, "GET", f"{repo}/commits/main")
    assert len(commits) == 21
    _, info = ask(owner, "GET", repo)
    assert info["sha"] == commits[0]["id"]


def test_of_commits_on_one_parent_exactly_one_wins(owner: Machine) -> None:
    repo = f"/api/models/{owner.user}/busy"
    parent = ask(owner, "GET", repo)[1]["sha"]
    statuses: list[int] = []

    def send(number: int) -> None:
        body = lines(header(parentCommit=parent), file_line(f"p{number}", b"x"))
        statuses.append(ask(owner, "POST", f"{repo}/commit/main", body)[0])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 5


def test_chunked_commit_is_read(owner: Machine) -> None:
    repo = f"/api/models/{owner.user}/busy"
    body = lines(header("Chunked"), file_line("chunked.txt", b"came in pieces"))
    pieces = (body[start : start + 10] for start in range(0, len(body), 10))
    status, answer = ask(owner, "POST", f"{repo}/commit/main", pieces)
    assert status == 200
    _, commits = ask(owner, "GET", f"{repo}/commits/main?limit=1")
    assert commits[0]["id"] == answer["commitOid"]


def test_commit_whose_sender_vanishes_leaves_nothing(owner: Machine) -> None:
    repo = f"/api/models/{owner.user}/busy"
    before = ask(owner, "GET", f"{repo}/refs")[1]
    half_a_commit(owner, repo).close()
    wait_for(
        lambda: not list((owner.site.data_dir / "tmp").iterdir()),
        what="the staging folder to be empty",
    )
    assert ask(owner, "GET", f"{repo}/refs")[1] == before


def test_server_killed_within_a_commit_shows_nothing_of_it(owner: Machine) -> None:
    repo = f"/api/models/{owner.user}/busy"
    status, _ = ask(owner, "POST", f"{repo}/commit/main", lines(header(), file_line("a", b"1")))
    assert status == 200
    before = [ask(owner, "GET", f"{repo}/{tail}")[1] for tail in ("refs", "tree/main")]
    connection = half_a_commit(owner, repo)
    owner.site.restart_web()
    connection.close()
    after = [ask(owner, "GET", f"{repo}/{tail}")[1] for tail in ("refs", "tree/main")]
    assert after == before
    assert list((owner.site.data_dir / "tmp").iterdir()) == []
    status, _ = ask(owner, "POST", f"{repo}/commit/main", lines(header(), file_line("a", b"2")))
    assert status == 200


def test_server_killed_while_it_writes_commits_keeps_each_whole(owner: Machine) -> None:
    """Whatever moment the kill hits: a branch at a commit whose every file can be read."""
    repo = f"/api/models/{owner.user}/busy"
    answered: list[str] = []

    def send() -> None:
        for number in range(40):
            rows = [file_line(f"d{number}/f{n}", b"%d" % number * 500) for n in range(40)]
            try:
                status, answer = ask(
                    owner, "POST", f"{repo}/commit/main", lines(header(f"K{number}"), *rows)
                )
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                answered.append(answer["commitOid"])

    sender = threading.Thread(target=send)
    sender.start()
    wait_for(lambda: len(answered) >= 3, what="some commits", timeout_s=60)
    owner.site.restart_web()
    sender.join()
    status, commits = ask(owner, "GET", f"{repo}/commits/main?limit=100")
    assert status == 200
    assert set(answered) <= {row["id"] for row in commits}
    files = owner.python(
        """
        folder = snapshot_download(f"{me}/busy")
        result = sum(len(files) for _, _, files in os.walk(folder))
        """
    )
    kills = [row for row in commits if row["title"].startswith("K")]
    assert files == 1 + 40 * len(kills)
    status, _ = ask(owner, "POST", f"{repo}/commit/main", lines(header(), file_line("z", b"2")))
    assert status == 200
    owner.site.run_command("rebuild_copy")
    assert (
        ask(owner, "GET", repo)[1]["sha"]
        == ask(owner, "GET", f"{repo}/refs")[1]["branches"][0]["targetCommit"]
    )


def half_a_commit(machine: Machine, repo: str) -> socket.socket:
    """A connection on which a commit was begun: more than fits the spool, less than promised."""
    body = lines(header("Half"), *(file_line(f"h{n}", bytes(10**6)) for n in range(12)))
    connection = socket.create_connection(("127.0.0.1", machine.site.port), timeout=30)
    head = (
        f"POST {repo}/commit/main HTTP/1.1\r\nHost: 127.0.0.1:{machine.site.port}\r\n"
        f"Authorization: Bearer {machine.token}\r\nContent-Length: {len(body) + 10**6}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection
