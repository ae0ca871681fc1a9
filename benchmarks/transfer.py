"""Upload and download of one large checkpoint, against a hub that checks nothing and against nginx.

`SIZE_MIB` (1024) sets the size. Each figure is the best of `REPEATS` (2) runs; every upload uses a
new client home, a new repository and, for Xet, new content, so that nothing is spared.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.desk import USER, Desk, desk, running, unchecked_hub
from benchmarks.report import Row, compare, report
from tests.support.live_site import free_port

SIZE_MIB = int(os.environ.get("SIZE_MIB", "1024"))
REPEATS = int(os.environ.get("REPEATS", "2"))
FILE = "model.safetensors"


def main() -> None:
    with desk(Transfer) as bench:
        rows = [*bench.uploads(), *bench.downloads()]
    report("transfer", rows)


@dataclass(frozen=True)
class Work:
    """A transfer's time on the clock, and the processor time that each end took for it."""

    seconds: float
    site_s: float
    client_s: float


class Transfer(Desk):
    """Each figure is the best of its runs."""

    def uploads(self) -> Iterator[Row]:
        with unchecked_hub(self.folder) as peer_url:
            for kind, env in (("Xet", {}), ("LFS", {"HF_HUB_DISABLE_XET": "1"})):
                ours = self.best(lambda env=env: self.upload(self.site.base_url, env))
                peer = self.best(lambda env=env: self.upload(peer_url, env))
                goal = 0.8 if kind == "Xet" else None
                yield rate(f"upload through {kind}", ours, peer, "unchecked hub", goal)

    def upload(self, endpoint: str, env: dict[str, str]) -> float:
        file, repo_id = self.checkpoint(SIZE_MIB), self.name_repo()
        if endpoint == self.site.base_url:
            self.create_repo(repo_id)
        seconds = self.client(endpoint, env, "upload", repo_id, str(file))
        file.unlink()
        return seconds

    def downloads(self) -> Iterator[Row]:
        # Two contents: one that is stored both ways would be served from its plain copy.
        file = self.publish("xet", {})
        self.publish("lfs", {"HF_HUB_DISABLE_XET": "1"})
        with nginx(file.parent, self.folder) as nginx_url:
            peer = self.best(lambda: curl(f"{nginx_url}/{file.name}"))
            lfs = self.best(lambda: curl(self.file_url("lfs")))
            xet_plain = self.best(lambda: curl(self.file_url("xet")))
            self.make_plain_copies()
            plain_copy = self.best(lambda: curl(self.file_url("xet")))
            to_disk = self.best(lambda: curl(f"{nginx_url}/{file.name}", self.folder / "out"))
        work = self.download_by_xet()
        xet = min(work.seconds, self.best(lambda: self.download_by_xet().seconds))
        yield rate("plain GET of an LFS file", lfs, peer, "nginx", 0.9)
        yield rate("plain GET of a Xet file", xet_plain, peer, "nginx", 0.6)
        yield rate("plain GET of a Xet file after the first", plain_copy, peer, "nginx", 0.6)
        yield rate("download by the Xet client, to disk", xet, to_disk, "nginx, to disk", 0.9)
        what = "processor time of that download at the site (peer: in the client)"
        figures = (round(work.site_s, 2), round(work.client_s, 2))
        yield compare(what, *figures, "s", higher_is_better=False)

    def make_plain_copies(self) -> None:
        """What a worker does after the first plain download."""
        self.site.execute(
            "from hub.actions.plain_copies import make_plain_copy\n"
            "from hub.models import Blob\n"
            "wanted = Blob.objects.filter(is_plain=False)\n"
            "result = [make_plain_copy(blob_id=blob.pk) for blob in wanted]"
        )

    def publish(self, name: str, env: dict[str, str]) -> Path:
        """A new checkpoint, uploaded; the file stays for a peer to serve."""
        file = self.checkpoint(SIZE_MIB)
        self.create_repo(f"{USER}/{name}")
        self.client(self.site.base_url, env, "upload", f"{USER}/{name}", str(file))
        return file

    def download_by_xet(self) -> Work:
        out, before_s = self.folder / "downloaded", self.web_cpu_s()
        argv = ("download", f"{USER}/xet", FILE, str(out))
        client = self.start_client(self.site.base_url, {}, *argv)
        seconds = client.finish()
        shutil.rmtree(out)
        return Work(seconds, self.web_cpu_s() - before_s, client.cpu_s)

    def file_url(self, name: str) -> str:
        return f"{self.site.base_url}/{USER}/{name}/resolve/main/{FILE}"

    def best(self, measure: Callable[[], float]) -> float:
        return min(measure() for _ in range(REPEATS))


def rate(work: str, ours_s: float, peer_s: float, peer: str, goal: float | None) -> Row:
    """A row in MiB/s."""
    return compare(
        f"{SIZE_MIB} MiB {work} (peer: {peer})",
        round(SIZE_MIB / ours_s, 1),
        round(SIZE_MIB / peer_s, 1),
        "MiB/s",
        goal=goal,
        higher_is_better=True,
    )


def curl(url: str, out: Path = Path("/dev/null")) -> float:
    started = time.perf_counter()
    subprocess.run(["curl", "-sSf", "-o", str(out), url], check=True)
    return time.perf_counter() - started


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(
        f"user {getpass.getuser()}; daemon off; pid {folder}/nginx.pid;\n"
        "error_log stderr; worker_processes 1;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port};"
        f" root {root}; }} }}\n"
    )
    argv = [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(config)]
    with running(argv, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
