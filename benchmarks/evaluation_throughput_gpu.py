"""Classification on a GPU: our engine against `transformers.pipeline`, same model, same items.

    python -m benchmarks.evaluation_throughput_gpu [--texts 4000] [--images 2048] [--repeats 3]

Random weights, since speed does not depend on them: a text classifier and an image classifier of
base size (12 layers of 768) in float32 without TF32 and in bfloat16, and BERT-tiny, where the cost
of an item is all there is. Wall time with the device waited for, least of interleaved repeats. The
pipeline runs at each batch size of `BATCH_SIZES` (batch 1 once), images with and without processes
of its own to decode them; its best is compared besides the sizes that goals name. `--device cpu`
with a few items shows that the script runs; it writes no file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}

import numpy as np

from benchmarks.contenders import (
    Ours,
    Scores,
    compute,
    image_pipeline,
    our_image_engine,
    our_text_engine,
    text_pipeline,
)
from benchmarks.report import Row, compare, report, table
from benchmarks.shapes import LABELS, mixed_lengths, photos, save_base_text, save_base_vision

if TYPE_CHECKING:
    import torch

BATCH_SIZES = (1, 8, 32, 128)
DECODERS = 8
"""Processes that the pipeline may decode images with."""
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}
"""Of a probability. In bfloat16 the shape of a batch alone moves near ties."""


@dataclass(frozen=True)
class Setting:
    """What all measurements of one run share."""

    device: torch.device
    repeats: int
    dtypes: tuple[str, ...]

    def wall_s(self, action: Callable[[], object]) -> float:
        """Seconds of `action`, the device's work included."""
        start = time.perf_counter()
        action()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Timed:
    """Least seconds of each contender: ours, and the pipeline by its setting."""

    ours: Ours
    ours_s: float
    peers_s: dict[str, float]

    @property
    def best_peer(self) -> str:
        return min(self.peers_s, key=lambda name: self.peers_s[name])


def race(
    setting: Setting,
    ours: Callable[[], Ours],
    peers: dict[str, Callable[[], Scores]],
    *,
    tolerance: float,
) -> Timed:
    """Everyone in turns, after one round of ours to warm up. The scores must be equal."""
    first = ours()
    own_s: list[float] = []
    peers_s: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(setting.repeats):
        own_s.append(setting.wall_s(ours))
        for name, peer in peers.items():
            if turn and name == "batch 1":
                continue
            found: list[Scores] = []
            peers_s[name].append(setting.wall_s(lambda: found.append(peer())))  # noqa: B023  # now
            difference = float(np.abs(first.scores - found[0]).max())
            same = float((first.scores.argmax(1) == found[0].argmax(1)).mean())
            print(
                f"{name}: {peers_s[name][-1]:.2f} s against {own_s[-1]:.2f} s, "
                f"max difference {difference:.1e}, same answer {same:.4f}"
            )
            assert difference < tolerance, "the scores are not equal"
    return Timed(first, min(own_s), {name: min(times) for name, times in peers_s.items()})


def text_rows(setting: Setting, folder: Path, texts: list[str]) -> list[Row]:
    """A base-size text classifier over texts of mixed lengths."""
    import torch

    rows = []
    for dtype in setting.dtypes:
        engine = our_text_engine(folder, setting.device, getattr(torch, dtype))
        peer = text_pipeline(folder, LABELS, str(setting.device), dtype)
        start_memory(setting)
        timed = race(
            setting,
            lambda: compute(engine(texts), len(LABELS)),  # noqa: B023  # called within the loop
            {f"batch {n}": lambda n=n, peer=peer: peer(texts, n) for n in BATCH_SIZES},
            tolerance=TOLERANCES[dtype],
        )
        title = f"base text classifier, {dtype}"
        rows += against_peers(title, timed, len(texts), goals={"batch 32": 3.0, "batch 1": 5.0})
        tokens = timed.ours.useful_slots
        dense = dense_tokens_per_s(setting, engine(texts), tokens)
        rate = round(tokens / timed.ours_s)
        work = f"{title}: useful tokens, against forward passes without padding or tokenising"
        rows.append(compare(work, rate, dense, "tokens/s", goal=0.8, higher_is_better=True))
        rows += counts(title, timed, setting)
    return rows


def image_rows(setting: Setting, folder: Path, images: list[bytes]) -> list[Row]:
    """A base-size image classifier over JPEG photographs."""
    import torch

    rows = []
    for dtype in setting.dtypes:
        engine = our_image_engine(folder, setting.device, getattr(torch, dtype))
        peer = image_pipeline(folder, LABELS, str(setting.device), dtype)
        peers = {f"batch {n}": lambda n=n, peer=peer: peer(images, n, 0) for n in BATCH_SIZES}
        for n in BATCH_SIZES[2:] if setting.device.type == "cuda" else ():
            peers[f"batch {n}, {DECODERS} processes"] = lambda n=n, peer=peer: peer(
                images, n, DECODERS
            )
        start_memory(setting)
        timed = race(
            setting,
            lambda: compute(engine(images), len(LABELS)),  # noqa: B023  # called within the loop
            peers,
            tolerance=TOLERANCES[dtype],
        )
        title = f"base image classifier, {dtype}"
        rows += [
            *against_peers(title, timed, len(images), goals={}),
            *counts(title, timed, setting),
        ]
    return rows


def tiny_rows(setting: Setting, folder: Path, texts: list[str]) -> list[Row]:
    """BERT-tiny over short messages: what an item costs when the model is nearly free."""
    import torch

    engine = our_text_engine(folder, setting.device, torch.float32)
    timed = race(setting, lambda: compute(engine(texts), len(LABELS)), {}, tolerance=0.0)
    micros = round(1e6 * timed.ours_s / len(texts), 1)
    work = "BERT-tiny, float32, short messages: an item (goal 150 us)"
    return [compare(work, micros, 150.0, "us/item", goal=1.0, higher_is_better=False)]


def against_peers(title: str, timed: Timed, n_items: int, goals: dict[str, float]) -> list[Row]:
    """Our time for an item against the pipeline's best setting, and against those with goals."""
    names = dict.fromkeys([timed.best_peer, *goals])
    micros = round(1e6 * timed.ours_s / n_items, 1)
    rows = []
    for name in names:
        best = "its best, " if name == timed.best_peer else ""
        rows.append(
            compare(
                f"{title}: against pipeline, {best}{name}",
                micros,
                round(1e6 * timed.peers_s[name] / n_items, 1),
                "us/item",
                goal=goals.get(name, 1.0),
                higher_is_better=False,
            )
        )
    return rows


def counts(title: str, timed: Timed, setting: Setting) -> list[Row]:
    """What does not depend on the clock."""
    from ml_core.device import peak_memory_bytes

    padding = round(timed.ours.padded_slots / timed.ours.useful_slots, 4)
    rows = [compare(f"{title}: padded to useful", padding, None, "slots", higher_is_better=False)]
    peak = peak_memory_bytes(setting.device)
    if peak is not None:
        work = f"{title}: most memory of both sides' tensors"
        rows.append(compare(work, peak >> 20, None, "MiB", higher_is_better=False))
    return rows


def start_memory(setting: Setting) -> None:
    from ml_core.device import watch_memory

    watch_memory(setting.device)


def dense_tokens_per_s(setting: Setting, prepared, n_tokens: int) -> int:
    """Forward passes over full batches, as wide as the mean token's row is long."""
    from ml_core.device import exact_arithmetic

    lengths = prepared.lengths
    width = int((lengths**2).sum() / lengths.sum())
    longest = np.flatnonzero(lengths >= width)
    n_rows = max(1, min(prepared.default_budget // width, len(longest)))
    inputs = {name: t[:, :width] for name, t in prepared.inputs(longest[:n_rows]).items()}
    inputs["attention_mask"].fill_(1)
    n_passes = max(3, n_tokens // (n_rows * width))

    def passes() -> None:
        with exact_arithmetic():
            for _ in range(n_passes):
                prepared.forward(inputs)

    setting.wall_s(passes)
    seconds = min(setting.wall_s(passes) for _ in range(setting.repeats))
    return round(n_passes * n_rows * width / seconds)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("evaluation_throughput_gpu: left out, this machine has no CUDA device")
        return
    from benchmarks.evaluation_throughput import messages, save_model

    setting = Setting(torch.device(options.device), options.repeats, tuple(options.dtypes))
    with tempfile.TemporaryDirectory() as name:
        text_model = save_base_text(Path(name) / "text")
        image_model = save_base_vision(Path(name) / "image")
        rows = [
            *text_rows(setting, text_model, mixed_lengths(messages(20_000), options.texts)),
            *image_rows(setting, image_model, photos(options.images)),
            *tiny_rows(setting, save_model(Path(name) / "tiny"), messages(options.texts)),
        ]
    if setting.device.type == "cuda":
        report("evaluation_throughput_gpu", rows)
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
