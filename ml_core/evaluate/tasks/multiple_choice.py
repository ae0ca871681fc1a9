"""Multiple choice: the likelihood of each answer after the question, by a causal language model.

The question and an answer are joined by a space and tokenised as one; the answer's tokens are those
behind the question's own. Every pair is a row. Rows that share a question read it again: a tree
over shared prefixes takes the place of `Continuations` and `score_tokens`, and of nothing else.

Source: lm-evaluation-harness 0.4.13, `loglikelihood` with a target delimiter of one space.
"""

import numpy as np
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedTokenizerBase

from ml_core.answers.kind import Collected
from ml_core.data.roles import CHOICES_ROLE
from ml_core.evaluate.causal import Continuations, default_budget, first_token, score_tokens
from ml_core.evaluate.engine import Outputs
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.tokens import frame_of, plain_ids
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import check_vocabulary, load_tokenizer, longest_input, n_embeddings

DELIMITER = " "


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
    limit = request.spec.engine.max_length
    return prepare_questions(tokenizer, loaded, questions, choices, max_length=limit)


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
    flat = [answer for row in choices for answer in row]
    pairs = pair_ids(tokenizer, [questions[at] for at in owners], flat)
    rows = [whole[-(max_length + 1) :] for whole, _ in pairs]
    n_scored = [min(n, len(row) - 1) for row, (_, n) in zip(rows, pairs, strict=True)]
    check_vocabulary(max(max(row) for row in rows) + 1, n_embeddings(loaded.model))
    tokens = Continuations.of(rows, n_scored)
    was_cut = [len(whole) > max_length + 1 for whole, _ in pairs]
    truncated = np.bincount(owners, weights=was_cut, minlength=len(questions)) > 0
    return Prepared(
        inputs=tokens.tensors,
        forward=score_tokens(loaded),
        slots=tokens.slots,
        lengths=tokens.lengths,
        truncated=truncated,
        default_budget=default_budget(loaded),
        max_rows=None,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        collect=lambda outputs: by_question(outputs, owners.tolist(), truncated),
    )


def pair_ids(
    tokenizer: PreTrainedTokenizerBase, questions: list[str], answers: list[str]
) -> list[tuple[list[int], int]]:
    """Tokens of question and answer together, and how many of them are the answer's.

    White space at the end of a question belongs to its answer. A question without tokens is
    replaced by what begins a text.
    """
    bare = [question.rstrip() for question in questions]
    joined = [q + DELIMITER + a for q, a in zip(questions, answers, strict=True)]
    contexts, wholes = plain_ids(tokenizer, bare).ids, plain_ids(tokenizer, joined).ids
    keep, _ = frame_of(tokenizer)
    pairs = []
    for context, whole in zip(contexts, wholes, strict=True):
        front = keep if context or keep else [first_token(tokenizer)]
        pairs.append(([*front, *whole], max(1, len(whole) - len(context))))
    return pairs


def by_question(
    outputs: Outputs, owners: list[int], truncated: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Collected:
    """Log likelihoods of each question's answers; an answer that failed fails its question."""
    values: list[list[float] | None] = [[] for _ in truncated]
    errors: dict[int, str] = {}
    for row, item in enumerate(owners):
        found = outputs.rows[row]
        mine = values[item]
        if found is None:
            errors.setdefault(item, outputs.errors[row])
            values[item] = None
        elif mine is not None:
            mine.append(min(0.0, float(found.astype(np.float64).sum())))
    return Collected(values, errors, truncated)
