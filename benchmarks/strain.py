"""What the site bears: a large upload in little memory, many clients at once, a second upload that
costs what is new, a folder of many small files.

`LARGE_MIB` (5120), `SHARE_MIB` (64), `CLIENTS` (16), `TUNED_MIB` (1024) and `N_FILES` (20000) set
the sizes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from safetensors.numpy import save_file

from benchmarks.desk import Desk, desk, layers, unchecked_hub
from benchmarks.peers.counting_proxy import CountingProxy
from benchmarks.report import Row, compare, report
from tests.support.xet import chunk_with_client, client_xorbs

LARGE_MIB = int(os.environ.get("LARGE_MIB", "5120"))
SHARE_MIB = int(os.environ.get("SHARE_MIB", "64"))
CLIENTS = int(os.environ.get("CLIENTS", "16"))
TUNED_MIB = int(os.environ.get("TUNED_MIB", "1024"))
N_FILES = int(os.environ.get("N_FILES", "20000"))
FILE_BYTES = 1_200
MEMORY_GOAL_MIB = 250.0
BY_LFS = {"HF_HUB_DISABLE_XET": "1"}


def main() -> None:
    with desk(Strain) as bench:
        rows = [*bench.memory(), *bench.crowd(), *bench.fine_tuned(), *bench.small_files()]
    report("strain", rows)


class Strain(Desk):
    def memory(self) -> Iterator[Row]:
        """The peer is the budget. Resident memory at its highest, of the largest web process."""
        for kind, env in (("Xet", {}), ("LFS", BY_LFS)):
            file = self.checkpoint(LARGE_MIB)
            self.forget_peaks()
            self.upload(file, env)
            file.unlink()
            what = f"memory of the web process, {LARGE_MIB} MiB through {kind}, peer the budget"
            peak = round(self.peak_mib(), 1)
            goal = MEMORY_GOAL_MIB
            yield compare(what, peak, goal, "MiB", goal=1.0, higher_is_better=False)

    def crowd(self) -> Iterator[Row]:
        """All start at the same moment, and the time runs until the last one is done."""
        for kind, env in (("Xet", {}), ("LFS", BY_LFS)):
            whole = self.checkpoint(SHARE_MIB * CLIENTS)
            alone = SHARE_MIB * CLIENTS / self.upload(whole, env)
            whole.unlink()
            shares = [self.checkpoint(SHARE_MIB) for _ in range(CLIENTS)]
            together = SHARE_MIB * CLIENTS / self.upload_at_once(shares, env)
            for share in shares:
                share.unlink()
            what = (
                f"{CLIENTS} clients at once through {kind}, {SHARE_MIB} MiB each, peer one of all"
            )
            figures = (round(together, 1), round(alone, 1))
            yield compare(what, *figures, "MiB/s", goal=1.0, higher_is_better=True)

    def fine_tuned(self) -> Iterator[Row]:
        """One layer of 16 is new. The peer is what the client's own chunker says is new."""
        first = self.folder / "base.safetensors"
        tensors = layers(TUNED_MIB, seed=1)
        save_file(tensors, first)
        self.upload(first, {})
        tensors["layer.7"] = layers(TUNED_MIB, seed=2)["layer.7"]
        second = self.folder / "tuned.safetensors"
        save_file(tensors, second)
        repo, stored = self.create_repo(self.name_repo()), self.stored_bytes()
        with CountingProxy(self.site.port) as proxy:
            self.client(proxy.url, {}, "upload", repo, str(second))
        local = self.folder / "chunked"
        chunk_with_client(first, local)
        known = kept_bytes(local)
        chunk_with_client(second, local)
        new = kept_bytes(local) - known
        shutil.rmtree(local)
        for what, ours in (
            ("on the wire", proxy.bytes_in),
            ("on the disk", self.stored_bytes() - stored),
        ):
            work = f"{TUNED_MIB} MiB with one new layer of 16, bytes {what}, peer its new chunks"
            figures = (round(ours / 1024**2, 2), round(new / 1024**2, 2))
            yield compare(work, *figures, "MiB", goal=round(1 / 1.05, 3), higher_is_better=False)

    def small_files(self) -> Iterator[Row]:
        """Texts go into the commit itself; other small files are stored as large ones are."""
        for kind, content in (("text", small_text), ("image-like", os.urandom)):
            folder = self.folder / kind
            for at in range(N_FILES):
                path = folder / f"d{at % 100:02}" / f"f{at}.dat"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content(FILE_BYTES))
            ours = self.upload(folder, {})
            with unchecked_hub(self.folder) as peer_url:
                peer = self.client(peer_url, {}, "upload", self.name_repo(), str(folder))
            shutil.rmtree(folder)
            what = f"upload of a folder of {N_FILES:,} small {kind} files, peer unchecked hub"
            yield compare(what, round(ours, 2), round(peer, 2), "s", higher_is_better=False)

    def upload(self, source: Path, env: dict[str, str]) -> float:
        repo = self.create_repo(self.name_repo())
        return self.client(self.site.base_url, env, "upload", repo, str(source))

    def upload_at_once(self, files: list[Path], env: dict[str, str]) -> float:
        repos = [self.create_repo(self.name_repo()) for _ in files]
        endpoint = self.site.base_url
        clients = [
            self.start_client(endpoint, env, "upload", repo, str(file))
            for repo, file in zip(repos, files, strict=True)
        ]
        return timed(
            lambda: [each() for each in [*(c.go for c in clients), *(c.finish for c in clients)]]
        )

    def stored_bytes(self) -> int:
        """Of the xorbs: what is kept of contents, without the descriptions of files."""
        return self.site.execute(
            "from django.db.models import Sum\n"
            "from hub.models import Xorb\n"
            "result = Xorb.objects.aggregate(n=Sum('size_bytes'))['n'] or 0"
        )

    def forget_peaks(self) -> None:
        for pid in self.web_pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_mib(self) -> float:
        return max(_status_kib(pid, "VmHWM") for pid in self.web_pids()) / 1024


def kept_bytes(folder: Path) -> int:
    """Of what the client's own chunker left in `folder`."""
    return sum(path.stat().st_size for path in client_xorbs(folder))


def small_text(size: int) -> bytes:
    return os.urandom(size // 2).hex().encode()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _status_kib(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0])


if __name__ == "__main__":
    main()
