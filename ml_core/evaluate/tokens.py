"""Texts as token ids, and rows of them as padded tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.load.model import LoadedModel

CHUNK_ROWS = 1000
BUDGETS = {"cpu": 2048, "cuda": 32_768}


@dataclass(frozen=True)
class Encoded:
    """Token ids of all rows end to end; row i is `ids[starts[i]:starts[i + 1]]`."""

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    starts: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[list[int]], types: Sequence[list[int]] | None = None) -> "Encoded":
        """Rows that are token ids already, none of them cut."""
        lengths = [len(ids) for ids in rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        type_ids = None if types is None else flat_ids(types)
        return cls(flat_ids(rows), type_ids, starts, np.zeros(len(rows), dtype=np.bool_))

    @property
    def lengths(self) -> NDArray[np.int64]:
        lengths: NDArray[np.int64] = np.diff(self.starts)
        return lengths


def padding_token(tokenizer: PreTrainedTokenizerBase, loaded: LoadedModel) -> int | None:
    """The id to pad with; None where tokenizer or a model that needs it knows none.

    Decoders find a row's last token by the config's padding id, so theirs must be set.
    """
    configured = loaded.model.config.get_text_config().pad_token_id
    if tokenizer.pad_token_id is None or configured is None:
        return None
    return int(configured)


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    pairs: list[str] | None,
    *,
    max_length: int,
) -> Encoded:
    """All rows as token ids, cut to `max_length` tokens, special ones included."""
    wants_types = "token_type_ids" in tokenizer.model_input_names
    parts: list[NDArray[np.int64]] = []
    type_parts: list[NDArray[np.int64]] = []
    lengths, truncated = [], []
    for start in range(0, len(texts), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        batch = tokenizer(
            texts[rows],
            pairs[rows] if pairs is not None else None,
            truncation=True,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=wants_types,
            verbose=False,
        )
        lengths += [len(ids) for ids in batch["input_ids"]]
        truncated += _were_cut(tokenizer, batch, texts[rows], pairs and pairs[rows], max_length)
        parts.append(flat_ids(batch["input_ids"]))
        if wants_types:
            type_parts.append(flat_ids(batch["token_type_ids"]))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    types = np.concatenate(type_parts) if wants_types else None
    return Encoded(np.concatenate(parts), types, starts, np.array(truncated, dtype=np.bool_))


def _were_cut(
    tokenizer: PreTrainedTokenizerBase,
    batch: Any,
    texts: list[str],
    pairs: list[str] | None,
    max_length: int,
) -> list[bool]:
    """Which rows of a tokenised batch lost tokens; only full rows can have."""
    full = [len(ids) >= max_length for ids in batch["input_ids"]]
    if batch.encodings is not None:
        return [f and bool(batch.encodings[at].overflowing) for at, f in enumerate(full)]
    for at in np.flatnonzero(full):
        whole = tokenizer(texts[at], pairs[at] if pairs else None, verbose=False)
        full[at] = len(whole["input_ids"]) > max_length
    return full


@dataclass(frozen=True)
class TokenBatch:
    """Rows of `encoded` as padded tensors."""

    encoded: Encoded
    tokenizer: PreTrainedTokenizerBase
    pad_id: int

    @property
    def pads_left(self) -> bool:
        return bool(self.tokenizer.padding_side == "left")

    def slots(self, rows: Rows) -> int:
        return len(rows) * int(max(1, self.encoded.lengths[rows].max()))

    def tensors(self, rows: Rows) -> Inputs:
        """Model inputs of shape `(rows, longest row)`, padded on the tokenizer's side."""
        starts, lengths = self.encoded.starts[rows], self.encoded.lengths[rows]
        width = max(1, int(lengths.max()))
        slots = np.arange(width)
        before = width - lengths if self.pads_left else np.zeros_like(lengths)
        places = slots - before[:, None]
        mask = (places >= 0) & (places < lengths[:, None])
        sources = np.where(mask, starts[:, None] + places, 0)
        inputs = {"input_ids": np.where(mask, self.encoded.ids[sources], self.pad_id)}
        inputs["attention_mask"] = mask.astype(np.int64)
        if self.encoded.type_ids is not None:
            pad_type = self.tokenizer.pad_token_type_id
            inputs["token_type_ids"] = np.where(mask, self.encoded.type_ids[sources], pad_type)
        return {name: torch.from_numpy(array) for name, array in inputs.items()}


def flat_ids(rows: Sequence[list[int]]) -> NDArray[np.int64]:
    """All rows end to end."""
    return np.fromiter(chain.from_iterable(rows), np.int64)


@dataclass(frozen=True)
class Plain:
    """Texts as token ids, nothing added and nothing cut.

    `hidden_bytes` are the bytes of each text that its unknown tokens stand for.
    """

    ids: list[list[int]]
    hidden_bytes: list[int]

    @property
    def highest(self) -> int:
        """The highest id, -1 for none."""
        return max((max(ids) for ids in self.ids if ids), default=-1)


def plain_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Plain:
    """All texts as token ids, without tokens of the tokenizer's own.

    A tokenizer that does not say where its tokens stand in the text hides, for a text with an
    unknown token, all of it.
    """
    unknown = tokenizer.unk_token_id
    wants_places = unknown is not None and tokenizer.is_fast
    ids: list[list[int]] = []
    hidden: list[int] = []
    for start in range(0, len(texts), CHUNK_ROWS):
        chunk = texts[start : start + CHUNK_ROWS]
        batch: Any = tokenizer(
            chunk,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=wants_places,
            verbose=False,
        )
        ids += batch["input_ids"]
        for at, text in enumerate(chunk):
            if unknown is None or unknown not in batch["input_ids"][at]:
                hidden.append(0)
                continue
            whole = [(0, len(text))]
            places = batch["offset_mapping"][at] if wants_places else whole
            known = batch["input_ids"][at] if wants_places else [unknown]
            pairs = zip(places, known, strict=True)
            hidden.append(sum(len(text[a:b].encode()) for (a, b), n in pairs if n == unknown))
    return Plain(ids, hidden)


def frame_of(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer puts before and behind a text.

    Raises:
        UserError: `tokenizer_invalid` where it does more than that.
    """
    plain = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    whole = tokenizer("a", verbose=False)["input_ids"]
    for at in range(len(whole) - len(plain) + 1):
        if whole[at : at + len(plain)] == plain:
            return whole[:at], whole[at + len(plain) :]
    raise UserError(
        Code.TOKENIZER_INVALID, "The tokenizer changes a text when it frames it with its tokens."
    )
