"""Extractive question answering: the piece of a context that answers a question.

A context that does not fit is read in windows that overlap by `STRIDE` tokens. In each the best
pairs of a start and an end are looked at, and the best over all windows is the answer. Where the
benchmark has questions without an answer, silence is the answer if it scores higher than any piece.
Its score is that of the first token, the least over the windows; no model has another threshold.

Source: Devlin et al., BERT, arXiv 1810.04805, section 4.2 and 4.3.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import MODEL_FOR_QUESTION_ANSWERING_MAPPING, PreTrainedTokenizerBase

from ml_core.answers.kind import Collected
from ml_core.data.roles import CONTEXT_ROLE
from ml_core.errors import Code, UserError
from ml_core.evaluate.engine import Inputs, Outputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tokens import BUDGETS, CHUNK_ROWS, Encoded, TokenBatch, padding_token
from ml_core.evaluate.transfer import Ragged, send
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings

STRIDE = 128
MAX_ANSWER_TOKENS = 30
N_BEST = 20


@dataclass(frozen=True)
class Windows:
    """Questions with pieces of their contexts.

    `item` is the number of a window's question; `places` are, by token of a window, first and last
    character in the context, -1 for tokens that are not of it.
    """

    encoded: Encoded
    item: NDArray[np.int64]
    places: tuple[NDArray[np.int64], ...]


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and every pair as windows, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    if not tokenizer.is_fast:
        raise UserError(
            Code.TOKENIZER_INVALID,
            "The tokenizer does not tell where in the text a token stands. Save it as a fast "
            "tokenizer (tokenizer.json) and upload it again.",
        )
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_QUESTION_ANSWERING_MAPPING,
        purpose="question answering",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    table = request.items.inputs
    questions, contexts = (table.column(role).to_pylist() for role in ("question", CONTEXT_ROLE))
    return prepare_questions(
        tokenizer,
        loaded,
        questions,
        contexts,
        may_be_silent=request.spec.may_be_silent,
        max_length=request.spec.engine.max_length,
    )


def prepare_questions(
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    questions: list[str],
    contexts: list[str],
    *,
    may_be_silent: bool = False,
    max_length: int | None = None,
) -> Prepared:
    """Windows over all contexts, and the forward pass over any of them."""
    max_length = longest_input(tokenizer, loaded.model, max_length)
    windows = cut(tokenizer, questions, contexts, max_length=max_length)
    check_vocabulary(int(windows.encoded.ids.max(initial=-1)) + 1, n_embeddings(loaded.model))
    pad_id = padding_token(tokenizer, loaded)
    batch = TokenBatch(windows.encoded, tokenizer, pad_id or 0)
    device = loaded.model.device

    def forward(inputs: Inputs) -> Ragged:
        lengths = tuple(inputs["attention_mask"].sum(dim=1).tolist())
        sent = {name: send(tensor, device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            found = loaded.model(**sent)
            logits = torch.stack([found.start_logits, found.end_logits], dim=2)
        return Ragged(logits[sent["attention_mask"].bool()], lengths)  # (tokens, 2)

    return Prepared(
        inputs=batch.tensors,
        forward=forward,
        slots=batch.slots,
        lengths=np.maximum(windows.encoded.lengths, 1),
        truncated=np.zeros(len(questions), dtype=np.bool_),
        default_budget=BUDGETS[device.type],
        max_rows=1 if pad_id is None else None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=(f"windows overlap by {STRIDE} tokens", f"silence allowed: {may_be_silent}"),
        collect=lambda outputs: by_question(
            outputs, windows, contexts, may_be_silent=may_be_silent
        ),
    )


def cut(
    tokenizer: PreTrainedTokenizerBase,
    questions: list[str],
    contexts: list[str],
    *,
    max_length: int,
) -> Windows:
    """All pairs as token ids; a long context as several windows, a long question cut short."""
    room = max(1, max_length // 2)
    stride = min(STRIDE, max(0, max_length // 4))
    ids: list[list[int]] = []
    types: list[list[int]] = []
    item: list[int] = []
    places: list[NDArray[np.int64]] = []
    wants_types = "token_type_ids" in tokenizer.model_input_names
    for start in range(0, len(questions), CHUNK_ROWS):
        asked = [_shortened(tokenizer, q, room) for q in questions[start : start + CHUNK_ROWS]]
        chunk: Any = tokenizer(
            asked,
            contexts[start : start + CHUNK_ROWS],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=wants_types,
            verbose=False,
        )
        ids += chunk["input_ids"]
        types += chunk["token_type_ids"] if wants_types else []
        item += [start + owner for owner in chunk["overflow_to_sample_mapping"]]
        for row, pairs in enumerate(chunk["offset_mapping"]):
            mine = np.array([part == 1 for part in chunk.sequence_ids(row)])
            places.append(np.where(mine[:, None], np.array(pairs, dtype=np.int64), -1))
    encoded = Encoded.of(ids, types if wants_types else None)
    return Windows(encoded, np.array(item, dtype=np.int64), tuple(places))


def by_question(
    outputs: Outputs, windows: Windows, contexts: list[str], *, may_be_silent: bool
) -> Collected:
    """The best answer to each question over its windows; a window that failed fails it."""
    n = len(contexts)
    best: list[tuple[float, str]] = [(float("-inf"), "")] * n
    silence = [float("inf")] * n
    errors: dict[int, str] = {}
    for row, logits in enumerate(outputs.rows):
        item = int(windows.item[row])
        if logits is None:
            errors[item] = outputs.errors[row]
            continue
        silence[item] = min(silence[item], float(logits[0].sum()))
        score, first, last = best_span(logits, windows.places[row])
        if score > best[item][0]:
            best[item] = (score, contexts[item][first:last])
    values = [
        None if at in errors else "" if may_be_silent and silence[at] > score else text
        for at, (score, text) in enumerate(best)
    ]
    return Collected(values, errors, np.zeros(n, dtype=np.bool_))


def best_span(logits: NDArray[np.float32], places: NDArray[np.int64]) -> tuple[float, int, int]:
    """Score and characters of the best piece of a window, of at most `MAX_ANSWER_TOKENS` tokens.

    Only the `N_BEST` best starts and ends are looked at. A window without a piece gives minus
    infinity.
    """
    inside = np.flatnonzero(places[:, 0] >= 0)
    starts = inside[np.argsort(-logits[inside, 0], kind="stable")][:N_BEST]
    ends = inside[np.argsort(-logits[inside, 1], kind="stable")][:N_BEST]
    sums = logits[starts, 0].astype(np.float64)[:, None] + logits[ends, 1].astype(np.float64)
    lengths = ends - starts[:, None] + 1
    sums[(lengths < 1) | (lengths > MAX_ANSWER_TOKENS)] = -np.inf
    if not sums.size or np.isneginf(sums).all():
        return float("-inf"), 0, 0
    a, b = np.unravel_index(int(sums.argmax()), sums.shape)
    return float(sums[a, b]), int(places[starts[a], 0]), int(places[ends[b], 1])


def _shortened(tokenizer: PreTrainedTokenizerBase, question: str, room: int) -> str:
    """`question` without what is behind its first `room` tokens, so that a context has place."""
    found: Any = tokenizer(
        question, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    if len(found["input_ids"]) <= room:
        return question
    return question[: found["offset_mapping"][room - 1][1]]
