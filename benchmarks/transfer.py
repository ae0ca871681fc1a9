"""Upload and download of one large checkpoint, against a hub that checks nothing and against nginx.

`SIZE_MIB` (1024) sets the size. Each figure is the best of `REPEATS` (2) runs; every upload uses a
new client home, a new repository and, for Xet, new content, so that nothing is spared.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from benchmarks.report import Row, compare, report
from tests.support.live_site import LiveSite, free_port, wait_for

SIZE_MIB = int(os.environ.get("SIZE_MIB", "1024"))
REPEATS = int(os.environ.get("REPEATS", "2"))
USER = "bench"
FILE = "model.safetensors"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="modelguild-bench-") as name:
        folder = Path(name)
        site_folder = folder / "site"
        site_folder.mkdir()
        with LiveSite.started(site_folder) as site:
            token = site.user_with_token(USER)
            bench = Transfer(folder, site, token)
            rows = [*bench.uploads(), *bench.downloads()]
    report("transfer", rows)


class Transfer:
    """The measurements share a site, a folder and a counter that keeps every run apart."""

    def __init__(self, folder: Path, site: LiveSite, token: str) -> None:
        self.folder = folder
        self.site = site
        self.token = token
        self.runs = 0

    def uploads(self) -> Iterator[Row]:
        with unchecked_hub(self.folder) as peer_url:
            for kind, env in (("Xet", {}), ("LFS", {"HF_HUB_DISABLE_XET": "1"})):
                ours = self.best(lambda env=env: self.upload(self.site.base_url, env))
                peer = self.best(lambda env=env: self.upload(peer_url, env))
                goal = 0.8 if kind == "Xet" else None
                yield rate(f"upload through {kind}", ours, peer, "unchecked hub", goal)

    def upload(self, endpoint: str, env: dict[str, str]) -> float:
        file, repo_id = self.checkpoint(), f"{USER}/model-{self.runs}"
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
            to_disk = self.best(lambda: curl(f"{nginx_url}/{file.name}", self.folder / "out"))
        xet = self.best(self.download_by_xet)
        yield rate("plain GET of an LFS file", lfs, peer, "nginx", 0.9)
        yield rate("plain GET of a Xet file", xet_plain, peer, "nginx", 0.6)
        yield rate("download by the Xet client, to disk", xet, to_disk, "nginx, to disk", 0.9)

    def publish(self, name: str, env: dict[str, str]) -> Path:
        """A new checkpoint, uploaded; the file stays for a peer to serve."""
        file = self.checkpoint()
        self.create_repo(f"{USER}/{name}")
        self.client(self.site.base_url, env, "upload", f"{USER}/{name}", str(file))
        return file

    def download_by_xet(self) -> float:
        out = self.folder / "downloaded"
        seconds = self.client(self.site.base_url, {}, "download", f"{USER}/xet", FILE, str(out))
        shutil.rmtree(out)
        return seconds

    def file_url(self, name: str) -> str:
        return f"{self.site.base_url}/{USER}/{name}/resolve/main/{FILE}"

    def checkpoint(self) -> Path:
        """A safetensors file of normally distributed float32, different each time."""
        self.runs += 1
        generator = np.random.default_rng(self.runs)
        count = SIZE_MIB * 1024**2 // 4 // 16
        tensors = {
            f"layer.{i}": generator.standard_normal(count, dtype=np.float32) for i in range(16)
        }
        path = self.folder / f"checkpoint-{self.runs}.safetensors"
        save_file(tensors, path)
        return path

    def create_repo(self, repo_id: str) -> None:
        env = self.site.client_env(self.token)
        code = f"import huggingface_hub; huggingface_hub.create_repo({repo_id!r})"
        subprocess.run([sys.executable, "-c", code], env=env, check=True)

    def client(self, endpoint: str, env: dict[str, str], *argv: str) -> float:
        self.runs += 1
        home = self.folder / f"home-{self.runs}"
        full = self.site.client_env(self.token, **env) | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home),
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.client", *argv],
            env=full,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        shutil.rmtree(home, ignore_errors=True)
        return float(done.stdout.strip().splitlines()[-1])

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
def unchecked_hub(folder: Path) -> Iterator[str]:
    port, bodies = free_port(), folder / "bodies"
    bodies.mkdir()
    argv = [sys.executable, "-m", "benchmarks.peers.unchecked_hub", str(port), str(bodies)]
    with running(argv, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"
    shutil.rmtree(bodies)


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


@contextmanager
def running(argv: list[str], url: str) -> Iterator[None]:
    process = subprocess.Popen(argv)
    try:
        wait_for(lambda: answers(url), what=argv[0])
        yield
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
