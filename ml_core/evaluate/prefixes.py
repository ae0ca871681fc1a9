"""Which beginnings are computed once: those of questions that begin alike, and of answers.

Pure planning over token numbers; `tree` computes what is planned here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml_core.evaluate.batching import Plan, Rows, cut

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A continuation to be scored behind a context; neither is empty."""

    context: Ids
    continuation: Ids

    def cut_to(self, max_length: int) -> "Pair":
        """Without the first tokens, where a model reads `max_length` and no more.

        The last token of a continuation is never read. Source: lm-evaluation-harness 0.4.13.
        """
        excess = len(self.context) + len(self.continuation) - (max_length + 1)
        if excess <= 0:
            return self
        whole = (*self.context, *self.continuation)[excess:]
        n_scored = min(len(self.continuation), max_length)
        return Pair(whole[:-n_scored], whole[-n_scored:])


@dataclass(frozen=True)
class Row:
    """A context and the branches that the model reads behind it, each without the others.

    `asked` holds (number of a pair, its branch): pairs that differ in their last token alone share
    a branch, as that token is not read.
    """

    context: Ids
    branches: tuple[Ids, ...]
    asked: tuple[tuple[int, int], ...]

    @property
    def n_tokens(self) -> int:
        """Tokens that the model reads."""
        return len(self.context) + sum(len(branch) for branch in self.branches)


@dataclass(frozen=True)
class Shared:
    """Rows, by number, whose contexts have their first `n_tokens` tokens in common."""

    n_tokens: int
    rows: tuple[int, ...]


def rows_of(pairs: Sequence[Pair], *, together: bool) -> list[Row]:
    """All branches of a context in a row, or where they must not be `together` one in each."""
    found: dict[tuple[Ids, Ids], dict[Ids, list[int]]] = {}
    for number, pair in enumerate(pairs):
        read = pair.continuation[:-1]
        key = (pair.context, () if together else read)
        found.setdefault(key, {}).setdefault(read, []).append(number)
    return [
        Row(
            context,
            tuple(branches),
            tuple((n, at) for at, numbers in enumerate(branches.values()) for n in numbers),
        )
        for (context, _), branches in found.items()
    ]


def share_prefixes(contexts: Sequence[Ids], *, worth: int) -> list[Shared]:
    """Contexts in groups with a long beginning in common; the rest in one that shares 0 tokens.

    A group of n with p tokens in common saves (n - 1) p of them and costs `worth`, the tokens that
    a forward pass of its own is worth. Neighbours in sorted order are joined, those with the most
    in common first, where that saves more than the groups which both sides have. A context keeps at
    least one token for itself.
    """
    order = sorted(range(len(contexts)), key=lambda at: contexts[at])
    common = [_n_common(contexts[a], contexts[b]) for a, b in pairwise(order)]
    # Each run of joined neighbours stands at its first and at its last place.
    runs = [_Run(at, at) for at in range(len(order))]
    for place in sorted(range(len(common)), key=lambda at: -common[at]):
        left, right = runs[place], runs[place + 1]
        first, last, apart = left.first, right.last, left.saved + right.saved
        together = (last - first) * common[place] - worth
        if together > apart:
            run = _Run(first, last, together, common[place])
        else:
            run = _Run(first, last, apart, sides=(left, right) if apart else ())
        runs[first] = runs[last] = run
    return _groups(runs[0], order) if runs else []


@dataclass(frozen=True)
class _Run:
    """Neighbours from `first` to `last` in sorted order, and what their groups save."""

    first: int
    last: int
    saved: int = 0
    n_tokens: int = 0
    sides: tuple["_Run", ...] = ()


def _groups(whole: _Run, order: list[int]) -> list[Shared]:
    alone: list[int] = []
    groups, waiting = [], [whole]
    while waiting:
        run = waiting.pop()
        members = order[run.first : run.last + 1]
        if run.sides:
            waiting += run.sides[::-1]
        elif run.n_tokens:
            groups.append(Shared(run.n_tokens, tuple(members)))
        else:
            alone += members
    return [*groups, Shared(0, tuple(alone))] if alone else groups


def _n_common(one: Ids, other: Ids) -> int:
    n = min(len(one), len(other)) - 1
    differ = np.flatnonzero(np.array(one[:n]) != np.array(other[:n]))
    return int(differ[0]) if len(differ) else n


@dataclass(frozen=True)
class Bounds:
    """What a batch may hold: `slots` its rows times its longest, `reach` the positions that its
    rows attend to, shared ones included, `places` the positions that are scored."""

    slots: int
    reach: int
    places: int


def plan_shared(
    groups: Sequence[Shared],
    widths: NDArray[np.int64],
    n_places: NDArray[np.int64],
    bounds: Bounds,
) -> Plan:
    """Batches within groups: batches of a group follow each other, those that reach furthest first.

    Args:
        widths: tokens of each row behind what it shares.
        n_places: positions of each row that are scored.
    """
    parts: list[tuple[int, list[Rows]]] = []
    for group in groups:
        members = np.array(group.rows, dtype=np.int64)
        order = members[np.argsort(-widths[members], kind="stable")]
        longest = group.n_tokens + int(widths[order[0]])
        most = min(bounds.reach // longest, bounds.places // int(n_places[members].max()))
        batches = list(cut(order, widths, bound=bounds.slots, max_rows=max(1, most)))
        parts.append((longest, batches))
    parts.sort(key=lambda part: -part[0])
    ordered = [rows for _, batches in parts for rows in batches]
    n_shared = sum(group.n_tokens for group in groups)
    padded = sum(len(rows) * int(widths[rows[0]]) for rows in ordered)
    return Plan(tuple(ordered), bounds.slots, n_shared + int(widths.sum()), n_shared + padded)
