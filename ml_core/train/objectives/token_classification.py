"""Token classification: a new head on a base, a tag for each word, learnt at its first sub-word."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING

from ml_core.answers.tags import TagTruth
from ml_core.data.roles import WORDS_ROLE
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.tasks.token_classification import Windows, cut, prepare_texts
from ml_core.evaluate.tokens import BUDGETS, TokenBatch
from ml_core.load.heads import load_with_head, name_labels
from ml_core.load.model import build_config
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings
from ml_core.train.objectives import Objective, Request
from ml_core.train.padding import settle_padding

PURPOSE = "token classification"
IGNORED = -100


def prepare(request: Request) -> Objective:
    """Tokenizer, model with a new head, and every text as windows with their tags."""
    spec = request.spec
    config = build_config(request.checkpoint.config)
    keep_head = name_labels(config, request.labels)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config, words=True)
    if not tokenizer.is_fast:
        raise UserError(
            Code.TOKENIZER_INVALID,
            "The tokenizer does not tell which token belongs to which word. Save it as a fast "
            "tokenizer (tokenizer.json) and upload it again.",
        )
    notes = settle_padding(tokenizer, config)
    headed = load_with_head(
        request.staged,
        config,
        MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
        purpose=PURPOSE,
        max_parameters=spec.max_parameters,
        device=request.device,
        keep_head=keep_head,
    )
    model = headed.loaded.model
    max_length = longest_input(tokenizer, model, spec.engine.max_length)
    texts = request.items.inputs.column(WORDS_ROLE).to_pylist()
    windows = cut(tokenizer, texts, max_length=max_length)
    check_vocabulary(int(windows.encoded.ids.max(initial=-1)) + 1, n_embeddings(model))
    batch = TokenBatch(windows.encoded, tokenizer, tokenizer.pad_token_id or 0)
    lengths = windows.encoded.lengths

    def save(folder: Path) -> None:
        tokenizer.save_pretrained(folder)

    return Objective(
        loaded=headed.loaded,
        classes=MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
        purpose=PURPOSE,
        fresh=headed.fresh,
        lengths=np.maximum(lengths, 1),
        units=np.diff(windows.starts),
        inputs=lambda rows, _epoch: tagged_inputs(batch, windows, request.truth, rows),
        loss=tag_loss,
        answer=lambda loaded: prepare_texts(
            tokenizer,
            loaded,
            request.validation.inputs.column(WORDS_ROLE).to_pylist(),
            max_length=max_length,
        ),
        save=save,
        budget=BUDGETS[request.device.type],
        max_rows=None,
        max_length=max_length,
        n_truncated=int((np.bincount(windows.item, minlength=len(texts)) > 1).sum()),
        notes=notes,
    )


def tagged_inputs(batch: TokenBatch, windows: Windows, truth: TagTruth, rows: Rows) -> Inputs:
    """Windows with the tag of each word at its first token."""
    made = batch.tensors(rows)
    labels = np.full(tuple(made["input_ids"].shape), IGNORED, dtype=np.int64)
    for at, row in enumerate(rows):
        span = slice(windows.starts[row], windows.starts[row + 1])
        before = labels.shape[1] - windows.encoded.lengths[row] if batch.pads_left else 0
        tags = truth.tags[windows.item[row]]
        labels[at, before + windows.heads[span]] = tags[windows.words[span]]
    return made | {"labels": torch.from_numpy(labels)}


def tag_loss(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    """Cross-entropy of the words' first tokens, summed over all of them."""
    given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    logits: torch.Tensor = model(**given).logits  # (rows, width, tags)
    return functional.cross_entropy(
        logits.float().flatten(0, 1),
        inputs["labels"].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
