"""Multiple choice: the likelihood of each answer after the question, by a causal language model.

The question and an answer are joined by a space and tokenised as one; the answer's tokens are those
behind the question's own. What questions share is read once, where the model lets it be.

Source: lm-evaluation-harness 0.4.13, `loglikelihood` with a target delimiter of one space.
"""

import numpy as np
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedTokenizerBase

from ml_core.answers.kind import Collected
from ml_core.asking import DELIMITER, answers_to, put
from ml_core.data.roles import CHOICES_ROLE
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.likelihoods import Likelihoods, score_pairs
from ml_core.evaluate.pairs import highest, pairs_of
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings


def prepare(request: Request) -> Prepared:
    """Tokenizer, model, and a row for each answer, each checked before the first forward pass."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        purpose="text generation",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    questions = request.items.inputs.column("question").to_pylist()
    choices = request.items.inputs.column(CHOICES_ROLE).to_pylist()
    spec = request.spec
    asked = [
        put(spec.asking, question, row, spec.examples)
        for question, row in zip(questions, choices, strict=True)
    ]
    answers = [answers_to(spec.asking, row) for row in choices]
    return prepare_questions(tokenizer, loaded, asked, answers, max_length=spec.engine.max_length)


def prepare_questions(
    tokenizer: PreTrainedTokenizerBase,
    loaded: LoadedModel,
    questions: list[str],
    choices: list[list[str]],
    *,
    max_length: int | None = None,
) -> Prepared:
    """A row for each answer to each question, and the forward pass over any of them."""
    max_length = longest_input(tokenizer, loaded.model, max_length)
    owners = np.repeat(np.arange(len(questions)), [len(row) for row in choices])
    asked = [
        (questions[at], DELIMITER + answer) for at, row in enumerate(choices) for answer in row
    ]
    pairs = pairs_of(tokenizer, asked)
    check_vocabulary(highest(pairs) + 1, n_embeddings(loaded.model))
    was_cut = [len(p.context) + len(p.continuation) > max_length + 1 for p in pairs]
    truncated = np.bincount(owners, weights=was_cut, minlength=len(questions)) > 0
    scoring = score_pairs(loaded, [pair.cut_to(max_length) for pair in pairs])
    return Prepared(
        inputs=scoring.inputs,
        forward=scoring.forward,
        slots=scoring.slots,
        lengths=scoring.lengths,
        truncated=truncated,
        default_budget=scoring.default_budget,
        max_rows=None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        notes=scoring.notes,
        path=scoring.path,
        plan=scoring.plan,
        collect=lambda outputs: by_question(scoring.collect(outputs), owners.tolist(), truncated),
    )


def by_question(
    found: Likelihoods, owners: list[int], truncated: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Collected:
    """Log likelihoods of each question's answers; an answer that failed fails its question."""
    values: list[list[float] | None] = [[] for _ in truncated]
    errors: dict[int, str] = {}
    for pair, item in enumerate(owners):
        value, mine = found.values[pair], values[item]
        if value is None:
            errors.setdefault(item, found.errors[pair])
            values[item] = None
        elif mine is not None:
            mine.append(value)
    return Collected(values, errors, truncated)
