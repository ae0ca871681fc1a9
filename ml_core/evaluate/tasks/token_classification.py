"""Token classification: a tag for each word, told by its first sub-word."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, PreTrainedTokenizerBase

from ml_core.answers.kind import Collected
from ml_core.data.roles import WORDS_ROLE
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs, Outputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tokens import (
    BUDGETS,
    CHUNK_ROWS,
    Encoded,
    TokenBatch,
    flat_ids,
    padding_token,
)
from ml_core.evaluate.transfer import Ragged, send
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings


@dataclass(frozen=True)
class Windows:
    """Texts cut into windows, and where in them words begin.

    `encoded` has one row a window, `item` the number of its text. The heads of window i are
    `heads[starts[i]:starts[i + 1]]`: places in the window, each of the word `words` names. A word
    has one head, in the window in which it begins.
    """

    encoded: Encoded
    item: NDArray[np.int64]
    heads: NDArray[np.int64]
    words: NDArray[np.int64]
    starts: NDArray[np.int64]


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and every text as windows, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config, words=True)
    if not tokenizer.is_fast:
        raise UserError(
            Code.TOKENIZER_INVALID,
            "The tokenizer does not tell which token belongs to which word. Save it as a fast "
            "tokenizer (tokenizer.json) and upload it again.",
        )
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
        purpose="token classification",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    texts = request.items.inputs.column(WORDS_ROLE).to_pylist()
    return prepare_texts(tokenizer, loaded, texts, max_length=request.spec.engine.max_length)


def prepare_texts(
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    texts: list[list[str]],
    *,
    max_length: int | None = None,
) -> Prepared:
    """Windows over all texts, and the forward pass over any of them.

    Raises:
        UserError: `tokenizer_mismatch` where a text has a token the model has no embedding for.
    """
    max_length = longest_input(tokenizer, loaded.model, max_length)
    windows = cut(tokenizer, texts, max_length=max_length)
    check_vocabulary(int(windows.encoded.ids.max(initial=-1)) + 1, n_embeddings(loaded.model))
    pad_id = padding_token(tokenizer, loaded)
    batch = TokenBatch(windows.encoded, tokenizer, pad_id or 0)
    device = loaded.model.device

    def inputs(rows: Rows) -> Inputs:
        made = batch.tensors(rows)
        width = made["input_ids"].shape[1]
        lengths = windows.encoded.lengths[rows]
        before = width - lengths if tokenizer.padding_side == "left" else np.zeros_like(lengths)
        spans = [slice(windows.starts[row], windows.starts[row + 1]) for row in rows]
        places = [at * width + before[at] + windows.heads[span] for at, span in enumerate(spans)]
        made["heads"] = torch.from_numpy(np.concatenate(places))
        made["n_heads"] = torch.tensor([span.stop - span.start for span in spans])
        return made

    def forward(made: Inputs) -> Ragged:
        lengths = tuple(made.pop("n_heads").tolist())
        sent = {name: send(tensor, device) for name, tensor in made.items()}
        heads = sent.pop("heads")
        with torch.inference_mode():
            logits: torch.Tensor = loaded.model(**sent).logits  # (rows, width, tags)
        return Ragged(logits.flatten(0, 1)[heads], lengths)

    return Prepared(
        inputs=inputs,
        forward=forward,
        slots=batch.slots,
        lengths=np.maximum(windows.encoded.lengths, 1),
        truncated=np.bincount(windows.item, minlength=len(texts)) > 1,
        default_budget=BUDGETS[device.type],
        max_rows=1 if pad_id is None else None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=("no padding token: one row a batch",) if pad_id is None else (),
        collect=lambda outputs: by_text(outputs, windows, [len(words) for words in texts]),
    )


def cut(tokenizer: PreTrainedTokenizerBase, texts: list[list[str]], *, max_length: int) -> Windows:
    """All texts as token ids, a text longer than `max_length` tokens as several windows."""
    parts, item, heads, words, lengths, n_heads = [], [], [], [], [], []
    for start in range(0, len(texts), CHUNK_ROWS):
        chunk: Any = tokenizer(
            texts[start : start + CHUNK_ROWS],
            is_split_into_words=True,
            truncation=True,
            max_length=max_length,
            return_overflowing_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        parts.append(flat_ids(chunk["input_ids"]))
        owners = chunk["overflow_to_sample_mapping"]
        item += [start + owner for owner in owners]
        last, owner_before = -1, -1
        for row, owner in enumerate(owners):
            last = last if owner == owner_before else -1
            owner_before = owner
            found = _heads(chunk.word_ids(row), last)
            last = found[-1][1] if found else last
            heads += [place for place, _ in found]
            words += [word for _, word in found]
            n_heads.append(len(found))
            lengths.append(len(chunk["input_ids"][row]))
    none = np.zeros(len(lengths), dtype=np.bool_)
    encoded = Encoded(np.concatenate(parts), None, _starts(lengths), none)
    return Windows(encoded, _array(item), _array(heads), _array(words), _starts(n_heads))


def by_text(outputs: Outputs, windows: Windows, n_words: list[int]) -> Collected:
    """Logits of each text's words from those of its windows; NaN for words without a token."""
    values: list[Any] = [None] * len(n_words)
    errors: dict[int, str] = {}
    for row, logits in enumerate(outputs.rows):
        item = int(windows.item[row])
        if logits is None:
            errors[item] = outputs.errors[row]
            continue
        if values[item] is None:
            shape = (n_words[item], logits.shape[1])
            values[item] = np.full(shape, np.nan, dtype=np.float32)
        span = slice(windows.starts[row], windows.starts[row + 1])
        values[item][windows.words[span]] = logits
    for item in errors:
        values[item] = None
    truncated = np.bincount(windows.item, minlength=len(n_words)) > 1
    return Collected(values, errors, truncated)


def _heads(word_ids: list[int | None], last: int) -> list[tuple[int, int]]:
    """Place and word of each first sub-word; `last` is the last word of the window before."""
    found = []
    for place, word in enumerate(word_ids):
        if word is not None and word > last:
            found.append((place, word))
            last = word
    return found


def _starts(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _array(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
