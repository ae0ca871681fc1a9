"""Likelihoods by the prefix tree against every pair read whole, and the models it does not fit."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ml_core.evaluate.likelihoods import compute, score_pairs
from ml_core.evaluate.prefixes import Pair
from ml_core.load.model import LoadedModel

VOCABULARY = 97
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "max_position_embeddings": 200,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 200,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
GEMMA2 = SIZES | {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0}
LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 4,
    "long_factor": [8.0] * 4,
    "original_max_position_embeddings": 40,
}
MODELS = [
    ("gpt2", GPT2, "tree"),
    ("llama", SIZES, "tree"),
    ("qwen2", SIZES, "tree"),
    ("gemma", SIZES | {"head_dim": 8}, "tree"),
    ("gemma2", GEMMA2 | {"sliding_window": 4096}, "tree"),
    ("granite", SIZES | {"logits_scaling": 3.0}, "tree"),
    # A window that the job reaches beyond: the model's own mask is needed.
    ("gemma2", GEMMA2 | {"sliding_window": 16}, "kv"),
    ("mistral", SIZES | {"sliding_window": 16}, "kv"),
    # Positions told by the place in the row.
    ("bloom", {"vocab_size": VOCABULARY, "hidden_size": 16, "n_layer": 2, "n_head": 2}, "kv"),
    # States that are no keys and values, and angles that change with the length.
    ("mamba", {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2}, "plain"),
    (
        "lfm2",
        SIZES | {"layer_types": ["conv", "full_attention"], "block_ff_dim": 32},
        "plain",
    ),
    (
        "phi3",
        SIZES | {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 40},
        "plain",
    ),
]


def load(name, settings, dtype=torch.float32):
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **settings)
    return LoadedModel(AutoModelForCausalLM.from_config(config, dtype=dtype).eval(), 0, None)


def pairs_of_two_subjects():
    """Six questions on each of two beginnings of 60 tokens, with four answers of 1 to 7 tokens."""
    rng = np.random.default_rng(0)
    some = lambda n: tuple(rng.integers(1, VOCABULARY, n).tolist())  # noqa: E731
    pairs = []
    for _ in range(2):
        shots = some(60)
        for _ in range(6):
            context = (*shots, *some(rng.integers(5, 20)))
            pairs += [Pair(context, some(rng.integers(1, 8))) for _ in range(4)]
    return pairs


@pytest.fixture(autouse=True)
def every_saving_counts(monkeypatch):
    """A budget of a toy's size, so that 60 tokens are worth a forward pass of their own."""
    monkeypatch.setattr("ml_core.evaluate.likelihoods.WORTH", 64)


@pytest.mark.parametrize(("name", "sizes", "path"), MODELS)
def test_each_likelihood_equals_that_of_the_pair_read_whole(name, sizes, path):
    loaded, pairs = load(name, sizes), pairs_of_two_subjects()
    scoring = score_pairs(loaded, pairs)
    assert scoring.path == path, scoring.notes
    found = compute(scoring)
    expected = [whole(loaded.model, pair) for pair in pairs]
    assert found.values == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert found.is_greedy == [greedy for _, greedy in expected]
    assert found.errors == {}
    assert len({round(value, 3) for value in found.values}) > 40


def whole(model, pair):
    """Log-likelihood and greediness by transformers alone, without cache or mask."""
    ids = torch.tensor([*pair.context, *pair.continuation])
    with torch.inference_mode():
        logits = model(ids[None, :-1], use_cache=False).logits[0].double()
    n = len(pair.continuation)
    scored, targets = logits.log_softmax(-1)[-n:], ids[-n:]
    value = scored.gather(1, targets[:, None]).sum().item()
    return value, bool((scored.argmax(-1) == targets).all())


def test_the_tree_computes_a_fraction_of_the_positions():
    """3,674 tokens are read; two beginnings of 60 and each question and answer once are 428."""
    loaded, pairs = load("gpt2", GPT2), pairs_of_two_subjects()
    scoring = score_pairs(loaded, pairs)
    read = sum(len(pair.context) + len(pair.continuation) - 1 for pair in pairs)
    contexts = {pair.context for pair in pairs}
    own = sum(len(context) - 60 for context in contexts)
    answers = {(pair.context, pair.continuation[:-1]) for pair in pairs}
    computed = 2 * 60 + own + sum(len(answer) for _, answer in answers)
    assert scoring.notes[-1] == f"{read:,} tokens to read, {computed:,} computed"
    assert scoring.plan(2048).useful_slots == computed


def test_a_small_budget_changes_no_answer_and_keeps_its_bound():
    loaded, pairs = load("llama", SIZES), pairs_of_two_subjects()
    scoring = score_pairs(loaded, pairs)
    assert all(scoring.slots(rows) <= 60 + 60 for rows in scoring.plan(60).batches)
    large, small = compute(scoring), compute(scoring, token_budget=60)
    assert small.values == pytest.approx(large.values, abs=1e-5)


def test_a_batch_without_memory_is_halved_in_the_tree_too():
    loaded, pairs = load("llama", SIZES), pairs_of_two_subjects()
    expected = compute(score_pairs(loaded, pairs)).values
    scoring = score_pairs(loaded, pairs, path="tree")
    forward = scoring.forward

    def with_room_for_two(batch):
        if len(batch.n_scored) > 2:
            raise torch.OutOfMemoryError
        return forward(batch)

    object.__setattr__(scoring, "forward", with_room_for_two)
    assert compute(scoring).values == pytest.approx(expected, abs=1e-5)


def test_equal_pairs_are_computed_once():
    loaded, pairs = load("gpt2", GPT2), pairs_of_two_subjects()
    once, thrice = score_pairs(loaded, pairs), score_pairs(loaded, pairs * 3)
    assert len(thrice.lengths) == len(once.lengths) == 12
    assert compute(thrice).values == compute(once).values * 3


def test_nothing_shared_is_read_plainly_and_needs_no_self_test():
    pairs = [Pair((at, at + 1), (3,)) for at in range(1, 9)]
    scoring = score_pairs(load("gpt2", GPT2), pairs)
    assert (scoring.path, scoring.notes) == ("plain", ())


@pytest.mark.parametrize("pair", [Pair((1,), (2,)), Pair((1,), (2, 3)), Pair((1, 2), (3,))])
def test_the_shortest_pairs_there_are(pair):
    loaded = load("gpt2", GPT2 | {"n_positions": 4})
    pairs = [pair, Pair(pair.context, (5,)), Pair(pair.context, (6, 7))]
    expected = [whole(loaded.model, one)[0] for one in pairs]
    assert compute(score_pairs(loaded, pairs)).values == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("path", ["tree", "kv", "plain"])
def test_bfloat16_is_near_float32_on_every_path(path):
    """The sums are in float32; what is left is the rounding inside the model."""
    pairs = pairs_of_two_subjects()
    exact = compute(score_pairs(load("llama", SIZES), pairs, path="plain")).values
    half = load("llama", SIZES, torch.bfloat16)
    values = compute(score_pairs(half, pairs, path=path)).values
    per_token = np.abs(np.subtract(values, exact)) / [len(pair.continuation) for pair in pairs]
    assert 0 < per_token.max() < 0.15
    assert score_pairs(half, pairs).path == "tree"


def test_a_model_that_is_not_finite_has_errors_and_no_numbers():
    loaded, pairs = load("gpt2", GPT2), pairs_of_two_subjects()
    with torch.no_grad():
        loaded.model.transformer.ln_f.weight.fill_(float("nan"))
    scoring = score_pairs(loaded, pairs)
    found = compute(scoring)
    assert scoring.path == "plain"
    assert found.values == [None] * len(pairs)
    assert set(found.errors.values()) == {"not_finite"}
