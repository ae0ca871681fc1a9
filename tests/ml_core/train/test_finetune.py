"""Whole fine-tunings of tiny models: against transformers' own Trainer, and what comes out."""

import dataclasses
import gc
import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from ml_core import finetune
from ml_core.errors import UserError
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.heads import load_with_head, name_labels
from ml_core.load.model import build_config
from ml_core.specs import DataSpec, EngineSpec, ModelSpec
from ml_core.train.adapters import add_lora, merge
from ml_core.train.events import Evaluated, Trained, from_line
from ml_core.train.results import FinetuneResult
from ml_core.train.specs import FinetuneSpec, Training
from tests.support.tiny_models import (
    SENTENCES,
    save_causal_lm,
    save_image_classifier,
    save_masked_lm,
    save_text_classifier,
)

# peft asks transformers by a name that transformers is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

WORDS = sorted(set(" ".join(SENTENCES).split()))
ENGINE = EngineSpec(device="cpu", threads=1)


def write_texts(path, n=96, *, n_words=None, seed=0):
    """Texts of two kinds, by turns, each of words of its own."""
    rng = np.random.default_rng(seed)
    kinds = {"other": WORDS[::2], "good": WORDS[1::2]}
    labels = [list(kinds)[at % 2] for at in range(n)]
    sizes = rng.integers(2, 30, n) if n_words is None else [n_words] * n
    drawn = zip(labels, sizes, strict=True)
    texts = [" ".join(rng.choice(kinds[label], size)) for label, size in drawn]
    pq.write_table(pa.table({"text": texts, "label": labels}), path)
    return DataSpec((str(path),), repo="ada/words", split="train")


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """accelerate collects garbage before each training: only that of these tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_masked_lm(tmp_path_factory.mktemp("base") / "m", initializer_range=0.1)


@pytest.fixture
def spec(base, tmp_path):
    return FinetuneSpec(
        "text-classification",
        ModelSpec(str(base), repo="ada/tiny", revision="c0ffee" * 6),
        write_texts(tmp_path / "train.parquet"),
        training=Training(epochs=5, learning_rate=0.02, step_slots=300, validation_share=0.25),
        engine=ENGINE,
        name="Good: or not",
        license="mit",
        bootstrap_draws=50,
    )


def run(spec, out):
    """The result, and the events as their reader sees them."""
    lines = []
    result = finetune.run(spec, out, lines.append)
    events = [from_line(json.loads(json.dumps(line))) for line in lines]
    assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
    return result, [event for _, event in events]


def test_losses_equal_those_of_trainer_step_by_step(base, tmp_path):
    """Equal batches, float32, no dropout, plain Trainer of transformers 5.23 with its own loss.

    Kernels may add up in another order from run to run, and Adam passes a last bit on: 1e-5.
    """
    from transformers import Trainer, TrainerCallback, TrainingArguments

    data = write_texts(tmp_path / "d.parquet", 48, n_words=10)
    still = save_text_classifier(
        tmp_path / "still", labels=("good", "other"), hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    training = Training(
        epochs=2, learning_rate=1e-3, step_slots=96, schedule="constant", warmup_share=0.0,
        eval_steps=100,
    )  # fmt: skip
    spec = FinetuneSpec("text-classification", ModelSpec(str(still)), data, data, training=training)
    spec = dataclasses.replace(spec, engine=dataclasses.replace(ENGINE, max_length=12))
    ours = finetune.run(spec, tmp_path / "out")
    assert ours.training.fresh_weights == ()

    from ml_core.train.sampler import plan_steps

    n = len(pq.read_table(tmp_path / "d.parquet"))
    plan = plan_steps(np.full(n, 12), np.ones(n, dtype=np.int64), step_slots=96, epochs=2, seed=0)
    order = np.concatenate(list(plan))
    assert {len(rows) for rows in plan} == {8}
    tokenizer = AutoTokenizer.from_pretrained(still)
    table = pq.read_table(tmp_path / "d.parquet").take(order).to_pydict()
    encoded = tokenizer(table["text"], truncation=True, max_length=12, padding="max_length")
    rows = [
        {name: torch.tensor(encoded[name][at]) for name in encoded}
        | {"labels": ("good", "other").index(label)}
        for at, label in enumerate(table["label"])
    ]
    losses = []

    class Keep(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **others):
            losses.extend([logs["loss"]] if "loss" in logs else [])

    arguments = TrainingArguments(
        output_dir=str(tmp_path / "trainer"), per_device_train_batch_size=8, num_train_epochs=1,
        learning_rate=1e-3, lr_scheduler_type="constant", weight_decay=0.01, logging_steps=1,
        train_sampling_strategy="sequential", use_cpu=True, report_to="none", disable_tqdm=True,
        save_strategy="no", seed=0, dataloader_pin_memory=False,
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(still)
    Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[Keep()]).train()
    assert len(losses) == len(plan) == len(ours.curve.train)
    assert [p.loss for p in ours.curve.train] == pytest.approx(losses, abs=1e-5)
    assert len(set(losses)) > 6


def test_a_classifier_learns_and_the_folder_is_whole(spec, tmp_path):
    result, events = run(spec, tmp_path / "out")
    stored = FinetuneResult.from_json(json.loads((tmp_path / "out/result.json").read_text()))
    assert stored == result
    assert result.labels == ("good", "other")
    assert set(result.training.fresh_weights) == {
        "bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight"
    }  # fmt: skip
    assert result.after.metrics[0].value > 0.9 > result.before.metrics[0].value
    assert (result.training.rows, result.training.validation_rows) == (72, 24)
    assert 1.0 <= result.training.padding_ratio < 1.3
    assert result.comparison.base == result.before.metrics[0].value
    assert result.comparison.candidate == result.after.metrics[0].value
    assert result.comparison.n == 24
    trained = [event.step for event in events if isinstance(event, Trained)]
    assert trained == [point.step for point in result.curve.train]
    evals = {event.step: event for event in events if isinstance(event, Evaluated)}
    best = evals[result.training.best_step]
    assert best.metrics == {m.name: m.value for m in result.after.metrics}
    folder = tmp_path / "out/model"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "good", 1: "other"}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model(**tokenizer("a good day", return_tensors="pt")).logits.shape == (1, 2)
    assert {file.path for file in result.files} == {path.name for path in folder.iterdir()}
    log = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    assert sum(line["event"] == "train" for line in log) == len(result.curve.train)
    assert_card_tells(result, folder / "README.md")


def assert_card_tells(result, path):
    """Lineage and scores, as the Hub's own reader finds them."""
    data = ModelCard.load(path).data
    assert (data.base_model, data.base_model_relation) == ("ada/tiny", "finetune")
    assert data.datasets == ["ada/words"]
    assert (data.license, data.pipeline_tag) == ("mit", "text-classification")
    assert data.model_name == "Good: or not"
    scores = {found.metric_type: found.metric_value for found in data.eval_results}
    assert scores == {metric.name: metric.value for metric in result.after.metrics}
    assert {found.dataset_name for found in data.eval_results} == {"ada/words"}


def test_what_is_computed_at_once_changes_nothing(spec, tmp_path):
    """Without dropout, which draws by part."""
    still = save_text_classifier(
        tmp_path / "still", labels=("a", "b", "c"), hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    curves = []
    for budget in (None, 40):
        engine = dataclasses.replace(ENGINE, token_budget=budget)
        training = dataclasses.replace(spec.training, max_steps=4)
        told = dataclasses.replace(
            spec, model=ModelSpec(str(still)), engine=engine, training=training
        )
        result, _ = run(told, tmp_path / f"out{budget}")
        curves.append([point.loss for point in result.curve.train])
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)


def test_lora_saves_adapter_and_merged_model(spec, tmp_path):
    training = dataclasses.replace(spec.training, method="lora", lora_rank=4, epochs=1)
    result, _ = run(dataclasses.replace(spec, training=training), tmp_path / "out")
    assert result.training.trainable_parameters < result.training.parameters / 2
    names = {file.path for file in result.adapter_files}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    config = json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "ada/tiny"
    card = ModelCard.load(tmp_path / "out/adapter/README.md")
    assert card.data.library_name == "peft"
    assert card.data.base_model_relation == "adapter"
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "out/model")


def test_a_merged_adapter_answers_as_the_unmerged_one(base):
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    fresh = ("classifier.weight", "bert.pooler.dense.weight")
    wrapped = add_lora(model, fresh, Training(method="lora"), base=None).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    ids = torch.randint(5, 90, (4, 12))
    with torch.no_grad():
        apart = wrapped(input_ids=ids).logits
        with wrapped.disable_adapter():
            without = wrapped(input_ids=ids).logits
        together = merge(wrapped).eval()(input_ids=ids).logits
    assert (apart - without).abs().max() > 0.01
    assert (apart - together).abs().max() < 1e-5


@pytest.mark.parametrize(("labels", "is_fresh"), [(("no", "yes"), True), (("a", "b"), False)])
def test_an_old_head_goes_on_for_the_same_labels_alone(tmp_path, labels, is_fresh):
    """One of as many other labels would fit, and mean something else."""
    old = save_text_classifier(tmp_path / "old", labels=("a", "b"))
    checkpoint = open_checkpoint(old, max_parameters=10**6)
    config = build_config(checkpoint.config)
    headed = load_with_head(
        checkpoint.stage(tmp_path), config, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        purpose="tests", max_parameters=10**6, device=torch.device("cpu"),
        keep_head=name_labels(config, labels),
    )  # fmt: skip
    assert headed.fresh == (("classifier.bias", "classifier.weight") if is_fresh else ())
    was = load_file(old / "model.safetensors")["classifier.weight"]
    now = headed.loaded.model.classifier.weight
    assert torch.equal(was, now) is not is_fresh
    assert headed.loaded.model.config.id2label == dict(enumerate(labels))


def test_a_base_with_a_hole_is_refused(base, tmp_path):
    """A head may be missing, a layer of the base may not."""
    broken = shutil.copytree(base, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    checkpoint = open_checkpoint(broken, max_parameters=10**6)
    config = build_config(checkpoint.config)
    with pytest.raises(UserError) as refused:
        load_with_head(
            checkpoint.stage(tmp_path), config, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
            purpose="tests", max_parameters=10**6, device=torch.device("cpu"), keep_head=False,
        )  # fmt: skip
    assert refused.value.code == "weights_mismatch"
    assert "layer.1.output.dense" in refused.value.message


def test_training_ends_when_the_metric_gets_no_better(spec, tmp_path):
    training = dataclasses.replace(
        spec.training, epochs=50, learning_rate=1e-9, eval_steps=1, patience=2
    )
    result, _ = run(dataclasses.replace(spec, training=training), tmp_path / "out")
    assert result.training.end_reason == "early_stopping"
    assert (result.training.steps, result.training.best_step) == (3, 1)


def test_words_are_tagged(base, tmp_path):
    rng = np.random.default_rng(0)
    rows = [[str(w) for w in rng.choice(["cat", "the", "mat", "on"], 6)] for _ in range(60)]
    names = {"cat": "B-animal", "mat": "B-thing"}
    tags = [[names.get(word, "O") for word in row] for row in rows]
    pq.write_table(pa.table({"tokens": rows, "tags": tags}), tmp_path / "d.parquet")
    training = Training(epochs=4, learning_rate=0.02, step_slots=60, validation_share=0.2)
    data = DataSpec((str(tmp_path / "d.parquet"),))
    spec = FinetuneSpec(
        "token-classification",
        ModelSpec(str(base)),
        data,
        training=training,
        engine=ENGINE,
        bootstrap_draws=50,
    )
    result, _ = run(spec, tmp_path / "out")
    assert result.main_metric == "entity_f1"
    assert result.labels == ("B-animal", "B-thing", "O")
    assert result.after.metrics[0].value > 0.9
    assert result.comparison.verdict == "better"


def png(shade, rng):
    pixels = rng.integers(0, 60, (16, 16, 3)) + shade
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_images_are_classified(tmp_path):
    rng = np.random.default_rng(0)
    shades = [(0, "dark"), (90, "grey"), (190, "light")] * 8
    columns = {"image": [png(s, rng) for s, _ in shades], "label": [name for _, name in shades]}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    spec = FinetuneSpec(
        "image-classification",
        ModelSpec(str(save_image_classifier(tmp_path / "m"))),
        DataSpec((str(tmp_path / "d.parquet"),)),
        training=Training(epochs=4, learning_rate=0.01, step_slots=6, validation_share=0.25),
        engine=ENGINE,
    )
    result, _ = run(spec, tmp_path / "out")
    assert result.labels == ("dark", "grey", "light")
    assert result.after.metrics[0].value > 0.6


@pytest.mark.parametrize("recipe", ["masked-lm", "causal-lm"])
def test_language_models_go_on_learning(recipe, base, tmp_path):
    data = write_texts(tmp_path / "d.parquet", 40)
    folder = base if recipe == "masked-lm" else save_causal_lm(tmp_path / "m")
    columns = {} if recipe == "masked-lm" else {"prompt": "label"}
    spec = FinetuneSpec(
        recipe,
        ModelSpec(str(folder)),
        dataclasses.replace(data, columns=columns),
        training=Training(epochs=3, learning_rate=0.01, step_slots=300, validation_share=0.2),
        engine=ENGINE,
        bootstrap_draws=50,
    )
    result, _ = run(spec, tmp_path / "out")
    assert (result.main_metric, result.direction) == ("loss", "lower")
    assert result.after.metrics[0].value < result.before.metrics[0].value
    assert result.comparison.difference < 0


def test_only_the_answer_to_a_prompt_is_learnt(tmp_path):
    """The loss of one row, by hand from the model's own log-probabilities."""
    from transformers import AutoModelForCausalLM

    from ml_core.data.schema import read_items
    from ml_core.train.objectives.causal_lm import read_dialogs
    from ml_core.train.recipes import RECIPES
    from ml_core.train.token_losses import next_token_losses

    folder = save_causal_lm(tmp_path / "m")
    table = {"prompt": ["the cat", "a bad film with"], "text": [" sat on", " a"]}
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    items = read_items(DataSpec((str(tmp_path / "d.parquet"),)), RECIPES["causal-lm"].inputs, ())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    dialogs = read_dialogs(tokenizer, items, 64)
    with torch.no_grad():
        losses = next_token_losses(model, dialogs.inputs(np.array([0, 1]))).sum(dim=1)
    for at in range(2):
        prompt = [0, *tokenizer(table["prompt"][at])["input_ids"]]
        answer = [*tokenizer(table["text"][at])["input_ids"], 0]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        said = sum(-logits[len(prompt) - 1 + k, token].item() for k, token in enumerate(answer))
        assert losses[at].item() == pytest.approx(said, abs=1e-4)
        assert dialogs.n_learnt[at] == len(answer)
