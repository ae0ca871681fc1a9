"""What a model reads before it writes: prompts filled in, as tokens, cut to what fits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.causal import first_token
from ml_core.evaluate.states import Inputs
from ml_core.evaluate.tokens import encode, frame_of, plain_ids


@dataclass(frozen=True)
class Prompts:
    """Tokens of each item, and which were cut. A decoder's rows are padded on the left."""

    ids: list[list[int]]
    truncated: NDArray[np.bool_]
    pads_left: bool
    pad_id: int = 0

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def tensors(self, rows: Rows) -> Inputs:
        """Inputs of a batch, with what `Decoder` wants to know of it."""
        inputs = padded([self.ids[row] for row in rows], pads_left=self.pads_left, pad=self.pad_id)
        lengths = [len(self.ids[row]) for row in rows]
        return inputs | {"items": torch.from_numpy(rows), "n_prompt": torch.tensor(lengths)}


def padded(ids: list[list[int]], *, pads_left: bool, pad: int) -> Inputs:
    """Rows as `input_ids` and `attention_mask` of shape `(rows, longest)`."""
    width = max(len(row) for row in ids)
    tokens = torch.full((len(ids), width), pad)
    mask = torch.zeros((len(ids), width), dtype=torch.int64)
    for at, row in enumerate(ids):
        place = slice(width - len(row), width) if pads_left else slice(0, len(row))
        tokens[at, place] = torch.tensor(row)
        mask[at, place] = 1
    return {"input_ids": tokens, "attention_mask": mask}


def decoder_prompts(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], *, room: int, as_chat: bool
) -> Prompts:
    """Prompts of a decoder. Of one that is too long the end is kept, and its first special tokens.

    Tokens that the tokenizer puts behind a text are left off: nothing is written behind an end.

    Raises:
        UserError: `tokenizer_invalid`, also where a chat is asked for and there is no template.
    """
    before = [] if as_chat else frame_of(tokenizer)[0]
    given = [render_chat(tokenizer, text) for text in texts] if as_chat else texts
    plain = plain_ids(tokenizer, given).ids
    if not before and any(not ids for ids in plain):
        before = [first_token(tokenizer)]
    room = max(1, room - len(before))
    truncated = np.array([len(ids) > room for ids in plain], dtype=np.bool_)
    return Prompts([[*before, *ids[-room:]] for ids in plain], truncated, pads_left=True)


def encoder_prompts(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], *, max_length: int, pad_id: int
) -> Prompts:
    """Texts for an encoder, with the tokenizer's own tokens. Of a long one the start is kept."""
    encoded = encode(tokenizer, texts, None, max_length=max_length)
    ids: list[list[int]] = [part.tolist() for part in np.split(encoded.ids, encoded.starts[1:-1])]
    return Prompts(ids, encoded.truncated, pads_left=False, pad_id=pad_id)


def render_chat(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """`text` as a user's turn, and the beginning of the answer, by the model's own template.

    The template is a stranger's: transformers renders it in a sandbox without attributes.

    Raises:
        UserError: `tokenizer_invalid`.
    """
    if not tokenizer.chat_template:
        raise UserError(
            Code.TOKENIZER_INVALID,
            "The benchmark asks in the form of a chat, and the tokenizer has no chat template. "
            "Upload a model that was made for chats, with its chat_template.",
        )
    turns = [{"role": "user", "content": text}]
    try:
        rendered: Any = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # a template may raise anything
        cause = " ".join(str(error).split())[:300]
        raise UserError(
            Code.TOKENIZER_INVALID,
            f"The chat template fails: {type(error).__name__}: {cause}",
        ) from error
    return str(rendered)
