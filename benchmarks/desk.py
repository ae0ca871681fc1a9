"""A site, a folder and the official client, as the transfer measurements share them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from safetensors.numpy import save_file

from tests.support.live_site import LiveSite, free_port, wait_for

USER = "bench"
D = TypeVar("D", bound="Desk")


class Desk:
    """One user of one site. A counter keeps every content, repository and client home apart."""

    def __init__(self, folder: Path, site: LiveSite) -> None:
        self.folder = folder
        self.site = site
        self.token = site.user_with_token(USER)
        self.runs = 0

    def name_repo(self) -> str:
        self.runs += 1
        return f"{USER}/model-{self.runs}"

    def create_repo(self, repo_id: str) -> str:
        env = self.site.client_env(self.token)
        code = f"import huggingface_hub; huggingface_hub.create_repo({repo_id!r})"
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
        return repo_id

    def checkpoint(self, size_mib: int) -> Path:
        """A safetensors file of 16 layers of normally distributed float32, different each time."""
        self.runs += 1
        path = self.folder / f"checkpoint-{self.runs}.safetensors"
        save_file(layers(size_mib, seed=self.runs), path)
        return path

    def client(self, endpoint: str, env: dict[str, str], *argv: str) -> float:
        """Seconds that one transfer takes a client without caches."""
        client = self.start_client(endpoint, env, *argv)
        return client.finish()

    def start_client(self, endpoint: str, env: dict[str, str], *argv: str) -> Client:
        self.runs += 1
        home = self.folder / f"home-{self.runs}"
        own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
        return Client([*argv], self.site.client_env(self.token, **env) | own, home)

    def web_pids(self) -> list[int]:
        done = subprocess.run(
            ["pgrep", "--pgroup", str(self.site.pid("web"))],
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(line) for line in done.stdout.split()]

    def web_cpu_s(self) -> float:
        """Processor time that the web processes have taken so far."""
        times = [psutil.Process(pid).cpu_times() for pid in self.web_pids()]
        return sum(each.user + each.system for each in times)


class Client:
    """A client that has been started, and waits for the word until `finish` or `go`."""

    def __init__(self, argv: list[str], env: dict[str, str], home: Path) -> None:
        self._home = home
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client", *argv],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._told = False
        self.cpu_s = 0.0
        """Processor time that its transfer took, once it has finished."""

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self._told = True

    def finish(self) -> float:
        """Seconds that its transfer took. Raises `RuntimeError` where it failed."""
        if not self._told:
            self.go()
        out, _ = self._process.communicate()
        shutil.rmtree(self._home, ignore_errors=True)
        if self._process.returncode:
            raise RuntimeError(f"the client ended with {self._process.returncode}")
        seconds, self.cpu_s = map(float, out.split()[-2:])
        return seconds


@contextmanager
def desk(kind: type[D]) -> Iterator[D]:
    """A `kind` over a fresh site, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="modelguild-bench-") as name:
        folder = Path(name)
        (folder / "site").mkdir()
        with LiveSite.started(folder / "site") as site:
            yield kind(folder, site)


def layers(size_mib: int, *, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    count = size_mib * 1024**2 // 4 // 16
    return {f"layer.{i}": generator.standard_normal(count, dtype=np.float32) for i in range(16)}


@contextmanager
def unchecked_hub(folder: Path) -> Iterator[str]:
    port, bodies = free_port(), folder / "bodies"
    bodies.mkdir()
    argv = [sys.executable, "-m", "benchmarks.peers.unchecked_hub", str(port), str(bodies)]
    with running(argv, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"
    shutil.rmtree(bodies)


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
