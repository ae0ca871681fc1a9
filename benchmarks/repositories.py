"""A commit of many small files against plain git, and the first page of a large folder.

Over HTTP against the running site; `git add && git commit` of the same files is the peer. Each
figure is the best of `REPEATS` (5) runs, ours and the peer's in turn.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import compare, report
from tests.support.live_site import LiveSite

N_FILES = 1_000
N_FOLDER = 10_000
FILE_BYTES = 1_200
REPEATS = int(os.environ.get("REPEATS", "5"))
PAGE_GOAL_MS = 100.0
USER = "bench"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="modelguild-bench-") as name:
        folder = Path(name)
        (folder / "site").mkdir()
        with LiveSite.started(folder / "site") as site:
            hub = Hub(site)
            rows = [commits(hub, folder), *pages(hub)]
    report("repositories", rows)


class Hub:
    """One connection of one user, as clients keep it."""

    def __init__(self, site: LiveSite) -> None:
        self._headers = {"Authorization": f"Bearer {site.user_with_token(USER)}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=300)
        self._repos = 0

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:500]!r}")
        return json.loads(data)

    def new_repo(self) -> str:
        self._repos += 1
        name = f"repo{self._repos}"
        self.ask("POST", "/api/repos/create", json.dumps({"name": name}).encode())
        return f"/api/models/{USER}/{name}"


def commits(hub: Hub, folder: Path) -> Any:
    ours, peer = [], []
    for run in range(REPEATS):
        files = {f"d{n % 20}/f{n}.txt": os.urandom(FILE_BYTES) for n in range(N_FILES)}
        repo, body = hub.new_repo(), commit_body(files)
        ours.append(
            timed(lambda repo=repo, body=body: hub.ask("POST", f"{repo}/commit/main", body))
        )
        work = folder / f"git{run}"
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content)
        subprocess.run(["git", "init", "--quiet", work], check=True)
        peer.append(timed(lambda work=work: git_commit(work)))
    what = f"commit of {N_FILES:,} files of {FILE_BYTES:,} bytes, peer git add and commit"
    return compare(
        what, round(min(ours), 4), round(min(peer), 4), "s", goal=0.5, higher_is_better=False
    )


def pages(hub: Hub) -> list[Any]:
    """The peer of a page is its budget."""
    repo = hub.new_repo()
    files = {f"f{n:05}.txt": os.urandom(200) for n in range(N_FOLDER)}
    hub.ask("POST", f"{repo}/commit/main", commit_body(files))
    rows = []
    for query, what in (("", "1,000 entries"), ("?expand=true", "50 entries with last commits")):
        seconds = min(
            timed(lambda query=query: hub.ask("GET", f"{repo}/tree/main{query}"))
            for _ in range(REPEATS)
        )
        rows.append(
            compare(
                f"first page of a folder of {N_FOLDER:,} files, {what}, peer the budget",
                round(seconds * 1e3, 1),
                PAGE_GOAL_MS,
                "ms",
                goal=1.0,
                higher_is_better=False,
            )
        )
    one = commit_body({"one-more.txt": b"x"})
    again = min(timed(lambda: hub.ask("POST", f"{repo}/commit/main", one)) for _ in range(REPEATS))
    what = f"commit of one file onto {N_FOLDER:,}"
    return [*rows, compare(what, round(again, 4), None, "s", higher_is_better=False)]


def commit_body(files: dict[str, bytes]) -> bytes:
    rows: list[dict[str, Any]] = [{"key": "header", "value": {"summary": "Files"}}]
    for path, content in files.items():
        text = base64.b64encode(content).decode()
        rows.append({"key": "file", "value": {"path": path, "content": text, "encoding": "base64"}})
    return b"\n".join(json.dumps(row).encode() for row in rows)


def git_commit(work: Path) -> None:
    name = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", "-C", work, "add", "--all"], check=True)
    subprocess.run(["git", "-C", work, *name, "commit", "--quiet", "-m", "Files"], check=True)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
