"""Log-likelihoods of continuations, by the fastest path that gives what the plain one gives.

`tree` shares beginnings and puts the answers to a question into one row; `kv` shares beginnings and
leaves the mask to the model; `plain` reads every pair whole. See `docs/decisions/prefix-tree.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml_core.device import exact_arithmetic
from ml_core.evaluate.batching import Plan, Rows, plan_batches
from ml_core.evaluate.causal import MAX_LOGITS, Continuations, default_budget, score_tokens
from ml_core.evaluate.engine import Given, Outputs, run_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.evaluate.parity import Verdict, choose_path
from ml_core.evaluate.prefixes import (
    Bounds,
    Pair,
    Row,
    Shared,
    plan_shared,
    rows_of,
    share_prefixes,
)
from ml_core.evaluate.tokens import BUDGETS
from ml_core.evaluate.transfer import Values
from ml_core.evaluate.tree import Beginnings, Tree, TreeScorer
from ml_core.load.model import LoadedModel
from ml_core.results import ScoringPath

REACH = 4
"""Budgets of positions that a batch may attend to, those counted that its rows share."""
WORTH = 8
"""A forward pass of its own is worth this part of a budget."""


@dataclass(frozen=True)
class Likelihoods:
    """By pair: its log-likelihood, None where `errors` says why, and whether each of its tokens is
    the likeliest."""

    values: list[float | None]
    is_greedy: list[bool]
    errors: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scoring:
    """Rows to be computed as `run_batches` wants them, and the way back to the pairs."""

    path: ScoringPath
    inputs: Callable[[Rows], Any]  # what `forward` takes: tensors, or a batch of a tree
    forward: Callable[[Any], Given]
    slots: Callable[[Rows], int]
    lengths: Any
    default_budget: int
    plan: Callable[[int], Plan]
    collect: Callable[[Outputs], Likelihoods]
    notes: tuple[str, ...]


def score_pairs(
    loaded: LoadedModel, pairs: Sequence[Pair], *, path: ScoringPath | None = None
) -> Scoring:
    """How the log-likelihood of each of `pairs` will be computed; equal pairs are computed once.

    Args:
        path: the one to take; None takes the first that passes the self-test.
    """
    distinct = list(dict.fromkeys(pairs))
    number = {pair: at for at, pair in enumerate(distinct)}
    owners = [number[pair] for pair in pairs]
    worth = BUDGETS[loaded.model.device.type] // WORTH
    beginnings = Beginnings(loaded.model)
    if path is not None:
        verdict = Verdict(path, ())
    else:
        verdict = choose_path(loaded, distinct, _shared(distinct, worth, together=True), beginnings)
    if verdict.path == "plain":
        return _plain(loaded, distinct, owners, verdict)
    rows, groups = _shared(distinct, worth, together=verdict.path == "tree")
    return _by_tree(beginnings, distinct, owners, rows, groups, verdict)


def _shared(pairs: list[Pair], worth: int, *, together: bool) -> tuple[list[Row], list[Shared]]:
    rows = rows_of(pairs, together=together)
    return rows, share_prefixes([row.context for row in rows], worth=worth)


def _plain(loaded: LoadedModel, pairs: list[Pair], owners: list[int], verdict: Verdict) -> Scoring:
    wholes = [[*pair.context, *pair.continuation] for pair in pairs]
    tokens = Continuations.of(wholes, [len(pair.continuation) for pair in pairs])
    asked = [((at, len(pair.continuation)),) for at, pair in enumerate(pairs)]
    return Scoring(
        path="plain",
        inputs=tokens.tensors,
        forward=score_tokens(loaded),
        slots=tokens.slots,
        lengths=tokens.lengths,
        default_budget=default_budget(loaded),
        plan=lambda budget: plan_batches(tokens.lengths, budget=budget),
        collect=lambda outputs: _collect(outputs, asked, owners),
        notes=verdict.notes,
    )


def _by_tree(
    beginnings: Beginnings,
    pairs: list[Pair],
    owners: list[int],
    rows: list[Row],
    groups: list[Shared],
    verdict: Verdict,
) -> Scoring:
    tree = Tree.of(rows, pairs, groups, masked=verdict.path == "tree")
    model = beginnings.model
    kind = model.device.type
    vocabulary = int(model.config.get_text_config().vocab_size)
    places = max(1, MAX_LOGITS[kind] // vocabulary)
    asked = [tuple((n, len(pairs[n].continuation)) for n, _ in row.asked) for row in rows]
    read = sum(len(pair.context) + len(pair.continuation) - 1 for pair in pairs)

    def plan(budget: int) -> Plan:
        bounds = Bounds(budget, REACH * budget, places)
        return plan_shared(groups, tree.widths, tree.n_places, bounds)

    computed = plan(BUDGETS[kind]).useful_slots
    return Scoring(
        path=verdict.path,
        inputs=tree.batch,
        forward=TreeScorer(beginnings, tree),
        slots=tree.slots,
        lengths=tree.widths,
        default_budget=BUDGETS[kind],
        plan=plan,
        collect=lambda outputs: _collect(outputs, asked, owners),
        notes=(*verdict.notes, f"{read:,} tokens to read, {computed:,} computed"),
    )


def _collect(
    outputs: Outputs, asked: Sequence[Sequence[tuple[int, int]]], owners: list[int]
) -> Likelihoods:
    """By pair, from rows that hold the values of the pairs in `asked`: (pair, its tokens)."""
    found: dict[int, Values] = {}
    errors: dict[int, str] = {}
    for row, parts in enumerate(asked):
        values = outputs.rows[row]
        start = 0
        for pair, n_tokens in parts:
            if values is None:
                errors[pair] = outputs.errors[row]
            else:
                found[pair] = values[start : start + n_tokens]
            start += n_tokens
    sums = {at: min(0.0, float(v[:, 0].astype(np.float64).sum())) for at, v in found.items()}
    greedy = {at: bool(v[:, 1].all()) for at, v in found.items()}
    failed = {at: errors[owner] for at, owner in enumerate(owners) if owner in errors}
    return Likelihoods(
        [sums.get(owner) for owner in owners],
        [greedy.get(owner, False) for owner in owners],
        failed,
    )


def compute(
    scoring: Scoring, *, token_budget: int | None = None, reporter: Reporter | None = None
) -> Likelihoods:
    """All rows of `scoring` through the engine."""
    with exact_arithmetic():
        outputs = run_batches(
            scoring.plan(token_budget or scoring.default_budget),
            inputs=scoring.inputs,
            forward=scoring.forward,
            n_rows=len(scoring.lengths),
            slots=scoring.slots,
            reporter=reporter or Reporter(ignore),
        )
    return scoring.collect(outputs)
