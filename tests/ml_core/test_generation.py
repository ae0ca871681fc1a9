"""Texts that models write: as transformers' own `generate` one at a time, stops, seeds, slots."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ml_core import evaluate
from ml_core.data.withhold import withhold_truth
from ml_core.errors import UserError
from ml_core.evaluate import get_task
from ml_core.evaluate.batching import plan_batches
from ml_core.evaluate.decoding import Ending, StopStrings, draw
from ml_core.evaluate.engine import run_batches
from ml_core.evaluate.events import Reporter, ignore
from ml_core.evaluate.prompts import Prompts, decoder_prompts, render_chat
from ml_core.evaluate.tasks.generated_text import ALONE, TOGETHER, Writer, prepare_prompts
from ml_core.generation import GenerationSpec, fill_prompts
from ml_core.load.model import LoadedModel
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import (
    SENTENCES,
    edit_json,
    save_causal_lm,
    save_masked_lm,
    save_translator,
    save_writer,
    train_byte_tokenizer,
)

pytestmark = pytest.mark.pure

NEW = 20


def texts_of(n, longest=12):
    rng = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    return [" ".join(rng.choice(words, rng.integers(1, longest))) for _ in range(n)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "llama": save_writer(folder / "llama"),
        "gpt": save_causal_lm(folder / "gpt"),
        "t5": save_translator(folder / "t5"),
        "bart": save_translator(folder / "bart", kind="bart"),
        "bert": save_masked_lm(folder / "bert"),
    }


def spec_of(model, path, prompts, **settings):
    columns = {"prompt": prompts, "targets": [["the cat"]] * len(prompts)}
    pq.write_table(pa.table(columns), path)
    return EvaluationSpec(
        "text-generation",
        ModelSpec(str(model)),
        DataSpec((str(path),)),
        engine=EngineSpec(device="cpu", threads=1),
        generation=GenerationSpec(**{"max_new_tokens": NEW} | settings),
    )


def run(spec, out):
    result = evaluate.run(spec, out)
    return result, pq.read_table(out / "predictions.parquet").to_pylist()


def reference(folder, prompts, *, has_encoder):
    """Texts by transformers alone, one prompt at a time."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    cls = AutoModelForSeq2SeqLM if has_encoder else AutoModelForCausalLM
    model = cls.from_pretrained(folder).eval()
    found = model.generation_config.eos_token_id
    ends = found if isinstance(found, list) else [found]
    texts = []
    for prompt in prompts:
        given = tokenizer(prompt, return_tensors="pt")
        given.pop("token_type_ids", None)
        ids = model.generate(**given, max_new_tokens=NEW, do_sample=False, num_beams=1)[0].tolist()
        ids = ids[1:] if has_encoder else ids[given["input_ids"].shape[1] :]
        ids = ids[:-1] if ids and ids[-1] in ends else ids
        texts.append((tokenizer.decode(ids, skip_special_tokens=True), len(ids)))
    return texts


@pytest.mark.parametrize("name", ["llama", "gpt", "t5", "bart"])
def test_texts_are_those_of_transformers_one_at_a_time(name, models, tmp_path):
    prompts = texts_of(14)
    result, rows = run(spec_of(models[name], tmp_path / "d.parquet", prompts), tmp_path / "out")
    expected = reference(models[name], prompts, has_encoder=name in ("t5", "bart"))
    assert [(row["prediction"], row["n_tokens"]) for row in rows] == expected
    facts = result.execution.generation
    assert facts.path == TOGETHER
    assert facts.generated_tokens == sum(n for _, n in expected)
    assert facts.stops.get("length", 0) == sum(n == NEW for _, n in expected)
    assert {row["stop"] for row in rows} == set(facts.stops)
    assert max(map(int, result.execution.batch_sizes)) > 1


@pytest.mark.parametrize(("name", "temperature"), [("llama", 0.0), ("llama", 0.9), ("t5", 5.0)])
def test_batches_do_not_change_a_text_drawn_or_not(name, temperature, models, tmp_path):
    spec = spec_of(models[name], tmp_path / "d.parquet", texts_of(10), temperature=temperature)
    _, together = run(spec, tmp_path / "a")
    alone = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=1))
    result, rows = run(alone, tmp_path / "b")
    assert result.execution.batch_sizes == {"1": 10}
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in together]
    other = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, seed=1))
    _, others = run(other, tmp_path / "c")
    is_same = [row["prediction"] for row in others] == [row["prediction"] for row in together]
    assert is_same == (temperature == 0)


def test_a_token_is_drawn_at_its_quantile_and_from_the_likeliest_alone():
    scores = torch.tensor([[0.3, 0.5, 0.2]]).log().repeat(4, 1)
    drawn = torch.tensor([0.0, 0.49, 0.51, 0.81], dtype=torch.float64)
    plain = GenerationSpec(temperature=1.0)
    assert draw(scores, drawn, plain).tolist() == [1, 1, 0, 2]
    two = GenerationSpec(temperature=1.0, top_p=0.6)
    # Of 0.5 and 0.3 the first has 0.625 of what is left.
    drawn = torch.tensor([0.6, 0.63, 0.999, 0.0], dtype=torch.float64)
    assert draw(scores, drawn, two).tolist() == [1, 0, 0, 1]
    cold = GenerationSpec(temperature=0.01)
    assert draw(scores, drawn, cold).tolist() == [1, 1, 1, 1]


def written(n, *, ends, max_new, width=400):
    """A writer without files, and what came of `n` prompts; positions computed by hand."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=300, num_attention_heads=4, initializer_range=0.5, **sizes)
    model = LlamaForCausalLM(config).eval()
    rng = np.random.default_rng(1)
    ids = [rng.integers(1, 256, rng.integers(2, 30)).tolist() for _ in range(n)]
    prompts = Prompts(ids, np.zeros(n, dtype=np.bool_), pads_left=True)
    writer = Writer(LoadedModel(model, 1, None), train_byte_tokenizer(), Ending(ends), None)
    prepared = prepare_prompts(writer, GenerationSpec(max_new_tokens=max_new), prompts)
    slots = []

    def count(_module, _args, kwargs, _output):
        if kwargs["input_ids"].shape[1] == 1:
            slots.append(len(kwargs["input_ids"]))

    model.register_forward_hook(count, with_kwargs=True)
    plan = plan_batches(prepared.lengths, budget=width, shares=prepared.shares)
    outputs = run_batches(
        plan,
        inputs=prepared.inputs,
        forward=prepared.forward,
        n_rows=n,
        slots=prepared.slots,
        reporter=Reporter(ignore),
    )
    return prepared, outputs, plan, sum(slots)


def test_no_slot_is_decoded_for_a_finished_text():
    """Goal: of the slots run at least 0.85 are used. A batch that waits for its longest wastes."""
    ends = frozenset(range(0, 300, 12))
    prepared, outputs, plan, n_slots = written(40, ends=ends, max_new=24)
    facts = prepared.generation()
    lengths = np.array([len(row) - 1 for row in outputs.rows])
    n_steps = np.minimum(lengths, 23)  # the first token comes with the prompt, the end needs a step
    assert facts.stops.keys() == {"end", "length"}
    assert facts.used_slots == n_steps.sum()
    assert facts.decode_slots == n_slots
    assert facts.used_slots / facts.decode_slots >= 0.85
    waiting = sum(len(rows) * int(n_steps[rows].max()) for rows in plan.batches)
    assert facts.used_slots / waiting < 0.6
    assert facts.prompt_tokens == prepared.lengths.sum() - 40 * 24


def test_memory_that_runs_out_halves_a_batch_and_changes_no_text():
    ends = frozenset(range(0, 300, 12))
    prepared, right, plan, _ = written(12, ends=ends, max_new=8)
    assert max(map(len, plan.batches)) > 3

    def narrow(inputs):
        if len(inputs["input_ids"]) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return prepared.forward(inputs)

    outputs = run_batches(
        plan,
        inputs=prepared.inputs,
        forward=narrow,
        n_rows=12,
        slots=prepared.slots,
        reporter=Reporter(ignore),
    )
    assert outputs.oom_halvings > 0
    assert [row.tolist() for row in outputs.rows] == [row.tolist() for row in right.rows]


def test_a_text_ends_before_its_first_stop_string(models, tmp_path):
    prompts = texts_of(10)
    spec = spec_of(models["llama"], tmp_path / "d.parquet", prompts)
    _, plain = run(spec, tmp_path / "a")
    stop = tuple(plain[at]["prediction"][2:4] for at in (1, 6))
    stopped = spec_of(models["llama"], tmp_path / "d.parquet", prompts, stop=stop)
    _, rows = run(stopped, tmp_path / "b")
    for row, whole in zip(rows, plain, strict=True):
        places = [whole["prediction"].find(one) for one in stop if one in whole["prediction"]]
        expected = whole["prediction"][: min(places)] if places else whole["prediction"]
        assert row["prediction"] == expected
        assert (row["stop"] == "stop") == bool(places)
    assert rows[1]["stop"] == "stop"
    assert rows[1]["n_tokens"] < plain[1]["n_tokens"]


def test_a_stop_string_is_found_over_several_tokens_and_when_it_is_a_special_one():
    tokenizer = train_byte_tokenizer()
    ids = tokenizer("a dull story, a fine day")["input_ids"]
    stops = StopStrings(tokenizer, ("y, a",))
    assert [stops.is_in(ids[:n]) for n in range(1, len(ids) + 1)].count(True) > 0
    assert stops.cut("a dull story, a fine day") == "a dull stor"
    assert not StopStrings(tokenizer, ()).is_in(ids)
    assert StopStrings(tokenizer, ("<|endoftext|>",)).is_in([*ids, tokenizer.eos_token_id])


def test_of_a_long_prompt_the_end_is_kept_and_said(models, tmp_path):
    long = "the cat sat " * 40 + "on the mat"
    _, rows = run(spec_of(models["llama"], tmp_path / "d.parquet", [long, "a"]), tmp_path / "out")
    assert [row["truncated"] for row in rows] == [True, False]
    tokenizer = train_byte_tokenizer()
    kept = decoder_prompts(tokenizer, [long], room=10, as_chat=False).ids[0]
    assert len(kept) == 10
    assert long.endswith(tokenizer.decode(kept))
    _, rows = run(spec_of(models["t5"], tmp_path / "d.parquet", [long, "a"]), tmp_path / "t5")
    assert [row["truncated"] for row in rows] == [True, False]


def test_an_empty_prompt_starts_with_the_token_that_begins_a_text(models, tmp_path):
    _, rows = run(spec_of(models["llama"], tmp_path / "d.parquet", ["", "a"]), tmp_path / "out")
    assert all(row["error"] is None for row in rows)


def test_the_prompt_is_what_the_benchmark_says(models, tmp_path):
    assert fill_prompts("Short {x}: {document} {document}", "document", ["{x}", "a"]) == [
        "Short {x}: {x} {x}",
        "Short {x}: a a",
    ]
    texts = texts_of(6)
    shown = spec_of(models["llama"], tmp_path / "d.parquet", texts, prompt="the {prompt} on")
    _, rows = run(shown, tmp_path / "a")
    written_out = [f"the {text} on" for text in texts]
    _, same = run(spec_of(models["llama"], tmp_path / "e.parquet", written_out), tmp_path / "b")
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in same]


def test_a_chat_is_rendered_by_the_models_own_template(models, tmp_path):
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}the "
    folder = save_writer(tmp_path / "chat")
    (folder / "chat_template.jinja").write_text(template)
    texts = texts_of(5)
    chat = spec_of(folder, tmp_path / "d.parquet", texts, chat_template=True)
    _, rows = run(chat, tmp_path / "a")
    plain = spec_of(folder, tmp_path / "e.parquet", [f"<user>{text}the " for text in texts])
    _, same = run(plain, tmp_path / "b")
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in same]
    with pytest.raises(UserError) as caught:
        run(spec_of(models["llama"], tmp_path / "d.parquet", texts, chat_template=True), tmp_path)
    assert caught.value.code == "tokenizer_invalid"
    assert "no chat template" in caught.value.message


HOSTILE_TEMPLATES = [
    "{{ messages.__class__.__mro__ }}",
    "{{ raise_exception('no') }}",
    "{% for",
    "{{ ''.__class__.__base__.__subclasses__() }}",
]


@pytest.mark.parametrize("template", HOSTILE_TEMPLATES)
def test_a_template_that_reaches_out_or_fails_is_the_models_error(template):
    tokenizer = train_byte_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(UserError, match="chat template fails"):
        render_chat(tokenizer, "a")


def test_tokens_of_the_models_own_settings_count_and_its_wishes_do_not(tmp_path):
    folder = save_writer(tmp_path / "m")
    spec = spec_of(folder, tmp_path / "d.parquet", texts_of(6))
    first, rows = run(spec, tmp_path / "a")
    said = json.loads((folder / "generation_config.json").read_text())
    wishes = {"num_beams": 4, "do_sample": True, "max_new_tokens": 1, "repetition_penalty": 9.0}
    (folder / "generation_config.json").write_text(json.dumps(said | wishes))
    _, same = run(spec, tmp_path / "b")
    assert [row["prediction"] for row in same] == [row["prediction"] for row in rows]
    edit_json(folder / "generation_config.json", eos_token_id=7, suppress_tokens=[50])
    other, _ = run(spec, tmp_path / "c")
    assert other.execution.generation.end_tokens == (0, 7)
    assert other.execution.generation.suppressed_tokens == (50,)
    assert first.execution.generation.end_tokens != (0, 7)
    edit_json(folder / "generation_config.json", eos_token_id=999)
    with pytest.raises(UserError, match="names the token 999"):
        run(spec, tmp_path / "d")


def test_a_model_whose_batches_differ_is_read_again_row_by_row(tmp_path):
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    tokenizer = train_byte_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}
    config = MambaConfig(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **sizes)
    MambaForCausalLM(config).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    result, rows = run(spec_of(tmp_path / "m", tmp_path / "d.parquet", texts_of(3)), tmp_path / "o")
    assert result.execution.generation.path == ALONE
    assert result.execution.batch_sizes == {"1": 3}
    expected = reference(tmp_path / "m", texts_of(3), has_encoder=False)
    assert [(row["prediction"], row["n_tokens"]) for row in rows] == expected


UNFIT = [
    ("llama", {"max_new_tokens": 64}, "unsupported_model", "too small"),
    ("bart", {"max_new_tokens": 64}, "unsupported_model", "too small"),
    ("bert", {}, "unsupported_model", "words behind it"),
    ("llama", {"prompt": "Say {document}"}, "spec_invalid", "{prompt}"),
]


@pytest.mark.parametrize(("name", "asked", "code", "words"), UNFIT)
def test_what_does_not_fit_is_said_in_plain_words(name, asked, code, words, models, tmp_path):
    with pytest.raises(UserError) as caught:
        run(spec_of(models[name], tmp_path / "d.parquet", ["a cat"], **asked), tmp_path / "o")
    assert caught.value.code == code
    assert words in caught.value.message


def test_logits_that_are_no_numbers_are_errors_of_their_items(models, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_writer(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        run(spec_of(folder, tmp_path / "d.parquet", texts_of(3)), tmp_path / "o")
    assert caught.value.code == "too_many_item_errors"
    assert caught.value.details["causes"] == ["not_finite"]


def test_right_texts_stay_with_the_parent_and_settings_go_with_the_job(models, tmp_path):
    spec = spec_of(models["llama"], tmp_path / "d.parquet", ["a", "b"], stop=("x",))
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, get_task("text-generation"), tmp_path / "in")
    assert pq.read_table(tmp_path / "in/inputs.parquet").column_names == ["prompt", "item_id"]
    assert withheld.spec.generation == spec.generation
    assert withheld.truth.texts == (("the cat",), ("the cat",))
    assert EvaluationSpec.from_json(withheld.spec.to_json()) == withheld.spec
