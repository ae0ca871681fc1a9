"""Text classification: a new head on a base, one label out of several for a text or a pair."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from ml_core.data.schema import Items
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.tasks.text_classification import prepare_rows
from ml_core.evaluate.tokens import BUDGETS, TokenBatch, encode
from ml_core.load.heads import load_with_head, name_labels
from ml_core.load.model import build_config
from ml_core.load.tokenizer import (
    check_vocabulary,
    load_tokenizer,
    longest_input,
    n_embeddings,
)
from ml_core.train.objectives import Objective, Request
from ml_core.train.padding import settle_padding

PURPOSE = "text classification"


def prepare(request: Request) -> Objective:
    """Tokenizer, model with a new head, and every text as token ids."""
    spec = request.spec
    config = build_config(request.checkpoint.config)
    keep_head = name_labels(config, request.labels)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    notes = settle_padding(tokenizer, config)
    headed = load_with_head(
        request.staged,
        config,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        purpose=PURPOSE,
        max_parameters=spec.max_parameters,
        device=request.device,
        keep_head=keep_head,
    )
    model = headed.loaded.model
    max_length = longest_input(tokenizer, model, spec.engine.max_length)
    encoded = encode(tokenizer, *texts_of(request.items), max_length=max_length)
    check_vocabulary(int(encoded.ids.max(initial=-1)) + 1, n_embeddings(model))
    batch = TokenBatch(encoded, tokenizer, tokenizer.pad_token_id or 0)
    labels = torch.from_numpy(np.asarray(request.truth.label_index))

    def inputs(rows: Rows, _epoch: int) -> Inputs:
        return batch.tensors(rows) | {"labels": labels[torch.from_numpy(rows)]}

    def save(folder: Path) -> None:
        tokenizer.save_pretrained(folder)

    return Objective(
        loaded=headed.loaded,
        classes=MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        purpose=PURPOSE,
        fresh=headed.fresh,
        lengths=np.maximum(encoded.lengths, 1),
        units=np.ones(len(request.items), dtype=np.int64),
        inputs=inputs,
        loss=label_loss,
        answer=lambda loaded: prepare_rows(
            tokenizer, loaded, *texts_of(request.validation), max_length=max_length
        ),
        save=save,
        budget=BUDGETS[request.device.type],
        max_rows=None,
        max_length=max_length,
        n_truncated=int(encoded.truncated.sum()),
        notes=notes,
    )


def label_loss(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """Cross-entropy of `labels`, summed over the rows."""
    given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    logits: torch.Tensor = model(**given).logits
    return functional.cross_entropy(logits.float(), inputs["labels"], reduction="sum")


def texts_of(items: Items) -> tuple[list[str], list[str] | None]:
    """Texts and their pairs, None where there are none."""
    table = items.inputs
    pairs = table.column("text_pair").to_pylist() if "text_pair" in table.column_names else None
    return table.column("text").to_pylist(), pairs
