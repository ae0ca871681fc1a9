"""Log-probabilities of continuations where shared beginnings are computed once.

The keys and values of what the contexts of a group share are computed by one forward pass, and
seen by all its rows. A row is the rest of a context and, behind it, its branches, which do not see
each other. The model's own head computes the scored positions alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from ml_core.evaluate.batching import Rows
from ml_core.evaluate.causal import score_places
from ml_core.evaluate.prefixes import Ids, Pair, Row, Shared
from ml_core.evaluate.transfer import Ragged, send

PADDING = -1
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Laid:
    """A row behind what it shares: tokens, their positions in the text, and their branches.

    `branches` is 0 for the context and counts from 1. `places` are the positions in the row whose
    next token is scored, `targets` those tokens, in the order in which the row's pairs are asked.
    """

    ids: Ints
    positions: Ints
    branches: Ints
    places: Ints
    targets: Ints


def lay(row: Row, pairs: Sequence[Pair], n_shared: int) -> Laid:
    """`row` without its first `n_shared` tokens."""
    own = row.context[n_shared:]
    ids, branches = list(own), [0] * len(own)
    positions = list(range(n_shared, len(row.context)))
    starts = []
    for number, branch in enumerate(row.branches, start=1):
        starts.append(len(ids))
        ids += branch
        branches += [number] * len(branch)
        positions += range(len(row.context), len(row.context) + len(branch))
    places: list[int] = []
    targets: list[int] = []
    for pair, at in row.asked:
        behind = range(starts[at], starts[at] + len(row.branches[at]))
        places += (len(own) - 1, *behind)
        targets += pairs[pair].continuation
    return Laid(*(np.array(v, dtype=np.int64) for v in (ids, positions, branches, places, targets)))


@dataclass(frozen=True)
class Batch:
    """Rows of one group: `tensors` padded on the right, and how many values each row gives."""

    group: int
    tensors: dict[str, torch.Tensor]
    n_scored: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """Rows that are laid out, and the groups in which they share their beginnings.

    `prefixes` are the shared tokens by group. Where `is_masked`, a row may have several branches.
    """

    laid: Sequence[Laid]
    prefixes: Sequence[Ids]
    group_of: Ints
    leads: frozenset[int]
    is_masked: bool

    @classmethod
    def of(
        cls, rows: Sequence[Row], pairs: Sequence[Pair], groups: Sequence[Shared], *, masked: bool
    ) -> "Tree":
        group_of = np.zeros(len(rows), dtype=np.int64)
        shared = np.zeros(len(rows), dtype=np.int64)
        for number, group in enumerate(groups):
            group_of[list(group.rows)] = number
            shared[list(group.rows)] = group.n_tokens
        laid = [lay(row, pairs, int(n)) for row, n in zip(rows, shared, strict=True)]
        prefixes = [rows[group.rows[0]].context[: group.n_tokens] for group in groups]
        leads = frozenset(group.rows[0] for group in groups if group.n_tokens)
        return cls(laid, prefixes, group_of, leads, masked)

    @property
    def widths(self) -> Ints:
        return np.array([len(laid.ids) for laid in self.laid], dtype=np.int64)

    @property
    def n_places(self) -> Ints:
        return np.array([len(np.unique(laid.places)) for laid in self.laid], dtype=np.int64)

    def slots(self, rows: Rows) -> int:
        """Positions that a batch computes; a group's beginning counts with its first row."""
        own = len(rows) * max(len(self.laid[row].ids) for row in rows.tolist())
        return own + sum(
            len(self.prefixes[self.group_of[row]]) for row in rows.tolist() if row in self.leads
        )

    def batch(self, rows: Rows) -> Batch:
        """Rows of one group as tensors; each scored position is in it once."""
        laid = [self.laid[row] for row in rows.tolist()]
        width = max(len(one.ids) for one in laid)
        shape = (len(laid), width)
        ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        branches = np.full(shape, PADDING, np.int64)
        for at, one in enumerate(laid):
            n = len(one.ids)
            ids[at, :n], positions[at, :n], branches[at, :n] = one.ids, one.positions, one.branches
        flat = np.concatenate([at * width + one.places for at, one in enumerate(laid)])
        places, place_of = np.unique(flat, return_inverse=True)
        arrays = {
            "input_ids": ids,
            "position_ids": positions,
            "branches": branches,
            "rows": places // width,
            "columns": places % width,
            "place_of": place_of,
            "targets": np.concatenate([one.targets for one in laid]),
        }
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Batch(int(self.group_of[rows[0]]), tensors, tuple(len(one.targets) for one in laid))


class _SharedLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers'
    """Keys and values of a beginning, which any number of rows read and none adds to."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers'
        self.lazy_initialization(keys, values)
        self.shared = (keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_more: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Shared and own states of each row, shape `(rows, heads, shared + own, width)`."""
        n_rows = key_states.shape[0]
        keys, values = (kept.expand(n_rows, -1, -1, -1) for kept in self.shared)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


class DoesNotFit(Exception):
    """The model's class does not let its beginnings be shared, or its head be called alone."""


@dataclass
class Beginnings:
    """Keys and values of what rows share. The last ones are kept, in which a model's memory lies
    for as long as a group is computed."""

    model: PreTrainedModel
    _kept: tuple[Ids, Cache] | None = field(default=None, init=False)

    def of(self, prefix: Ids) -> Cache | None:
        """What any number of rows behind `prefix` reads, None where that is empty."""
        if not prefix:
            return None
        if self._kept is None or self._kept[0] != prefix:
            self._kept = None
            self._kept = (prefix, self._compute(prefix))
        return self._kept[1]

    def _compute(self, prefix: Ids) -> Cache:
        ids = torch.tensor([prefix], device=self.model.device)
        cache = DynamicCache()
        decoder_of(self.model)(input_ids=ids, past_key_values=cache, use_cache=True)
        kept = [layer for layer in cache.layers if isinstance(layer, DynamicLayer)]
        if not kept or len(kept) < len(cache.layers):
            raise DoesNotFit("the model keeps other things than keys and values")
        layers = []
        for layer in kept:
            if layer.keys is None or layer.values is None or layer.keys.shape[-2] != len(prefix):
                raise DoesNotFit("a layer does not keep all keys and values")
            layers.append(_SharedLayer(layer.keys, layer.values))
        return Cache(layers=[*layers])


@dataclass(frozen=True)
class TreeScorer:
    """The forward pass over batches of a tree."""

    beginnings: Beginnings
    tree: Tree

    def __call__(self, batch: Batch) -> Ragged:
        """Log-probability of each scored token and whether it is the likeliest, shape `(n, 2)`."""
        model = self.beginnings.model
        device = model.device
        sent = {name: send(tensor, device) for name, tensor in batch.tensors.items()}
        rows, columns, place_of, targets, branches = (
            sent.pop(name) for name in ("rows", "columns", "place_of", "targets", "branches")
        )
        with torch.inference_mode():
            prefix = self.tree.prefixes[batch.group]
            cache = self.beginnings.of(prefix)
            sent["attention_mask"] = self._mask(branches, len(prefix), model.dtype)
            with _scored_alone(model, rows, columns) as seen:
                more = {"past_key_values": cache} if cache is not None else {}
                out = model(**sent, use_cache=cache is not None, **more)
            if not seen or out.logits.shape[:2] != (1, len(rows)):
                raise DoesNotFit("the head does not take single positions")
            return Ragged(score_places(out.logits[0], targets, place_of), batch.n_scored)

    def _mask(self, branches: torch.Tensor, n_shared: int, dtype: torch.dtype) -> torch.Tensor:
        """What each token sees: all that is shared, its context, and its branch up to itself.

        Added to the scores, shape `(rows, 1, width, shared + width)`; without branches, whether
        there is a token at all, shape `(rows, shared + width)`, and the model makes its own.
        """
        n_rows, width = branches.shape
        if not self.tree.is_masked:
            there = branches.new_ones(n_rows, n_shared)
            return torch.cat([there, (branches != PADDING).long()], dim=1)
        seeing, seen = branches[:, :, None], branches[:, None, :]
        sees = (seen == 0) | (seen == seeing)
        sees &= torch.ones(width, width, dtype=torch.bool, device=branches.device).tril()
        mask = torch.zeros(n_rows, 1, width, n_shared + width, dtype=dtype, device=branches.device)
        mask[:, 0, :, n_shared:].masked_fill_(~sees, torch.finfo(dtype).min)
        return mask


def decoder_of(model: PreTrainedModel) -> nn.Module:
    """The part of a causal language model below its head."""
    found: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]  # transformers'
    return model.base_model if found is model else found


@contextmanager
def _scored_alone(
    model: PreTrainedModel, rows: torch.Tensor, columns: torch.Tensor
) -> Iterator[list[bool]]:
    """While it lasts, the head gets these positions alone, as one row, and does as it always does.

    What comes back holds an entry once that has happened.
    """
    seen: list[bool] = []

    def gather(_module: nn.Module, _given: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[rows, columns][None]
        seen.append(True)
        return output

    handle = decoder_of(model).register_forward_hook(gather)
    try:
        yield seen
    finally:
        handle.remove()
