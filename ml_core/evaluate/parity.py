"""Which way of scoring a model takes: the fastest that gives what the plain one gives.

Masks, caches and heads differ between model classes, and a class that does not take what the tree
gives it need not say so. So each way is tried on eight questions of the job before it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from ml_core.evaluate.causal import Continuations, score_tokens
from ml_core.evaluate.engine import free_memory
from ml_core.evaluate.prefixes import Pair, Row, Shared, rows_of
from ml_core.evaluate.transfer import Values, fetch
from ml_core.evaluate.tree import Beginnings, Tree, TreeScorer
from ml_core.load.model import LoadedModel
from ml_core.results import ScoringPath

N_SHORT = 7
"""Questions made short; with the longest of the job, which alone shows a window, they are eight."""
SHORT_PREFIX = 12
SHORT_CONTINUATION = 5
CHANGING = ("dynamic", "longrope")
"""Kinds of rotary angles that depend on the longest position of a forward pass."""
TOLERANCES = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.15}
"""How far the log-probability of a token may be off, for each 10 that it is large."""


@dataclass(frozen=True)
class Verdict:
    """The way to take, and what the record says of those that were tried."""

    path: ScoringPath
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """Rows with branches that share `n_shared` tokens; of each the last pair is compared."""

    pairs: list[Pair]
    n_shared: int


def choose_path(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    planned: tuple[list[Row], list[Shared]],
    beginnings: Beginnings,
) -> Verdict:
    """The first of tree and kv that passes; plain where nothing is shared or neither does.

    Args:
        planned: all rows with their branches, and the groups that share a beginning.
        beginnings: keeps that of the longest question, with whose group a job begins.
    """
    rows, groups = planned
    if len(rows) == len(pairs) and not any(group.n_tokens for group in groups):
        return Verdict("plain", ())
    if angles_change_with_length(loaded):
        return Verdict("plain", ("angles of positions change with the length of a text",))
    trials = [short_trial(rows, pairs), long_trial(rows, groups, pairs)]
    try:
        expected = [plain_values(loaded, trial) for trial in trials]
    except (RuntimeError, MemoryError) as error:
        return Verdict("plain", (f"self-test: {type(error).__name__}",))
    tolerance = TOLERANCES[loaded.model.dtype]
    notes: list[str] = []
    ways: tuple[ScoringPath, ...] = ("tree", "kv")
    for path in ways:
        off = _difference(beginnings, trials, expected, masked=path == "tree")
        if isinstance(off, float) and off <= tolerance:
            return Verdict(path, (*notes, f"{path}: off by {off:.1e} on eight questions, taken"))
        notes.append(f"{path}: {off if isinstance(off, str) else f'off by {off:.1e}'}, not taken")
    return Verdict("plain", tuple(notes))


def angles_change_with_length(loaded: LoadedModel) -> bool:
    """Whether a longer text would turn the keys of its beginning: no few questions show where."""
    settings = getattr(loaded.model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = [settings, *settings.values()]
    return any(isinstance(kind, dict) and kind.get("rope_type") in CHANGING for kind in kinds)


def short_trial(rows: Sequence[Row], pairs: Sequence[Pair]) -> Trial:
    """Beginnings of one question before the ends of others, of different lengths."""
    step = max(1, len(rows) // N_SHORT)
    chosen = list(islice(rows, 0, step * N_SHORT, step))
    # No longer than what the job asks for: a model has as many positions, and perhaps no more.
    most = max(len(pair.context) + len(pair.continuation) - 1 for pair in pairs)
    n_shared = min(SHORT_PREFIX, most // 2, len(chosen[0].context))
    n_scored = max(1, min(SHORT_CONTINUATION, most // 4))
    made: dict[Pair, None] = {}
    for at, row in enumerate(chosen):
        own = row.context[-max(1, min(1 + 2 * at, most // 4)) :]
        for number, _ in row.asked[-3:]:
            context = (*chosen[0].context[:n_shared], *own)
            made[Pair(context, pairs[number].continuation[:n_scored])] = None
    return Trial(list(made), n_shared)


def long_trial(rows: Sequence[Row], groups: Sequence[Shared], pairs: Sequence[Pair]) -> Trial:
    """The row that reaches furthest of those that share a beginning, else of all."""
    sharing = [(group.n_tokens, row) for group in groups for row in group.rows if group.n_tokens]
    candidates = sharing or [(len(row.context) // 2, at) for at, row in enumerate(rows)]
    n_shared, at = max(candidates, key=lambda one: rows[one[1]].n_tokens)
    return Trial([pairs[number] for number, _ in rows[at].asked], n_shared)


def plain_values(loaded: LoadedModel, trial: Trial) -> list[Values]:
    """Of the last pair of each row, by the plain path."""
    last = [trial.pairs[row.asked[-1][0]] for row in rows_of(trial.pairs, together=True)]
    wholes = [[*pair.context, *pair.continuation] for pair in last]
    tokens = Continuations.of(wholes, [len(pair.continuation) for pair in last])
    rows = np.arange(len(last))
    return fetch(score_tokens(loaded)(tokens.tensors(rows))).wait()


def shared_values(beginnings: Beginnings, trial: Trial, *, masked: bool) -> list[Values]:
    """The same by the tree, or without its mask."""
    last = [row.asked[-1][0] for row in rows_of(trial.pairs, together=True)]
    rows = rows_of(trial.pairs, together=masked)
    tree = Tree.of(
        rows, trial.pairs, [Shared(trial.n_shared, tuple(range(len(rows))))], masked=masked
    )
    scored = fetch(TreeScorer(beginnings, tree)(tree.batch(np.arange(len(rows))))).wait()
    found: dict[int, Values] = {}
    for row, values in zip(rows, scored, strict=True):
        start = 0
        for number, _ in row.asked:
            end = start + len(trial.pairs[number].continuation)
            found[number] = values[start:end]
            start = end
    return [found[number] for number in last]


def _difference(
    beginnings: Beginnings, trials: list[Trial], expected: list[list[Values]], *, masked: bool
) -> float | str:
    """How far the furthest token is off, or in a word why there is nothing to compare."""
    furthest = 0.0
    try:
        for trial, wanted in zip(trials, expected, strict=True):
            found = shared_values(beginnings, trial, masked=masked)
            for a, b in zip(found, wanted, strict=True):
                allowed = np.maximum(1.0, np.abs(b[:, 0]) / 10)
                off = float((np.abs(a[:, 0] - b[:, 0]) / allowed).max())
                furthest = max(furthest, off) if np.isfinite(off) else float("inf")
    except Exception as error:  # noqa: BLE001  # a model class may raise anything at what it does not take
        return type(error).__name__
    finally:
        free_memory()
    return furthest
