"""Contexts and continuations as token ids, as lm-evaluation-harness cuts them."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from ml_core.evaluate.causal import first_token
from ml_core.evaluate.prefixes import Pair
from ml_core.evaluate.tokens import frame_of, plain_ids


def pairs_of(tokenizer: PreTrainedTokenizerBase, asked: Sequence[tuple[str, str]]) -> list[Pair]:
    """Tokens of each context, and of its continuation: those behind as many as the context has
    when both are tokenised as one.

    White space at the end of a context belongs to its continuation. A context without tokens is
    replaced by what begins a text. Each text is tokenised once, however often it is asked for.

    Source: lm-evaluation-harness 0.4.13, `_encode_pair`. It differs where a tokenizer puts tokens
    behind a text, which are left out here.
    """
    bare = [context.rstrip() for context, _ in asked]
    joined = [context + continuation for context, continuation in asked]
    ids = ids_of(tokenizer, [*bare, *joined])
    front, _ = frame_of(tokenizer)
    start = tuple(front) or (first_token(tokenizer),)
    pairs = []
    for context_text, whole_text in zip(bare, joined, strict=True):
        context, whole = ids[context_text], ids[whole_text]
        n_known = min(len(context), len(whole) - 1)
        before = (*front, *context[:n_known]) if front or n_known else start
        pairs.append(Pair(before, whole[n_known:]))
    return pairs


def ids_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Token ids by text, without tokens of the tokenizer's own."""
    distinct = list(dict.fromkeys(texts))
    rows = plain_ids(tokenizer, distinct).ids
    return {text: tuple(ids) for text, ids in zip(distinct, rows, strict=True)}


def highest(pairs: Sequence[Pair]) -> int:
    """The highest token id."""
    return max(max(*pair.context, *pair.continuation) for pair in pairs)
