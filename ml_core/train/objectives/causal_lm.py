"""Text generation: a decoder goes on learning, from plain texts or from answers to prompts.

A row is the prompt, if the data has one, and the text, which alone is learnt, and the token that
ends a text. Of a row that is too long the beginning of the prompt is left out, then the end of the
text.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedTokenizerBase

from ml_core.arrays import Ints
from ml_core.data.schema import Items
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.causal import default_budget
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared
from ml_core.evaluate.tokens import Encoded, TokenBatch, plain_ids
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings
from ml_core.train.objectives import Objective, Request
from ml_core.train.padding import settle_padding
from ml_core.train.token_losses import IGNORED, judge_by_loss, next_token_losses

PURPOSE = "text generation"


@dataclass(frozen=True)
class Dialogs:
    """Prompts with their answers as token ids; `n_learnt` tokens at a row's end are learnt."""

    batch: TokenBatch
    n_learnt: Ints
    n_cut: int

    @property
    def lengths(self) -> Ints:
        return self.batch.encoded.lengths

    def inputs(self, rows: Rows) -> Inputs:
        made = self.batch.tensors(rows)
        ids = made["input_ids"].numpy()
        slots = np.arange(ids.shape[1])
        ends = self.lengths[rows][:, None]
        is_learnt = (slots < ends) & (slots >= ends - self.n_learnt[rows][:, None])
        labels = np.where(is_learnt, ids, IGNORED)
        return made | {"labels": torch.from_numpy(labels)}


def prepare(request: Request) -> Objective:
    """Tokenizer, model, and every prompt with its answer as token ids."""
    spec = request.spec
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    notes = settle_padding(tokenizer, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        purpose=PURPOSE,
        max_parameters=spec.max_parameters,
        device=request.device,
        dtype=torch.float32,
    )
    max_length = longest_input(tokenizer, loaded.model, spec.engine.max_length)
    side = tokenizer.padding_side
    tokenizer.padding_side = "right"  # a row then begins at position 0 whatever it is padded with
    dialogs = read_dialogs(tokenizer, request.items, max_length)
    held = read_dialogs(tokenizer, request.validation, max_length)
    highest = max(int(d.batch.encoded.ids.max(initial=-1)) for d in (dialogs, held))
    check_vocabulary(highest + 1, n_embeddings(loaded.model))

    def save(folder: Path) -> None:
        tokenizer.padding_side = side
        tokenizer.save_pretrained(folder)
        tokenizer.padding_side = "right"

    def loss(model: nn.Module, made: Inputs) -> torch.Tensor:
        return next_token_losses(model, made).sum()

    def answer(model: LoadedModel) -> Prepared:
        return judge_by_loss(
            model,
            next_token_losses,
            lengths=np.maximum(held.lengths, 1),
            inputs=held.inputs,
            slots=held.batch.slots,
            units=held.n_learnt,
            max_length=max_length,
        )

    return Objective(
        loaded=loaded,
        classes=MODEL_FOR_CAUSAL_LM_MAPPING,
        purpose=PURPOSE,
        fresh=(),
        lengths=np.maximum(dialogs.lengths, 1),
        units=dialogs.n_learnt,
        inputs=lambda rows, _epoch: dialogs.inputs(rows),
        loss=loss,
        answer=answer,
        save=save,
        budget=default_budget(loaded),
        max_rows=None,
        max_length=max_length,
        n_truncated=dialogs.n_cut,
        notes=notes,
    )


def read_dialogs(tokenizer: PreTrainedTokenizerBase, items: Items, max_length: int) -> Dialogs:
    """Every row as token ids. Raises UserError `dataset_empty` where nothing can be learnt."""
    table = items.inputs
    answers = plain_ids(tokenizer, table.column("text").to_pylist()).ids
    prompts: list[list[int]] = [[] for _ in answers]
    if "prompt" in table.column_names:
        prompts = plain_ids(tokenizer, table.column("prompt").to_pylist()).ids
    first = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    last = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows, n_learnt, n_cut = [], [], 0
    for prompt, answer in zip(prompts, answers, strict=True):
        said = [*answer, *last]
        room = max(0, max_length - len(first) - len(said))
        before = [*first, *(prompt[-room:] if room else [])]
        row = [*before, *said][:max_length]
        n_cut += len(first) + len(prompt) + len(said) > max_length
        rows.append(row)
        # A row's very first token is foretold from nothing.
        n_learnt.append(len(row) - max(len(before), 1))
    learnt = np.maximum(np.array(n_learnt, dtype=np.int64), 0)
    if not learnt.any():
        raise UserError(Code.EMPTY_SPLIT, "No row of the data has a text to learn from.")
    return Dialogs(TokenBatch(Encoded.of(rows), tokenizer, tokenizer.pad_token_id), learnt, n_cut)
