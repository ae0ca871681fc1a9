"""Tasks of lm-evaluation-harness on our engine: an `LM` that its evaluator can be given.

    import lm_eval
    lm_eval.simple_evaluate(model=EngineLM(loaded, tokenizer), tasks=["my_task"], ...)

Prompts, filters and metrics are the harness's own, so scores compare with published ones. Its
YAML is code: it is taken from the installed package or written by the operator, and never read
from a contribution.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from transformers import PreTrainedTokenizerBase

from ml_core.device import exact_arithmetic
from ml_core.errors import Code, UserError
from ml_core.evaluate.causal import first_token
from ml_core.evaluate.decoding import Ending
from ml_core.evaluate.engine import run_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.evaluate.likelihoods import Likelihoods, compute, score_pairs
from ml_core.evaluate.pairs import highest, pairs_of
from ml_core.evaluate.prefixes import Pair
from ml_core.evaluate.prompts import decoder_prompts
from ml_core.evaluate.tasks.generated_text import Writer, draws_of, prepare_prompts
from ml_core.evaluate.tasks.perplexity import roll
from ml_core.generation import GenerationSpec
from ml_core.load.model import LoadedModel
from ml_core.load.tokenizer import check_vocabulary, longest_input, n_embeddings

MAX_NEW_TOKENS = 256
"""Where a task does not say how many, as the harness has it."""
KNOWN_SETTINGS = frozenset({"until", "max_gen_toks", "do_sample", "temperature", "top_p"})


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
        """A text behind each (context, settings), before the first of its stop strings.

        Raises:
            UserError: a setting that this engine has not, or a text that cannot be generated.
        """
        by_settings: dict[GenerationSpec, list[int]] = {}
        for at, request in enumerate(requests):
            by_settings.setdefault(settings_of(request.args[1]), []).append(at)
        texts = [""] * len(requests)
        for settings, places in by_settings.items():
            contexts = [str(requests[at].args[0]) for at in places]
            for at, text in zip(places, self._generate(contexts, settings), strict=True):
                texts[at] = text
        return texts

    def _generate(self, contexts: list[str], settings: GenerationSpec) -> list[str]:
        end = self.tokenizer.eos_token_id
        ends = frozenset() if end is None else frozenset([int(end)])
        room = self.max_length - settings.max_new_tokens
        if room < 1:
            raise UserError(
                Code.UNSUPPORTED_MODEL,
                f"The task asks for up to {settings.max_new_tokens} new tokens, and the model has "
                f"{self.max_length} places for prompt and answer together.",
            )
        prompts = decoder_prompts(self.tokenizer, contexts, room=room, as_chat=False)
        highest_id = max(max(ids) for ids in prompts.ids)
        check_vocabulary(highest_id + 1, n_embeddings(self.loaded.model))
        draws = draws_of(settings, 0, tuple(map(str, range(len(contexts)))))
        writer = Writer(self.loaded, self.tokenizer, Ending(ends), None)
        prepared = prepare_prompts(writer, settings, prompts, draws=draws)
        with exact_arithmetic():
            outputs = run_batches(
                prepared.planned(None),
                inputs=prepared.inputs,
                forward=prepared.forward,
                n_rows=len(prepared.lengths),
                slots=prepared.slots,
                reporter=Reporter(ignore),
            )
        collected = prepared.collected(outputs)
        if collected.errors:
            raise _failed(collected.errors, len(contexts), "text")
        return [written.text for written in collected.values]

    def _likelihoods(self, pairs: Sequence[Pair]) -> Likelihoods:
        check_vocabulary(highest(pairs) + 1, n_embeddings(self.loaded.model))
        scoring = score_pairs(self.loaded, pairs)
        self.notes += scoring.notes
        return compute(scoring)


def _all(found: Likelihoods) -> list[float]:
    """Every value; the harness has no word for one that is missing."""
    values = [value for value in found.values if value is not None]
    if found.errors:
        raise _failed(found.errors, len(found.values), "likelihood")
    return values


def _failed(errors: Mapping[int, str], n_requests: int, what: str) -> UserError:
    cause = next(iter(errors.values()))
    return UserError(
        Code.TOO_MANY_ITEM_ERRORS,
        f"{len(errors)} of {n_requests} requests gave no {what}: {cause}.",
        n_failed=len(errors),
    )


def settings_of(given: Mapping[str, Any]) -> GenerationSpec:
    """The harness's generation settings as ours.

    Raises:
        UserError: `spec_invalid` where one has no counterpart.
    """
    strange = sorted(set(given) - KNOWN_SETTINGS)
    if strange:
        raise UserError(Code.SPEC_INVALID, f"This engine has no generation setting {strange[0]!r}.")
    until = given.get("until") or []
    samples = bool(given.get("do_sample", given.get("temperature", 0) > 0))
    return GenerationSpec(
        max_new_tokens=int(given.get("max_gen_toks", MAX_NEW_TOKENS)),
        stop=tuple([until] if isinstance(until, str) else until),
        temperature=float(given.get("temperature", 1.0)) if samples else 0.0,
        top_p=float(given.get("top_p", 1.0)) if samples else 1.0,
    )
