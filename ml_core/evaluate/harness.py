"""Tasks of lm-evaluation-harness on our engine: an `LM` that its evaluator can be given.

    import lm_eval
    lm_eval.simple_evaluate(model=EngineLM(loaded, tokenizer), tasks=["my_task"], ...)

Prompts, filters and metrics are the harness's own, so scores compare with published ones. Its
YAML is code: it is taken from the installed package or written by the operator, and never read
from a contribution.
"""

from collections.abc import Sequence

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from transformers import PreTrainedTokenizerBase

from ml_core.errors import Code, UserError
from ml_core.evaluate.causal import first_token
from ml_core.evaluate.likelihoods import Likelihoods, compute, score_pairs
from ml_core.evaluate.pairs import highest, pairs_of
from ml_core.evaluate.prefixes import Pair
from ml_core.evaluate.tasks.perplexity import roll
from ml_core.load.model import LoadedModel
from ml_core.load.tokenizer import check_vocabulary, longest_input, n_embeddings


class EngineLM(LM):  # type: ignore[misc]  # the harness ships no types
    """A loaded causal language model behind the harness's interface.

    Args:
        max_length: bound on the tokens of a request; None leaves it to model and tokenizer.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = None,
    ) -> None:
        super().__init__()
        self.loaded = loaded
        self.tokenizer = tokenizer
        self.max_length = longest_input(tokenizer, loaded.model, max_length)
        self.notes: list[str] = []

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Of each (context, continuation) its log-likelihood, and whether each token of it is the
        likeliest. Raises UserError where some cannot be computed."""
        if not requests:
            return []
        pairs = pairs_of(self.tokenizer, [request.args for request in requests])
        found = self._likelihoods([pair.cut_to(self.max_length) for pair in pairs])
        return list(zip(_all(found), found.is_greedy, strict=True))

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Of each (text,) its log-likelihood, in windows. Raises UserError as above."""
        prefix = first_token(self.tokenizer)
        texts = [str(request.args[0]) for request in requests]
        ids = self.tokenizer(texts, verbose=False)["input_ids"] if texts else []
        windows = [
            (at, Pair(tuple(window[:-n]), tuple(window[-n:])))
            for at, row in enumerate(ids)
            for window, n in roll(row, prefix, self.max_length)
        ]
        if not windows:
            return [0.0] * len(texts)
        values = _all(self._likelihoods([pair for _, pair in windows]))
        sums = [0.0] * len(texts)
        for (at, _), value in zip(windows, values, strict=True):
            sums[at] += value
        return sums

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError("Tasks that generate text do not run on this engine yet.")

    def _likelihoods(self, pairs: Sequence[Pair]) -> Likelihoods:
        check_vocabulary(highest(pairs) + 1, n_embeddings(self.loaded.model))
        scoring = score_pairs(self.loaded, pairs)
        self.notes += scoring.notes
        return compute(scoring)


def _all(found: Likelihoods) -> list[float]:
    """Every value; the harness has no word for one that is missing."""
    values = [value for value in found.values if value is not None]
    if found.errors:
        cause = next(iter(found.errors.values()))
        raise UserError(
            Code.TOO_MANY_ITEM_ERRORS,
            f"{len(found.errors)} of {len(found.values)} requests gave no likelihood: {cause}.",
            n_failed=len(found.errors),
        )
    return values
