"""Continuations through a causal language model: the log-probability of each of their tokens."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.tokens import BUDGETS, flat_ids
from ml_core.evaluate.transfer import Ragged, send
from ml_core.load.model import LoadedModel

MAX_LOGITS = {"cpu": 1 << 26, "cuda": 1 << 29}
"""Values that the logits of one batch may have at most: positions times vocabulary."""


@dataclass(frozen=True)
class Continuations:
    """Token sequences end to end; of each the last `n_scored` tokens are scored.

    Sequence i is `ids[starts[i]:starts[i + 1]]`. The model reads all of it but the last token.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    n_scored: NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[list[int]], n_scored: Sequence[int]) -> "Continuations":
        starts = np.concatenate([[0], np.cumsum([len(ids) for ids in sequences])])
        return cls(flat_ids(sequences), starts.astype(np.int64), np.array(n_scored, dtype=np.int64))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens that the model reads of each, at least 1."""
        lengths: NDArray[np.int64] = np.maximum(np.diff(self.starts) - 1, 1)
        return lengths

    def slots(self, rows: Rows) -> int:
        return len(rows) * int(self.lengths[rows].max())

    def tensors(self, rows: Rows) -> Inputs:
        """Inputs padded on the right, which no earlier position of a causal model sees.

        `places` are those of the scored tokens in the flattened batch, `targets` the tokens.
        """
        starts, lengths, n_scored = self.starts[rows], self.lengths[rows], self.n_scored[rows]
        width = int(lengths.max())
        mask = np.arange(width) < lengths[:, None]
        sources = np.where(mask, starts[:, None] + np.arange(width), 0)
        firsts = lengths - n_scored
        at = np.concatenate([np.arange(n) for n in n_scored])
        owner = np.repeat(np.arange(len(rows)), n_scored)
        columns = firsts[owner] + at
        arrays = {
            "input_ids": np.where(mask, self.ids[sources], 0),
            "attention_mask": mask.astype(np.int64),
            "rows": owner,
            "columns": columns,
            "targets": self.ids[starts[owner] + columns + 1],
            "n_scored": n_scored,
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def score_tokens(loaded: LoadedModel) -> Callable[[Inputs], Ragged]:
    """The forward pass: of each scored token what `score_places` gives, shape `(scored, 2)`.

    Where the model can, its head computes only the positions from the first scored one on.
    """
    device = loaded.model.device
    keeps = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters

    def forward(made: Inputs) -> Ragged:
        lengths = tuple(made.pop("n_scored").tolist())
        low = int(made["columns"].min()) if keeps else 0
        width = made["input_ids"].shape[1]
        more = {"logits_to_keep": width - low} if keeps else {}
        sent = {name: send(tensor, device) for name, tensor in made.items()}
        rows, columns, targets = (sent.pop(name) for name in ("rows", "columns", "targets"))
        with torch.inference_mode():
            logits: torch.Tensor = loaded.model(**sent, use_cache=False, **more).logits
            chosen = logits[rows, columns - low]  # (scored, vocabulary)
            places = torch.arange(len(targets), device=device)
            return Ragged(score_places(chosen, targets, places), lengths)

    return forward


def score_places(
    logits: torch.Tensor, targets: torch.Tensor, place_of: torch.Tensor
) -> torch.Tensor:
    """Log-probability of each target in float32, and whether no token is likelier: `(n, 2)`.

    Args:
        logits: shape `(places, vocabulary)`.
        place_of: the place of each target.
    """
    chosen = logits.float()
    picked = chosen[place_of, targets]
    highest = chosen.max(dim=1).values
    values = picked - chosen.logsumexp(dim=1)[place_of]
    return torch.stack([values, (picked >= highest[place_of]).float()], dim=1)


def default_budget(loaded: LoadedModel) -> int:
    """Slots of a batch, fewer where the vocabulary makes their logits large."""
    kind = loaded.model.device.type
    vocabulary = int(loaded.model.config.get_text_config().vocab_size)
    return max(1, min(BUDGETS[kind], MAX_LOGITS[kind] // vocabulary))


def first_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """What stands before the first token of a text: the token that begins one, or ends one.

    Source: lm-evaluation-harness 0.4.13, `prefix_token_id`.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError(
        Code.TOKENIZER_INVALID,
        "The tokenizer has neither a token that begins a text nor one that ends it, so the first "
        "token of a text has nothing before it. Set bos_token or eos_token and upload it again.",
    )
