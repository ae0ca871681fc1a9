"""A token to pad with, for models whose tokenizer has none."""

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ml_core.errors import Code, UserError


def settle_padding(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> tuple[str, ...]:
    """Give tokenizer and config one padding token; what was changed, in words for the record.

    The new model is saved with both, so that whoever loads it pads alike.

    Raises:
        UserError: `tokenizer_invalid` where there is no token to pad with.
    """
    inner = config.get_text_config()
    notes: tuple[str, ...] = ()
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise UserError(
                Code.TOKENIZER_INVALID,
                "The tokenizer has neither a padding token nor one that ends a text, so rows of "
                "different lengths cannot be trained together. Set one of them.",
            )
        tokenizer.pad_token = tokenizer.eos_token
        notes = ("the tokenizer had no padding token: it pads with the token that ends a text",)
    inner.pad_token_id = tokenizer.pad_token_id
    return notes
