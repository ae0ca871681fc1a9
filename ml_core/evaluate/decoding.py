"""Decoding in batches: one token of every unfinished row a step, and finished rows leave.

A row leaves as soon as its text has ended, so that no forward pass computes a row for nothing.
Chance, where it takes part, belongs to the item: what is drawn for it depends neither on its batch
nor on the order.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ml_core.arrays import Floats
from ml_core.evaluate.states import Inputs, State
from ml_core.evaluate.transfer import Ragged
from ml_core.generation import STOP_REASONS, GenerationSpec

REASON_CODES = {reason: code for code, reason in enumerate(STOP_REASONS)}
BROKEN = len(STOP_REASONS)
"""In the place of a reason: the logits of the row were no finite numbers."""
STOP_SLACK_TOKENS = 8
"""A stop string is looked for in as many last tokens as it has bytes, and these."""


@dataclass(frozen=True)
class Ending:
    """The tokens that are special at the end or the start of a text.

    `ends` end it. `suppressed` are never taken, `suppressed_first` not as the first. `forced_first`
    is the first token of the text, where the model was made so.
    """

    ends: frozenset[int]
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    forced_first: int | None = None


@dataclass
class Tally:
    """What was computed, over all batches; see `GenerationFacts`."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    decode_slots: int = 0
    used_slots: int = 0
    stops: Counter[str] = field(default_factory=Counter)


class StopStrings:
    """Whether a text holds one of the stop strings, asked after each token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        longest = max((len(stop.encode()) for stop in stops), default=0)
        self._n_tail = longest + STOP_SLACK_TOKENS

    def is_in(self, ids: list[int]) -> bool:
        """Only the last tokens are read; what they seem to hold must be in the whole as well."""
        if not self._stops or not self._holds(ids[-self._n_tail :]):
            return False
        return len(ids) <= self._n_tail or self._holds(ids)

    def cut(self, text: str) -> str:
        """`text` before the first stop string."""
        places = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        return text[: min(places)] if places else text

    def _holds(self, ids: list[int]) -> bool:
        text = decode(self._tokenizer, ids, keep_special=True)
        return any(stop in text for stop in self._stops)


def decode(tokenizer: PreTrainedTokenizerBase, ids: list[int], *, keep_special: bool) -> str:
    """`ids` as text, with no spaces taken away."""
    text = tokenizer.decode(
        ids, skip_special_tokens=not keep_special, clean_up_tokenization_spaces=False
    )
    assert isinstance(text, str)
    return text


@dataclass(frozen=True)
class Decoder:
    """Prompts to texts, as `settings` say.

    `start` makes the state of a batch from its inputs. `draws` has numbers from 0 to 1 of shape
    `(items, max_new_tokens)` where chance takes part.
    """

    settings: GenerationSpec
    start: Callable[[Inputs], State]
    ending: Ending
    stops: StopStrings
    tally: Tally
    draws: Floats | None = None

    def __call__(self, inputs: Inputs) -> Ragged:
        """Generate for a batch; row: a code of why it ended, then its tokens without the end.

        `inputs` hold besides the model's own `items`, the row numbers, and `n_prompt` tokens.
        """
        rows = inputs.pop("items").numpy()
        n_prompt = int(inputs.pop("n_prompt").sum())
        with torch.inference_mode():
            texts, codes = self._generate(inputs, rows)
        self.tally.prompt_tokens += n_prompt
        for ids, code in zip(texts, codes, strict=True):
            reason = STOP_REASONS[code] if code < BROKEN else "error"
            self.tally.stops[reason] += 1
            self.tally.generated_tokens += len(ids)
        found = [[code, *ids] for ids, code in zip(texts, codes, strict=True)]
        flat = torch.tensor([number for row in found for number in row], dtype=torch.float32)
        return Ragged(flat, tuple(len(row) for row in found))

    def _generate(
        self, inputs: Inputs, rows: NDArray[np.int64]
    ) -> tuple[list[list[int]], list[int]]:
        """Tokens and ending of each row."""
        texts: list[list[int]] = [[] for _ in rows]
        codes = [REASON_CODES["length"]] * len(rows)
        alive = np.arange(len(rows))
        state = self.start(inputs)
        logits = state.first()
        for step in range(self.settings.max_new_tokens):
            tokens, is_broken = self._choose(logits, rows[alive], step)
            stays = []
            for place, (row, token) in enumerate(zip(alive, tokens, strict=True)):
                ended = self._add(texts[row], token, is_broken=is_broken[place])
                if ended is None:
                    stays.append(place)
                else:
                    codes[row] = ended
            if not stays or step + 1 == self.settings.max_new_tokens:
                break
            if len(stays) < len(alive):
                state.keep(stays)
                alive = alive[stays]
            logits = state.step([tokens[place] for place in stays])
            self.tally.decode_slots += state.n_rows
            self.tally.used_slots += len(alive)
        return texts, codes

    def _add(self, ids: list[int], token: int, *, is_broken: bool) -> int | None:
        """Add `token` to a text; the code of why it ends there, None where it goes on."""
        if is_broken:
            return BROKEN
        if token in self.ending.ends:
            return REASON_CODES["end"]
        ids.append(token)
        return REASON_CODES["stop"] if self.stops.is_in(ids) else None

    def _choose(
        self, logits: torch.Tensor, items: NDArray[np.int64], step: int
    ) -> tuple[list[int], list[bool]]:
        """The next token of each row, and which rows have none because of broken logits."""
        scores = logits.float()  # (rows, vocabulary)
        is_broken = (~torch.isfinite(scores.amax(dim=1))).tolist()
        ending = self.ending
        barred = ending.suppressed + (ending.suppressed_first if step == 0 else ())
        if step == 0 and ending.forced_first is not None:
            return [ending.forced_first] * len(items), is_broken
        if barred:
            scores = scores.index_fill(1, torch.tensor(barred, device=scores.device), -torch.inf)
        if self.draws is None:
            return scores.argmax(dim=1).tolist(), is_broken
        drawn = torch.from_numpy(self.draws[items, step]).to(scores.device)
        return draw(scores, drawn, self.settings).tolist(), is_broken


def draw(scores: torch.Tensor, drawn: torch.Tensor, settings: GenerationSpec) -> torch.Tensor:
    """The token of each row at the quantile `drawn` of its distribution, likeliest tokens first.

    Args:
        scores: logits, `(rows, vocabulary)`.
        drawn: from 0 to 1, `(rows,)`.
    """
    warmed = scores.double() / settings.temperature
    falling, order = torch.sort(warmed, descending=True, stable=True)
    shares = falling.softmax(dim=1).cumsum(dim=1)
    whole = shares[:, -1:]
    if settings.top_p < 1:
        last = (shares < settings.top_p).sum(dim=1, keepdim=True).clamp(max=shares.shape[1] - 1)
        whole = shares.gather(1, last)
    places = (shares <= drawn[:, None] * whole).sum(dim=1, keepdim=True)
    return order.gather(1, places.clamp(max=shares.shape[1] - 1))[:, 0]
