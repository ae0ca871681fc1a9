"""The tokenizer of a checkpoint, checked against the model it comes with."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ml_core.errors import Code, UserError
from ml_core.load.checkpoint import Checkpoint

UNLIMITED = 1_000_000_000
"""Tokenizers without a limit of their own carry a huge number."""
DEFAULT_MAX_LENGTH = 512
BYTE_LEVEL = frozenset({"bloom", "deberta", "gpt2", "longformer", "modernbert", "roberta"})
"""Models whose tokenizers take the space before a word for a part of it."""


def load_tokenizer(
    checkpoint: Checkpoint, staged: Path, config: PreTrainedConfig, *, words: bool = False
) -> PreTrainedTokenizerBase:
    """The tokenizer of `checkpoint`, no larger than the vocabulary its config names.

    Args:
        words: whether it will be given single words; one that works on bytes must then put a space
            before each, the first included.

    Raises:
        UserError: `tokenizer_missing`, `tokenizer_invalid`, `tokenizer_mismatch`.
    """
    if not checkpoint.has_tokenizer:
        raise UserError(
            Code.TOKENIZER_MISSING,
            "The repository has no tokenizer (no tokenizer.json and no vocabulary). Save it "
            "beside the model with tokenizer.save_pretrained and upload it.",
        )
    settings = {"add_prefix_space": True} if words and config.model_type in BYTE_LEVEL else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            staged, config=config, trust_remote_code=False, local_files_only=True, **settings
        )
    except Exception as error:  # tokenizer classes raise anything on a stranger's files
        text = " ".join(str(error).split())[:500]
        raise UserError(
            Code.TOKENIZER_INVALID,
            f"The tokenizer does not load: {type(error).__name__}: {text}",
        ) from error
    check_vocabulary(len(tokenizer), config.get_text_config().to_dict().get("vocab_size"))
    return tokenizer


def check_vocabulary(n_tokens: int, n_embeddings: Any) -> None:
    """Raise `tokenizer_mismatch` where the tokenizer has tokens the model has no place for."""
    if isinstance(n_embeddings, int) and n_tokens > n_embeddings:
        raise UserError(
            Code.TOKENIZER_MISMATCH,
            f"The tokenizer has {n_tokens:,} tokens, the model embeddings for {n_embeddings:,}: "
            "they do not belong together. Upload the tokenizer the model was trained with.",
            n_tokens=n_tokens,
            n_embeddings=n_embeddings,
        )


def n_embeddings(model: PreTrainedModel) -> int | None:
    """Rows of the model's input embedding, None where it has no such table."""
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    weight = getattr(table, "weight", None)
    return int(weight.shape[0]) if isinstance(weight, torch.Tensor) else None


def longest_input(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, wanted: int | None
) -> int:
    """The most tokens a row may have: the least of what spec, tokenizer and positions allow.

    Where none of them says anything it is `DEFAULT_MAX_LENGTH`.
    """
    limits = [wanted, tokenizer.model_max_length, n_positions(model)]
    known = [int(limit) for limit in limits if limit is not None and 0 < limit < UNLIMITED]
    return min(known) if known else DEFAULT_MAX_LENGTH


def n_positions(model: PreTrainedModel) -> int | None:
    """Positions the model was made for.

    A table of learnt positions with a padding row starts behind that row (RoBERTa and its kin: 514
    rows hold 512 positions).
    """
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(limit, int):
        return None
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            padding = module.padding_idx
            return limit if padding is None else limit - padding - 1
    return limit
