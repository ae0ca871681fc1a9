"""Tasks of lm-evaluation-harness on our engine and on its own `hf` model: the same numbers (G7)."""

import json

import numpy as np
import pytest
import torch

from tests.support.tiny_models import SENTENCES, save_causal_lm

LETTERS = """
task: own_letters
dataset_path: json
dataset_kwargs: {data_files: {test: "DATA", dev: "DATA"}}
test_split: test
fewshot_split: dev
num_fewshot: 2
fewshot_config: {sampler: first_n}
output_type: multiple_choice
doc_to_text: "{{question}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nAnswer:"
doc_to_choice: ["A", "B"]
doc_to_target: answer
metric_list: [{metric: acc}]
"""
TEXTS = """
task: own_texts
dataset_path: json
dataset_kwargs: {data_files: {test: "DATA"}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}} "
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
ROLLING = """
task: own_rolling
dataset_path: json
dataset_kwargs: {data_files: {test: "DATA"}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{long}}"
metric_list: [{metric: bits_per_byte}]
"""

WRITTEN = """
task: own_written
dataset_path: json
dataset_kwargs: {data_files: {test: "DATA"}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[0]}}"
generation_kwargs: {until: ["\\n", " cat"], max_gen_toks: 12}
metric_list: [{metric: exact_match}]
"""
TASKS = {"letters": LETTERS, "texts": TEXTS, "rolling": ROLLING, "written": WRITTEN}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model, 16 questions as JSON lines, and three tasks over them."""
    folder = tmp_path_factory.mktemp("harness")
    save_causal_lm(folder / "model")
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    some = lambda low, high: " ".join(rng.choice(words, rng.integers(low, high)))  # noqa: E731
    rows = [
        {
            "question": some(2, 6),
            "choices": [some(1, 3), some(2, 5)],
            "answer": int(rng.integers(2)),
            "long": some(40, 120),
        }
        for _ in range(16)
    ]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "tasks").mkdir()
    for name, text in TASKS.items():
        (folder / f"tasks/{name}.yaml").write_text(text.replace("DATA", str(data)))
    return folder


@pytest.fixture(scope="module")
def models(folder):
    """The harness's own model and ours, over the same files."""
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ml_core.evaluate.harness import EngineLM
    from ml_core.load.model import LoadedModel

    model = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, device="cpu", max_length=64)
    return {"theirs": theirs, "ours": EngineLM(LoadedModel(model, 0, "sdpa"), tokenizer)}


def evaluated(lm, folder):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    return simple_evaluate(
        model=lm,
        tasks=[f"own_{name}" for name in TASKS],
        task_manager=TaskManager(include_path=str(folder / "tasks"), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )


def test_tasks_give_what_they_give_on_the_harness_own_model(folder, models, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    theirs, ours = (evaluated(models[name], folder) for name in ("theirs", "ours"))
    for task in ("own_letters", "own_texts", "own_rolling"):
        pairs = zip(theirs["samples"][task], ours["samples"][task], strict=True)
        for a, b in pairs:
            assert a["prompt_hash"] == b["prompt_hash"]
            expected = np.array(a["filtered_resps"], dtype=float)
            found = np.array(b["filtered_resps"], dtype=float)
            assert np.abs(expected - found).max() < 1e-4 * max(1, np.abs(expected).max() / 100)
            assert a.get("acc") == b.get("acc")
        same = {key: value for key, value in ours["results"][task].items() if "," in key}
        assert same == pytest.approx(
            {key: theirs["results"][task][key] for key in same}, abs=1e-6, nan_ok=True
        )
    pairs = zip(theirs["samples"]["own_written"], ours["samples"]["own_written"], strict=True)
    answers = [(a["filtered_resps"], b["filtered_resps"]) for a, b in pairs]
    assert all(a == b for a, b in answers)
    assert len({text for (text,), _ in answers}) > 4
    assert any("tree" in note for note in models["ours"].notes)


def test_what_cannot_be_computed_is_no_number(models):
    from lm_eval.api.instance import Instance

    from ml_core.errors import UserError
    from ml_core.evaluate.harness import EngineLM
    from ml_core.load.model import LoadedModel

    lm = models["ours"]
    assert lm.loglikelihood([]) == []
    assert lm.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, ("",), 0)]) == [0.0]
    with pytest.raises(UserError, match="no generation setting 'top_k'"):
        lm.generate_until([Instance("generate_until", {}, ("a", {"top_k": 3}), 0)])
    with pytest.raises(UserError, match="256 new tokens"):
        lm.generate_until([Instance("generate_until", {}, ("a", {}), 0)])
    broken = type(lm.loaded.model)(lm.loaded.model.config).eval()
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    failing = EngineLM(LoadedModel(broken, 0, None), lm.tokenizer)
    with pytest.raises(UserError, match="1 of 1 requests gave no likelihood"):
        failing.loglikelihood([Instance("loglikelihood", {}, ("the", " cat"), 0)])
