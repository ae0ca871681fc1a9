"""Multiple choice: our engine against lm-evaluation-harness's own `hf` model, same requests.

    python -m benchmarks.multiple_choice [--questions 36] [--repeats 2]

A GPT-2 of 6 layers of 512 with random weights and a vocabulary trained on the same text; questions
of five shots, by subject of twelve. The peer runs at batch 1, 8 and 16, and its best is compared;
in bfloat16 through its own mixed precision. One thread, processor time, least of interleaved
repeats; the call is timed from texts to answers, tokenisation and self-test included.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np

from benchmarks.prompts import Asked, five_shot_letters, five_shot_texts, train_prompt_tokenizer
from benchmarks.report import Row, compare, report

BATCH_SIZES = (1, 8, 16)
GOALS = {("letters", "float32"): 3.5, ("letters", "bfloat16"): 3.0}
GOALS |= {("texts", "float32"): 9.0, ("texts", "bfloat16"): 7.0}
Answers = list[tuple[float, bool]]


@dataclass(frozen=True)
class Contest:
    """One kind of task at one dtype: seconds by contender, and what each said."""

    seconds: dict[str, float]
    said: dict[str, Answers]


def build_model(tokenizer: Any, dtype: str) -> Any:
    """The GPT-2 of the notes: 6 layers, width 512, 1,024 positions."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=512, n_layer=6, n_head=8, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config).to(getattr(torch, dtype)).eval()


def contenders(tokenizer: Any, dtype: str) -> dict[str, Callable[[list[Any]], Answers]]:
    """Ours, and the harness's at each batch size, over the same weights."""
    from lm_eval.models.huggingface import HFLM

    from ml_core.evaluate.harness import EngineLM
    from ml_core.load.model import LoadedModel

    ours = EngineLM(LoadedModel(build_model(tokenizer, dtype), 0, "sdpa"), tokenizer)
    mixed = {} if dtype == "float32" else {"mixed_precision_dtype": dtype}
    peer = build_model(tokenizer, "float32")
    found: dict[str, Callable[[list[Any]], Answers]] = {"ours": ours.loglikelihood}
    for size in BATCH_SIZES:
        lm = HFLM(pretrained=peer, tokenizer=tokenizer, batch_size=size, device="cpu", **mixed)
        found[str(size)] = lambda requests, lm=lm: lm.loglikelihood(requests, disable_tqdm=True)
    return found


def contest(tokenizer: Any, asked: list[Asked], dtype: str, repeats: int) -> Contest:
    from lm_eval.api.instance import Instance

    pairs = [(question.context, choice) for question in asked for choice in question.choices]
    requests = [Instance("loglikelihood", {}, pair, at) for at, pair in enumerate(pairs)]
    seconds: dict[str, list[float]] = {}
    said: dict[str, Answers] = {}
    models = contenders(tokenizer, dtype)
    for _ in range(repeats):
        for name, answer in models.items():
            start = time.process_time()
            said[name] = answer(requests)
            seconds.setdefault(name, []).append(time.process_time() - start)
    return Contest({name: min(values) for name, values in seconds.items()}, said)


def answers(said: Answers, asked: list[Asked]) -> list[int]:
    """The likeliest choice of each question."""
    values = iter(value for value, _ in said)
    return [int(np.argmax([next(values) for _ in question.choices])) for question in asked]


def rows_of(kind: str, dtype: str, found: Contest, exact: Answers, asked: list[Asked]) -> list[Row]:
    """Seconds, and how far both are from the peer in float32."""
    times, best = found.seconds, min(map(str, BATCH_SIZES), key=lambda size: found.seconds[size])
    reference = [value for value, _ in exact]
    off = {
        name: float(np.abs(np.array([v for v, _ in found.said[name]]) - reference).max())
        for name in ("ours", best)
    }
    right = answers(exact, asked)
    changed = {
        name: sum(a != b for a, b in zip(answers(found.said[name], asked), right, strict=True))
        for name in ("ours", best)
    }
    shown = ", ".join(f"{size}: {times[str(size)]:.2f}" for size in BATCH_SIZES)
    print(
        f"{kind} {dtype}: ours {times['ours']:.2f} s, lm-eval {shown}; off {off}, changed {changed}"
    )
    if dtype == "float32":
        assert off["ours"] < 1e-4, "the likelihoods are not equal"
        assert changed["ours"] == 0, "the answers are not equal"
    name = f"{kind}, {dtype}"
    return [
        compare(f"{name}: against lm-eval at its best batch, {best}", round(times["ours"], 3),
                round(times[best], 3), "s cpu", goal=GOALS[kind, dtype], higher_is_better=False),
        compare(f"{name}: furthest from lm-eval in float32", off["ours"], off[best], "nats",
                higher_is_better=False),
        compare(f"{name}: answers changed, of {len(asked)}", changed["ours"], changed[best],
                "answers", higher_is_better=False),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=36)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    tokenizer = train_prompt_tokenizer()
    tasks = {
        "letters": five_shot_letters(options.questions),
        "texts": five_shot_texts(options.questions * 2 // 3),
    }
    rows: list[Row] = []
    for kind, asked in tasks.items():
        exact: Answers = []
        for dtype in ("float32", "bfloat16"):
            found = contest(tokenizer, asked, dtype, options.repeats)
            exact = exact or found.said["1"]
            rows += rows_of(kind, dtype, found, exact, asked)
    report("multiple_choice", rows)


if __name__ == "__main__":
    main()
