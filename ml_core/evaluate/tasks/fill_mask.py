"""Masked language models: pseudo-likelihood of texts, one masked token at a time.

Each token is foretold from all others of its window; the sum of the log-probabilities is the
pseudo-log-likelihood, which is no likelihood and compares with that of other masked models alone.
Texts longer than the model takes are cut into windows that share nothing.

Source: Salazar et al., Masked Language Model Scoring, arXiv 1910.14659.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedTokenizerBase

from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.causal import default_budget, score_places
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tasks.perplexity import by_text, unknown_notes
from ml_core.evaluate.tokens import BUDGETS, Encoded, TokenBatch, frame_of, padding_token, plain_ids
from ml_core.evaluate.transfer import send
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings

SAME = 1e-3
"""Largest difference of log-probabilities between the whole head and the head at one place."""


@dataclass(frozen=True)
class Masked:
    """Windows over texts, and a row for each token to be foretold.

    `window` and `place` say where the token of a row stands, `item` of which text it is.
    """

    windows: Encoded
    window: NDArray[np.int64]
    place: NDArray[np.int64]
    item: NDArray[np.int64]


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and every text as windows, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_MASKED_LM_MAPPING,
        purpose="masked language modelling",
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
    """A row for each token of all texts, and the forward pass over any of them.

    Raises:
        UserError: `tokenizer_invalid` where the tokenizer has no mask token.
    """
    mask_id = tokenizer.mask_token_id
    if mask_id is None:
        raise UserError(
            Code.TOKENIZER_INVALID, "The tokenizer has no mask token, which this task masks with."
        )
    max_length = longest_input(tokenizer, loaded.model, max_length)
    plain = plain_ids(tokenizer, texts)
    masked = cut(plain.ids, *frame_of(tokenizer), max_length=max_length)
    highest = max(int(masked.windows.ids.max(initial=0)), mask_id)
    check_vocabulary(highest + 1, n_embeddings(loaded.model))
    pad_id = padding_token(tokenizer, loaded)
    batch = TokenBatch(masked.windows, tokenizer, pad_id or 0)
    inputs = masked_inputs(masked, batch, mask_id)
    head = sparse_head(loaded, inputs, len(masked.window))
    n_tokens = [len(ids) for ids in plain.ids]
    return Prepared(
        inputs=inputs,
        forward=lambda made: foretell(loaded, made, head),
        slots=lambda rows: batch.slots(masked.window[rows]),
        lengths=masked.windows.lengths[masked.window],
        truncated=np.zeros(len(texts), dtype=np.bool_),
        default_budget=BUDGETS[loaded.model.device.type] if head else default_budget(loaded),
        max_rows=1 if pad_id is None else None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=unknown_notes(plain),
        collect=lambda outputs: by_text(outputs, masked.item, n_tokens, plain.hidden_bytes),
    )


def cut(texts: list[list[int]], before: list[int], behind: list[int], *, max_length: int) -> Masked:
    """Windows of at most `max_length` tokens, framed, and a row for each token of the texts."""
    size = max(1, max_length - len(before) - len(behind))
    windows: list[list[int]] = []
    rows: list[tuple[int, int, int]] = []
    for item, ids in enumerate(texts):
        for start in range(0, len(ids), size):
            piece = ids[start : start + size]
            rows += [(len(windows), len(before) + at, item) for at in range(len(piece))]
            windows.append([*before, *piece, *behind])
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 3)
    return Masked(Encoded.of(windows), *table.T)


def masked_inputs(masked: Masked, batch: TokenBatch, mask_id: int) -> Callable[[Rows], Inputs]:
    """Makes windows with one token masked each; `places` is where, `targets` what stood there."""

    def inputs(rows: Rows) -> Inputs:
        made = batch.tensors(masked.window[rows])
        width = made["input_ids"].shape[1]
        lengths = masked.windows.lengths[masked.window[rows]]
        places = masked.place[rows] + (width - lengths if batch.pads_left else 0)
        at = torch.arange(len(rows))
        made["places"] = torch.from_numpy(places)
        made["targets"] = made["input_ids"][at, made["places"]].clone()
        made["input_ids"][at, made["places"]] = mask_id
        return made

    return inputs


def foretell(loaded: LoadedModel, made: Inputs, head: nn.Module | None) -> torch.Tensor:
    """What `score_places` gives for the one masked token of each row, shape `(rows, 1, 2)`.

    Args:
        head: the layer that makes logits of hidden states, to be run at the masked place alone;
            None runs it everywhere.
    """
    sent = {name: send(tensor, loaded.model.device) for name, tensor in made.items()}
    places, targets = sent.pop("places"), sent.pop("targets")
    at = torch.arange(len(places), device=places.device)

    def only_masked(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (given[0][at, places][:, None],)

    hook = head.register_forward_pre_hook(only_masked) if head is not None else None
    try:
        with torch.inference_mode():
            logits: torch.Tensor = loaded.model(**sent).logits
            chosen = logits[:, 0] if head is not None else logits[at, places]
            return score_places(chosen, targets, at)[:, None]
    finally:
        if hook is not None:
            hook.remove()


def sparse_head(
    loaded: LoadedModel, inputs: Callable[[Rows], Inputs], n_rows: int
) -> nn.Module | None:
    """The output layer if running it at one place alone changes nothing, else None."""
    head = loaded.model.get_output_embeddings()  # type: ignore[no-untyped-call]  # no types
    if not isinstance(head, nn.Module) or n_rows == 0:
        return None
    rows = np.arange(min(2, n_rows))
    try:
        alone, whole = (foretell(loaded, inputs(rows), each) for each in (head, None))
    except (RuntimeError, IndexError, TypeError):
        return None
    is_same = alone.shape == whole.shape and bool((alone - whole).abs().max() < SAME)
    return head if is_same else None
