"""Text classification: one label out of several for a text, or for a pair of texts."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedTokenizerBase

from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.transfer import send
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings

CHUNK_ROWS = 1000
BUDGETS = {"cpu": 2048, "cuda": 32_768}


@dataclass(frozen=True)
class Encoded:
    """Token ids of all rows end to end; row i is `ids[starts[i]:starts[i + 1]]`."""

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    starts: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        lengths: NDArray[np.int64] = np.diff(self.starts)
        return lengths


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and every text as token ids, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        purpose="text classification",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    texts, pairs = _texts(request)
    return prepare_rows(tokenizer, loaded, texts, pairs, max_length=request.spec.engine.max_length)


def prepare_rows(
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    texts: list[str],
    pairs: list[str] | None = None,
    *,
    max_length: int | None = None,
) -> Prepared:
    """Every text as token ids, and the forward pass over any of them.

    Raises:
        UserError: `tokenizer_mismatch` where a text has a token the model has no embedding for.
    """
    max_length = longest_input(tokenizer, loaded.model, max_length)
    encoded = encode(tokenizer, texts, pairs, max_length=max_length)
    check_vocabulary(int(encoded.ids.max(initial=-1)) + 1, n_embeddings(loaded.model))
    pad_id = padding_token(tokenizer, loaded)
    batch = _Batch(encoded, tokenizer, pad_id or 0)
    device = loaded.model.device

    def forward(inputs: Inputs) -> torch.Tensor:
        sent = {name: send(tensor, device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            logits: torch.Tensor = loaded.model(**sent).logits
        return logits

    return Prepared(
        inputs=batch.tensors,
        forward=forward,
        slots=batch.slots,
        lengths=np.maximum(encoded.lengths, 1),
        truncated=encoded.truncated,
        default_budget=BUDGETS[device.type],
        max_rows=1 if pad_id is None else None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=("no padding token: one row a batch",) if pad_id is None else (),
    )


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
        parts.append(_flat(batch["input_ids"]))
        if wants_types:
            type_parts.append(_flat(batch["token_type_ids"]))
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
class _Batch:
    """Rows of `encoded` as padded tensors."""

    encoded: Encoded
    tokenizer: PreTrainedTokenizerBase
    pad_id: int

    def slots(self, rows: Rows) -> int:
        return len(rows) * int(max(1, self.encoded.lengths[rows].max()))

    def tensors(self, rows: Rows) -> Inputs:
        """Model inputs of shape `(rows, longest row)`, padded on the tokenizer's side."""
        starts, lengths = self.encoded.starts[rows], self.encoded.lengths[rows]
        width = max(1, int(lengths.max()))
        slots = np.arange(width)
        left = self.tokenizer.padding_side == "left"
        places = slots - (width - lengths)[:, None] if left else slots[None, :].repeat(len(rows), 0)
        mask = (places >= 0) & (places < lengths[:, None])
        sources = np.where(mask, starts[:, None] + places, 0)
        inputs = {"input_ids": np.where(mask, self.encoded.ids[sources], self.pad_id)}
        inputs["attention_mask"] = mask.astype(np.int64)
        if self.encoded.type_ids is not None:
            pad_type = self.tokenizer.pad_token_type_id
            inputs["token_type_ids"] = np.where(mask, self.encoded.type_ids[sources], pad_type)
        return {name: torch.from_numpy(array) for name, array in inputs.items()}


def _texts(request: Request) -> tuple[list[str], list[str] | None]:
    table = request.items.inputs
    pairs = table.column("text_pair").to_pylist() if "text_pair" in table.column_names else None
    return table.column("text").to_pylist(), pairs


def _flat(rows: list[list[int]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(rows), np.int64)
