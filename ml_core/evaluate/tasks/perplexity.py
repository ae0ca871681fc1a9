"""Perplexity: how likely a causal language model finds texts, in rolling windows.

Every token is scored once. The first window begins with the token that begins a text, each later
one with the last token of the window before; the last is filled up with earlier tokens to the full
length. Source: lm-evaluation-harness 0.4.13, `loglikelihood_rolling` with a context of one token.
It differs where a tokenizer adds tokens of its own to a text, which are not scored here.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedTokenizerBase

from ml_core.answers.kind import Collected
from ml_core.evaluate.causal import Continuations, default_budget, first_token, score_tokens
from ml_core.evaluate.engine import Outputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tokens import Plain, plain_ids
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings

BITS_OF_A_HIDDEN_BYTE = 8
"""What a byte costs that an unknown token hides: as much as a byte one knows nothing of."""


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and every text as windows, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        purpose="text generation",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    texts = request.items.inputs.column("text").to_pylist()
    return prepare_texts(tokenizer, loaded, texts, max_length=request.spec.engine.max_length)


def prepare_texts(
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    texts: list[str],
    *,
    max_length: int | None = None,
) -> Prepared:
    """Windows over all texts, and the forward pass over any of them."""
    max_length = longest_input(tokenizer, loaded.model, max_length)
    plain = plain_ids(tokenizer, texts)
    prefix = first_token(tokenizer)
    check_vocabulary(max(prefix, plain.highest) + 1, n_embeddings(loaded.model))
    windows = [(at, *w) for at, ids in enumerate(plain.ids) for w in roll(ids, prefix, max_length)]
    rows = Continuations.of([ids for _, ids, _ in windows], [n for _, _, n in windows])
    owners = np.array([item for item, _, _ in windows], dtype=np.int64)
    return Prepared(
        inputs=rows.tensors,
        forward=score_tokens(loaded),
        slots=rows.slots,
        lengths=rows.lengths,
        truncated=np.zeros(len(texts), dtype=np.bool_),
        default_budget=default_budget(loaded),
        max_rows=None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=unknown_notes(plain),
        collect=lambda outputs: by_text(
            outputs, owners, [len(ids) for ids in plain.ids], plain.hidden_bytes
        ),
    )


def roll(ids: list[int], prefix: int, max_length: int) -> Iterator[tuple[list[int], int]]:
    """The windows of a text: their tokens, and how many at the end are scored."""
    first = ids[:max_length]
    if first:
        yield [prefix, *first], len(first)
    for start in range(max_length, len(ids), max_length):
        end = min(start + max_length, len(ids))
        yield ids[end - max_length - 1 : end], end - start


def unknown_notes(plain: Plain) -> tuple[str, ...]:
    """What the record says of tokens that hide what they stand for."""
    n_texts = sum(n > 0 for n in plain.hidden_bytes)
    return (f"texts with unknown tokens: {n_texts}",) if n_texts else ()


def by_text(
    outputs: Outputs, owners: Any, n_tokens: list[int], hidden_bytes: list[int]
) -> Collected:
    """Log likelihood and number of tokens of each text, from the rows that `owners` says are its.

    Bytes that an unknown token hides are paid for, or a tokenizer that knows nothing would win.
    """
    errors: dict[int, str] = {}
    sums = [-n * BITS_OF_A_HIDDEN_BYTE * math.log(2) for n in hidden_bytes]
    for row, found in enumerate(outputs.rows):
        item = int(owners[row])
        if found is None:
            errors[item] = outputs.errors[row]
        else:
            sums[item] += float(found[:, 0].astype(np.float64).sum())
    values = [
        None if at in errors else (min(total, 0.0), n)
        for at, (total, n) in enumerate(zip(sums, n_tokens, strict=True))
    ]
    return Collected(values, errors, np.zeros(len(n_tokens), dtype=np.bool_))
