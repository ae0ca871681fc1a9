"""Masked words: an encoder goes on learning a language from plain texts.

The texts are packed end to end and cut into windows of full length. Of a window's tokens 15 % are
to be foretold, others in each epoch: 8 in 10 of them are masked, 1 in 10 is another token, 1 in 10
stays. The windows that judge are masked alike every time.

Source: Devlin et al., BERT, arXiv 1810.04805, section 3.1; Liu et al., RoBERTa, arXiv 1907.11692,
section 4.1, for other masks in each epoch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedTokenizerBase

from ml_core.arrays import Ints
from ml_core.data.schema import Items
from ml_core.errors import Code, UserError
from ml_core.evaluate.batching import Rows
from ml_core.evaluate.causal import default_budget
from ml_core.evaluate.engine import Inputs
from ml_core.evaluate.job import Prepared
from ml_core.evaluate.tokens import Encoded, TokenBatch, frame_of, plain_ids
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings
from ml_core.train.objectives import Objective, Request
from ml_core.train.padding import settle_padding
from ml_core.train.token_losses import IGNORED, judge_by_loss, token_losses

PURPOSE = "masked language modelling"
SHARE = 0.15
MASKED, SWAPPED = 0.8, 0.1
JUDGING = 1 << 31
"""Stands for an epoch where masks are drawn for rows that judge."""


@dataclass(frozen=True)
class Windows:
    """Packed texts. `n_frame` tokens before and behind each window are never masked."""

    batch: TokenBatch
    n_frame: tuple[int, int]
    mask_id: int
    n_tokens: int
    seed: int

    @property
    def lengths(self) -> Ints:
        return self.batch.encoded.lengths

    @property
    def units(self) -> Ints:
        """Tokens of each window that are to be foretold."""
        inner = self.lengths - sum(self.n_frame)
        units: Ints = np.maximum(np.rint(SHARE * inner), 1).astype(np.int64)
        return units

    def inputs(self, rows: Rows, epoch: int) -> Inputs:
        made = self.batch.tensors(rows)
        ids = made["input_ids"].numpy()
        labels = np.full_like(ids, IGNORED)
        n_wanted = self.units[rows]
        for at, row in enumerate(rows):
            rng = np.random.default_rng((self.seed, epoch, int(row)))
            length = int(self.lengths[row])
            start = ids.shape[1] - length if self.batch.pads_left else 0
            inner = length - sum(self.n_frame)
            places = start + self.n_frame[0] + rng.choice(inner, n_wanted[at], replace=False)
            labels[at, places] = ids[at, places]
            chance = rng.random(len(places))
            others = rng.integers(0, self.n_tokens, len(places))
            ids[at, places] = np.where(
                chance < MASKED,
                self.mask_id,
                np.where(chance < MASKED + SWAPPED, others, ids[at, places]),
            )
        return made | {"labels": torch.from_numpy(labels)}


def prepare(request: Request) -> Objective:
    """Tokenizer, model, and the texts as windows."""
    spec = request.spec
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    notes = settle_padding(tokenizer, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_MASKED_LM_MAPPING,
        purpose=PURPOSE,
        max_parameters=spec.max_parameters,
        device=request.device,
        dtype=torch.float32,
    )
    max_length = longest_input(tokenizer, loaded.model, spec.engine.max_length)
    windows = pack(tokenizer, request.items, max_length, spec.engine.seed)
    held = pack(tokenizer, request.validation, max_length, spec.engine.seed)
    highest = max(int(w.batch.encoded.ids.max()) for w in (windows, held))
    check_vocabulary(max(highest, windows.mask_id) + 1, n_embeddings(loaded.model))

    def save(folder: Path) -> None:
        tokenizer.save_pretrained(folder)

    def loss(model: nn.Module, made: Inputs) -> torch.Tensor:
        return token_losses(model, made).sum()

    def answer(model: LoadedModel) -> Prepared:
        return judge_by_loss(
            model,
            token_losses,
            lengths=held.lengths,
            inputs=lambda rows: held.inputs(rows, JUDGING),
            slots=held.batch.slots,
            units=held.units,
            max_length=max_length,
        )

    return Objective(
        loaded=loaded,
        classes=MODEL_FOR_MASKED_LM_MAPPING,
        purpose=PURPOSE,
        fresh=(),
        lengths=windows.lengths,
        units=windows.units,
        inputs=windows.inputs,
        loss=loss,
        answer=answer,
        save=save,
        budget=default_budget(loaded),
        max_rows=None,
        max_length=max_length,
        n_truncated=0,
        notes=notes,
    )


def pack(tokenizer: PreTrainedTokenizerBase, items: Items, max_length: int, seed: int) -> Windows:
    """The texts end to end, in windows.

    Raises:
        UserError: `tokenizer_invalid` without a mask token, `dataset_empty` without a token.
    """
    mask_id = tokenizer.mask_token_id
    if mask_id is None:
        raise UserError(
            Code.TOKENIZER_INVALID, "The tokenizer has no mask token, which this recipe needs."
        )
    before, behind = frame_of(tokenizer)
    between = behind[:1]
    stream: list[int] = []
    for ids in plain_ids(tokenizer, items.inputs.column("text").to_pylist()).ids:
        if ids:
            stream += [*between, *ids] if stream else ids
    if not stream:
        raise UserError(Code.EMPTY_SPLIT, "The texts have no word to learn from.")
    size = max(1, max_length - len(before) - len(behind))
    rows = [[*before, *stream[at : at + size], *behind] for at in range(0, len(stream), size)]
    batch = TokenBatch(Encoded.of(rows), tokenizer, tokenizer.pad_token_id)
    return Windows(batch, (len(before), len(behind)), mask_id, len(tokenizer), seed)
