"""What a model remembers of a batch while it writes: with a cache, or by reading all again.

Rows with a cache are computed together: prompts of a decoder are padded on the left, texts for an
encoder on the right. Whether an architecture gives the same numbers that way is tried out with a
few tokens when it is loaded; where not, each row is computed alone and without a cache.
"""

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import torch
from transformers.modeling_outputs import BaseModelOutput

from ml_core.evaluate.transfer import send
from ml_core.load.model import LoadedModel

Inputs = dict[str, torch.Tensor]

TOLERANCES = {torch.float32: 1e-3}
"""Largest difference of logits in a trial, as a share of the largest logit."""
COARSE_TOLERANCE = 0.1
"""The same for types with few digits."""


class State(Protocol):
    """A batch in the middle of writing. Logits have shape `(rows, vocabulary)`."""

    n_rows: int

    def first(self) -> torch.Tensor:
        """Logits of each row's first token."""

    def step(self, tokens: list[int]) -> torch.Tensor:
        """Take the next token of each row; the logits of the one behind it."""

    def keep(self, places: list[int]) -> None:
        """Go on with these rows alone, in this order."""


class DecoderState:
    """Of a decoder, with a cache; prompts padded on the left."""

    def __init__(self, loaded: LoadedModel, inputs: Inputs) -> None:
        self._model = loaded.model
        self._device = loaded.model.device
        self._ids = send(inputs["input_ids"], self._device)
        self._mask = send(inputs["attention_mask"], self._device)
        self._cache: Any = None  # transformers has a class for each architecture
        known = inspect.signature(loaded.model.forward).parameters
        self._takes_places = "position_ids" in known
        self._last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self.n_rows = len(self._ids)

    def first(self) -> torch.Tensor:
        places = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        return self._forward(self._ids, places)

    def step(self, tokens: list[int]) -> torch.Tensor:
        ids = torch.tensor(tokens, device=self._device)[:, None]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        return self._forward(ids, self._mask.sum(dim=1, keepdim=True) - 1)

    def keep(self, places: list[int]) -> None:
        rows = torch.tensor(places, device=self._device)
        self._mask = self._mask[rows]
        self._cache.batch_select_indices(rows)
        self.n_rows = len(places)

    def _forward(self, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        more = {"position_ids": places} if self._takes_places else {}
        found = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            **self._last,
            **more,
        )
        self._cache = found.past_key_values
        logits: torch.Tensor = found.logits[:, -1]
        return logits


class EncoderDecoderState:
    """Of a model with an encoder, whose texts are padded on the right; with a cache."""

    def __init__(self, loaded: LoadedModel, inputs: Inputs, start_token: int) -> None:
        self._model = loaded.model
        self._device = loaded.model.device
        self._mask = send(inputs["attention_mask"], self._device)
        self._encoded = encode_texts(loaded, inputs)
        self._start = start_token
        self._cache: Any = None
        self.n_rows = len(self._mask)

    def first(self) -> torch.Tensor:
        return self.step([self._start] * self.n_rows)

    def step(self, tokens: list[int]) -> torch.Tensor:
        found = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=torch.tensor(tokens, device=self._device)[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = found.past_key_values
        logits: torch.Tensor = found.logits[:, -1]
        return logits

    def keep(self, places: list[int]) -> None:
        rows = torch.tensor(places, device=self._device)
        self._mask, self._encoded = self._mask[rows], self._encoded[rows]
        self._cache.batch_select_indices(rows)
        self.n_rows = len(places)


class RereadingState:
    """One row without a cache: all of it is read again at each step. Right for any architecture."""

    def __init__(self, loaded: LoadedModel, inputs: Inputs, start_token: int | None) -> None:
        if len(inputs["input_ids"]) != 1:
            raise ValueError("rows without a cache are computed one at a time")
        self._model = loaded.model
        self._device = loaded.model.device
        self._encoded = None if start_token is None else encode_texts(loaded, inputs)
        self._ids: list[int] = (
            inputs["input_ids"][0].tolist() if start_token is None else [start_token]
        )
        self.n_rows = 1

    def first(self) -> torch.Tensor:
        ids = torch.tensor([self._ids], device=self._device)
        if self._encoded is None:
            found = self._model(input_ids=ids, use_cache=False)
        else:
            encoded = BaseModelOutput(last_hidden_state=self._encoded)
            found = self._model(encoder_outputs=encoded, decoder_input_ids=ids, use_cache=False)
        logits: torch.Tensor = found.logits[:, -1]
        return logits

    def step(self, tokens: list[int]) -> torch.Tensor:
        self._ids += tokens
        return self.first()

    def keep(self, places: list[int]) -> None:
        assert places == [0]


def encode_texts(loaded: LoadedModel, inputs: Inputs) -> torch.Tensor:
    """What the encoder makes of a batch, shape `(rows, tokens, width)`."""
    sent = {name: send(tensor, loaded.model.device) for name, tensor in inputs.items()}
    sent.pop("token_type_ids", None)
    encoded: torch.Tensor = loaded.model.get_encoder()(**sent).last_hidden_state
    return encoded


def batches_agree(
    loaded: LoadedModel,
    make: Callable[[list[list[int]]], Inputs],
    together: Callable[[Inputs], State],
    alone: Callable[[Inputs], State],
    trial: tuple[list[int], list[int]],
) -> bool:
    """Whether two rows of different lengths have the logits together that they have alone.

    Three tokens are written, the shorter row leaves after the second.

    Args:
        make: inputs of a batch from the tokens of its rows.
        trial: tokens of the rows, a short and a longer one.
    """
    if getattr(loaded.model, "_is_stateful", False):
        return False
    with torch.inference_mode():
        state = together(make(list(trial)))
        singles = [alone(make([ids])) for ids in trial]
        pairs = [(state.first(), torch.cat([one.first() for one in singles]))]
        tokens = [ids[0] for ids in trial]
        alones = [one.step([token]) for one, token in zip(singles, tokens, strict=True)]
        pairs.append((state.step(tokens), torch.cat(alones)))
        state.keep([1])
        pairs.append((state.step([tokens[1]]), singles[1].step([tokens[1]])))
    tolerance = TOLERANCES.get(pairs[0][0].dtype, COARSE_TOLERANCE)
    return all(_are_close(a.float(), b.float(), tolerance) for a, b in pairs)


def is_causal(loaded: LoadedModel, ids: list[int]) -> bool:
    """Whether the logits of a decoder behind a token do not change with what comes later."""
    with torch.inference_mode():
        long, short = (
            loaded.model(input_ids=torch.tensor([row], device=loaded.model.device), use_cache=False)
            for row in (ids, ids[:1])
        )
        pair = long.logits[:, 0].float(), short.logits[:, 0].float()
    return _are_close(*pair, TOLERANCES.get(long.logits.dtype, COARSE_TOLERANCE))


def _are_close(found: torch.Tensor, right: torch.Tensor, tolerance: float) -> bool:
    if not torch.isfinite(right).all():
        return True
    return bool((found - right).abs().max() <= tolerance * right.abs().max())
