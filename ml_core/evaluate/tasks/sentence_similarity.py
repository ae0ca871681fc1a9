"""Sentence similarity: the cosine of two sentences' embeddings.

Each different sentence is embedded once. How an embedding is made of its tokens is what the
checkpoint says in `1_Pooling/config.json`, as the sentence-transformers library writes it; where it
says nothing it is their mean.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import MODEL_MAPPING, PreTrainedTokenizerBase

from ml_core.answers.kind import Collected
from ml_core.errors import Code, UserError
from ml_core.evaluate.engine import Inputs, Outputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tokens import BUDGETS, TokenBatch, encode, padding_token
from ml_core.evaluate.transfer import send
from ml_core.load.checkpoint import Checkpoint
from ml_core.load.config import read_json
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings

POOLING_FILE = "1_Pooling/config.json"
HEADS = ("pooler.", "cls.", "lm_head.", "vocab_", "classifier.", "score.", "qa_outputs.")
"""Weights that stand on top of what is embedded here, or are missing there: neither matters."""

Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and every sentence, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    name = pooling_of(request.checkpoint)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_MAPPING,
        purpose="sentence embeddings",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
        heads=HEADS,
    )
    table = request.items.inputs
    first, second = (table.column(role).to_pylist() for role in ("sentence1", "sentence2"))
    limit = request.spec.engine.max_length
    return prepare_pairs(tokenizer, loaded, first, second, pooling=name, max_length=limit)


def prepare_pairs(
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    first: list[str],
    second: list[str],
    *,
    pooling: str = "mean",
    max_length: int | None = None,
) -> Prepared:
    """Every different sentence as a row, and the forward pass over any of them."""
    max_length = longest_input(tokenizer, loaded.model, max_length)
    sentences = list(dict.fromkeys([*first, *second]))
    places = {sentence: at for at, sentence in enumerate(sentences)}
    pairs = np.array([[places[a], places[b]] for a, b in zip(first, second, strict=True)])
    encoded = encode(tokenizer, sentences, None, max_length=max_length)
    check_vocabulary(int(encoded.ids.max(initial=-1)) + 1, n_embeddings(loaded.model))
    pad_id = padding_token(tokenizer, loaded)
    batch = TokenBatch(encoded, tokenizer, pad_id or 0)
    device, pool = loaded.model.device, POOLINGS[pooling]

    def forward(inputs: Inputs) -> torch.Tensor:
        sent = {name: send(tensor, device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            states: torch.Tensor = loaded.model(**sent).last_hidden_state
            pooled = pool(states.float(), sent["attention_mask"])  # (rows, width)
            return torch.nn.functional.normalize(pooled, dim=1)

    truncated = encoded.truncated[pairs].any(axis=1)
    return Prepared(
        inputs=batch.tensors,
        forward=forward,
        slots=batch.slots,
        lengths=np.maximum(encoded.lengths, 1),
        truncated=truncated,
        default_budget=BUDGETS[device.type],
        max_rows=1 if pad_id is None else None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=(f"pooling: {pooling}",),
        collect=lambda outputs: by_pair(outputs, pairs, truncated),
    )


def by_pair(outputs: Outputs, pairs: NDArray[np.int64], truncated: NDArray[np.bool_]) -> Collected:
    """The cosine of each pair; a sentence that failed fails its pairs."""
    values: list[float | None] = []
    errors: dict[int, str] = {}
    for at, (first, second) in enumerate(pairs.tolist()):
        a, b = outputs.rows[first], outputs.rows[second]
        if a is None or b is None:
            errors[at] = outputs.errors.get(first) or outputs.errors[second]
            values.append(None)
        else:
            values.append(float(a.astype(np.float64) @ b.astype(np.float64)))
    return Collected(values, errors, truncated)


def pooling_of(checkpoint: Checkpoint) -> str:
    """The pooling that the checkpoint names, `mean` where it names none.

    Raises:
        UserError: `config_invalid`, or `unsupported_model` for one that is not known here.
    """
    path = checkpoint.folder / POOLING_FILE
    if not path.is_file():
        return "mean"
    values = read_json(path, Code.CONFIG_INVALID)
    named = values.get("pooling_mode")
    chosen = [str(named)] if named else []
    chosen += [key for key, name in OLD_KEYS.items() if values.get(key) is True]
    known = [OLD_KEYS.get(key, key) for key in chosen]
    others = [key for key, on in values.items() if key.startswith("pooling_mode_") and on is True]
    if len(known) != 1 or known[0] not in POOLINGS or set(others) - set(OLD_KEYS):
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"The pooling in {POOLING_FILE} is not supported here; it can be one of "
            f"{', '.join(POOLINGS)}.",
        )
    return known[0]


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def _first(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    places = mask.argmax(dim=1)
    return states[torch.arange(len(states), device=states.device), places]


def _last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    slots = torch.arange(mask.shape[1], device=mask.device)
    places = (mask * slots).argmax(dim=1)
    return states[torch.arange(len(states), device=states.device), places]


def _max(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states.masked_fill(mask[:, :, None] == 0, float("-inf")).amax(dim=1)


POOLINGS: dict[str, Pool] = {"mean": _mean, "cls": _first, "lasttoken": _last, "max": _max}
OLD_KEYS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
}
