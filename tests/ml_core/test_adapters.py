"""LoRA adapters: added in as peft adds them in, and refused in words where they do not fit."""

import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, BertForSequenceClassification

from ml_core.errors import UserError
from ml_core.load.adapting import beside
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.model import build_config, load_model
from tests.support.tiny_models import edit_json, save_adapter, save_text_classifier

LIMIT = 10_000_000
IDS = torch.tensor([[2, 8, 9, 10, 11, 3], [2, 30, 31, 3, 0, 0]])


@pytest.fixture(scope="module")
def saved_base(tmp_path_factory):
    return save_text_classifier(tmp_path_factory.mktemp("base") / "m")


@pytest.fixture(scope="module")
def saved_adapter(saved_base, tmp_path_factory):
    return save_adapter(saved_base, tmp_path_factory.mktemp("adapter") / "a")


@pytest.fixture
def adapter(saved_adapter, tmp_path):
    return shutil.copytree(saved_adapter, tmp_path / "a")


def load(adapter, base, scratch, classes=MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING):
    scratch.mkdir()
    checkpoint = open_checkpoint(adapter, max_parameters=LIMIT, base=base)
    staged = checkpoint.stage(scratch)
    return load_model(
        staged,
        build_config(checkpoint.config),
        classes,
        purpose="text classification",
        max_parameters=LIMIT,
        device=torch.device("cpu"),
        dtype=torch.float32,
    ).model


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=(IDS != 0).long()).logits


def refused(adapter, base, tmp_path, code):
    with pytest.raises(UserError) as caught:
        load(adapter, base, tmp_path / "scratch")
    assert caught.value.code == code, caught.value
    return caught.value.message


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # of peft
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True, "alpha_pattern": {"value": 20}, "rank_pattern": {"value": 5}},
        {"target_modules": ["word_embeddings", "key"], "bias": "all"},
    ],
)
def test_a_model_with_an_adapter_answers_what_peft_answers(config, saved_base, tmp_path):
    folder = save_adapter(saved_base, tmp_path / "a", **config)
    ours = logits(load(folder, saved_base, tmp_path / "scratch"))
    plain = BertForSequenceClassification.from_pretrained(saved_base)
    peft = PeftModel.from_pretrained(plain, folder).eval()
    torch.testing.assert_close(ours, logits(peft), atol=1e-5, rtol=1e-5)
    plain = BertForSequenceClassification.from_pretrained(saved_base).eval()
    assert (ours - logits(plain)).abs().max() > 0.1, "the adapter does something"
    with beside(plain, open_checkpoint(folder, max_parameters=LIMIT, base=saved_base).adapter):
        torch.testing.assert_close(ours, logits(plain), atol=1e-5, rtol=1e-5)


def test_an_adapter_may_name_labels_of_its_own(saved_base, tmp_path):
    three = ("bad", "fair", "good")
    folder = save_adapter(saved_base, tmp_path / "a", labels=three)
    message = refused(folder, saved_base, tmp_path, "adapter_invalid")
    assert "id2label" in message
    (folder / "config.json").write_text("{}")
    edit_json(folder / "config.json", id2label=dict(enumerate(three)), vocab_size=3)
    model = load(folder, saved_base, tmp_path / "again")
    assert logits(model).shape == (2, 3)
    assert model.config.id2label == dict(enumerate(three))
    assert model.config.vocab_size > 3, "no other setting is taken from there"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
        ({"use_dora": True}, "use_dora"),
        ({"megatron_config": {"x": 1}, "megatron_core": "os"}, "megatron_config"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "regular expressions"),
        ({"lora_alpha": "much"}, "lora_alpha"),
    ],
)
def test_settings_that_mean_something_else_are_refused(
    change, words, adapter, saved_base, tmp_path
):
    edit_json(adapter / "adapter_config.json", **change)
    assert words in refused(adapter, saved_base, tmp_path, "adapter_invalid")


def test_an_adapter_for_another_task_is_refused(adapter, saved_base, tmp_path):
    edit_json(adapter / "adapter_config.json", task_type="CAUSAL_LM")
    assert "CAUSAL_LM" in refused(adapter, saved_base, tmp_path, "unsupported_model")


def test_an_adapter_of_another_base_is_refused_by_its_shapes(adapter, tmp_path):
    wider = save_text_classifier(tmp_path / "wide", hidden_size=32)
    assert "not the base" in refused(adapter, wider, tmp_path, "adapter_invalid")
    shallow = save_text_classifier(tmp_path / "shallow", num_hidden_layers=1)
    shutil.rmtree(tmp_path / "scratch")
    assert "layer.1" in refused(adapter, shallow, tmp_path, "adapter_invalid")


def test_an_adapter_in_a_pickle_or_on_an_adapter_is_refused(adapter, saved_base, tmp_path):
    message = refused(adapter, adapter, tmp_path, "adapter_invalid")
    assert "itself an adapter" in message
    shutil.rmtree(tmp_path / "scratch")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert "Convert" in refused(adapter, saved_base, tmp_path, "unsafe_format")


@pytest.mark.parametrize(
    ("rename", "words"),
    [
        (lambda key: key.replace("base_model.model.", ""), "not named as peft"),
        (lambda key: key.replace("lora_B", "lora_magnitude_vector"), "plain LoRA"),
        (lambda key: key.replace("layer.0.attention.self.query.lora_A", "x.lora_A"), "missing"),
    ],
)
def test_tensors_of_other_names_are_refused(rename, words, adapter, saved_base, tmp_path):
    path = adapter / "adapter_model.safetensors"
    save_file({rename(key): tensor for key, tensor in load_file(path).items()}, path)
    assert words in refused(adapter, saved_base, tmp_path, "adapter_invalid")
