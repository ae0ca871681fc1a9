"""Text classification: one label out of several for a text, or for a pair of texts."""

import numpy as np
import torch
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedTokenizerBase

from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tokens import BUDGETS, TokenBatch, encode, padding_token
from ml_core.evaluate.transfer import send
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings


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
    batch = TokenBatch(encoded, tokenizer, pad_id or 0)
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


def _texts(request: Request) -> tuple[list[str], list[str] | None]:
    table = request.items.inputs
    pairs = table.column("text_pair").to_pylist() if "text_pair" in table.column_names else None
    return table.column("text").to_pylist(), pairs
