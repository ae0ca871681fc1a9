"""Texts written by our engine against transformers' `generate`: same model, same prompts and texts.

    python -m benchmarks.generation [--items 64] [--repeats 3]

A Llama of 8 million weights from seed 0, prompts of ragged lengths, greedy, at most 64 new tokens.
A share of the vocabulary ends a text, so that lengths are ragged as those of answers are. One
thread, processor time, least of interleaved repeats; the texts are compared each time. Slots are
rows in forward passes behind the prompt: their count does not depend on the machine.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.evaluation_throughput import cpu_s
from benchmarks.report import Row, compare, report
from ml_core.evaluate.batching import plan_batches
from ml_core.evaluate.decoding import Ending
from ml_core.evaluate.engine import run_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.evaluate.prompts import Prompts, padded
from ml_core.evaluate.tasks.generated_text import Writer, prepare_prompts
from ml_core.generation import GenerationFacts, GenerationSpec
from ml_core.load.model import LoadedModel

NEW = 64
VOCABULARY = 4000
ENDS = frozenset(range(0, VOCABULARY, 25))
BATCH_SIZES = (1, 8, 32)
SLOTS_GOAL = 0.85

Texts = list[list[int]]


def make_model() -> LlamaForCausalLM:
    """A small Llama whose texts go on for a while."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4}
    config = LlamaConfig(vocab_size=VOCABULARY, initializer_range=0.1, **sizes, **heads)
    return LlamaForCausalLM(config).eval()


def make_prompts(n_items: int) -> Texts:
    """Ids without meaning, log-normal lengths around 40."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(3.7, 0.6, n_items), 4, 300).astype(int)
    return [rng.integers(1, VOCABULARY, n).tolist() for n in lengths]


def ours(model: LlamaForCausalLM, prompts: Texts) -> tuple[Texts, GenerationFacts]:
    """Texts in the order of the prompts, as a job writes them."""
    # Without stop strings no tokenizer is asked.
    writer = Writer(LoadedModel(model, 0, "sdpa"), None, Ending(ENDS), None)
    cut = np.zeros(len(prompts), dtype=np.bool_)
    prepared = prepare_prompts(writer, GenerationSpec(NEW), Prompts(prompts, cut, pads_left=True))
    plan = plan_batches(prepared.lengths, budget=prepared.default_budget, shares=prepared.shares)
    outputs = run_batches(
        plan,
        inputs=prepared.inputs,
        forward=prepared.forward,
        n_rows=len(prompts),
        slots=prepared.slots,
        reporter=Reporter(ignore),
    )
    texts = [[int(token) for token in row[1:]] for row in outputs.rows]
    return texts, prepared.generation()


def theirs(model: LlamaForCausalLM, prompts: Texts, batch_size: int) -> tuple[Texts, int]:
    """Texts by `generate`, prompts sorted by length, and the slots it ran."""
    order = sorted(range(len(prompts)), key=lambda at: -len(prompts[at]))
    texts: Texts = [[] for _ in prompts]
    slots = 0
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        inputs = padded([prompts[at] for at in rows], pads_left=True, pad=0)
        found = model.generate(
            **inputs, max_new_tokens=NEW, do_sample=False, eos_token_id=sorted(ENDS), pad_token_id=0
        )
        new = found[:, inputs["input_ids"].shape[1] :].tolist()
        slots += len(rows) * (len(new[0]) - 1)
        for at, ids in zip(rows, new, strict=True):
            end = next((n for n, token in enumerate(ids) if token in ENDS), len(ids))
            texts[at] = ids[:end]
    return texts, slots


def measure(n_items: int, repeats: int) -> list[Row]:
    """Our engine and `generate` at each batch size, in turns."""
    torch.set_num_threads(1)
    model, prompts = make_model(), make_prompts(n_items)
    times: dict[int, list[float]] = {size: [] for size in (0, *BATCH_SIZES)}
    slots: dict[int, int] = {}
    for _ in range(repeats):
        seconds, (texts, facts) = cpu_s(lambda: ours(model, prompts))
        times[0].append(seconds)
        for size in BATCH_SIZES:
            seconds, (found, slots[size]) = cpu_s(lambda: theirs(model, prompts, size))  # noqa: B023  # called at once
            times[size].append(seconds)
            same = sum(a == b for a, b in zip(texts, found, strict=True))
            print(f"generate, batch {size}: {same} of {n_items} texts the same")
    best = {size: min(seconds) for size, seconds in times.items()}
    n_tokens = facts.generated_tokens
    print(f"{n_tokens} tokens, {facts.stops}; slots {facts.decode_slots}, of generate {slots}")
    per_token = {size: round(1e6 * seconds / n_tokens, 1) for size, seconds in best.items()}
    rows = [
        compare(
            f"against generate, batch {size}, sorted",
            per_token[0],
            per_token[size],
            "us/token",
            goal=1.0,
            higher_is_better=False,
        )
        for size in BATCH_SIZES
    ]
    shares = [round(facts.used_slots / n, 3) for n in (facts.decode_slots, slots[32])]
    work = "decode slots used / run (peer: generate, batch 32)"
    assert shares[0] >= SLOTS_GOAL, "too many slots are run for nothing"
    rows.append(compare(work, *shares, "share", higher_is_better=True))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    report("generation", measure(options.items, options.repeats))


if __name__ == "__main__":
    main()
