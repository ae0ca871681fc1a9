"""Conversions: what comes out answers as what went in, and hostile files are refused unopened."""

import json
import os
import pickle
import runpy
import subprocess
import sys

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

from ml_core import convert
from ml_core.convert.working import parity_of
from ml_core.errors import UserError
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import (
    edit_json,
    save_adapter,
    save_masked_lm,
    save_text_classifier,
)

IDS = torch.tensor([[2, 8, 9, 10, 11, 3], [2, 30, 31, 3, 0, 0]])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return save_text_classifier(tmp_path_factory.mktemp("model") / "m")


def run(conversion, folder, out, **settings):
    base = settings.pop("base", None)
    model = ModelSpec(
        str(folder), "someone/source", "a" * 40, base=None if base is None else ModelSpec(str(base))
    )
    return convert.run(convert.ConversionSpec(conversion, model, **settings), out)


def refused(code, *args, **settings):
    with pytest.raises(UserError) as caught:
        run(*args, **settings)
    assert caught.value.code == code, caught.value
    out = args[2]
    assert not (out / "model").exists(), "nothing half done"
    assert not (out / "result.json").exists()
    return caught.value.message


def as_pickle(folder, target, *, state=None, name="pytorch_model.bin"):
    """A folder as it was before safetensors."""
    target.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (target / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(folder / "model.safetensors") if state is None else state, target / name)
    return target


def test_a_pickle_becomes_safetensors_with_the_same_bits(classifier, tmp_path):
    source = as_pickle(classifier, tmp_path / "old")
    result = run("safetensors", source, tmp_path / "out")
    made, original = (
        load_file(f / "model.safetensors") for f in (tmp_path / "out/model", classifier)
    )
    assert made.keys() == original.keys()
    assert all(torch.equal(made[name], original[name]) for name in made)
    assert result.parity.max_difference == 0
    assert result.parity.tolerance == 0
    assert result.made == ("model.safetensors", "README.md")
    assert result.bytes_before == (source / "pytorch_model.bin").stat().st_size
    assert result.sources[0].path == "pytorch_model.bin"
    card = (tmp_path / "out/model/README.md").read_text()
    assert "base_model: someone/source" in card or "- someone/source" in card
    BertForSequenceClassification.from_pretrained(tmp_path / "out/model")
    assert (
        convert.ConversionResult.from_json(json.loads((tmp_path / "out/result.json").read_text()))
        == result
    )


def test_shared_weights_are_stored_once_and_old_names_are_understood(tmp_path):
    saved = save_masked_lm(tmp_path / "m")
    state = load_file(saved / "model.safetensors")
    words = "bert.embeddings.word_embeddings.weight"
    state["cls.predictions.decoder.weight"] = state[words]
    state["bert.embeddings.LayerNorm.gamma"] = state.pop("bert.embeddings.LayerNorm.weight")
    source = as_pickle(saved, tmp_path / "old", state={"state_dict": state, "epoch": 3})
    result = run("safetensors", source, tmp_path / "out", is_whole=False)
    made = load_file(tmp_path / "out/model/model.safetensors")
    assert torch.equal(made[words], state[words])
    assert "cls.predictions.decoder.weight" not in made
    assert result.parity.max_difference == 0
    assert any("stored once" in note for note in result.notes)
    assert sorted(p.name for p in (tmp_path / "out/model").iterdir()) == [
        "README.md",
        "model.safetensors",
    ], "what is added, and no more"


def test_an_adapter_in_a_pickle_becomes_an_adapter_in_safetensors(classifier, tmp_path):
    adapter = save_adapter(classifier, tmp_path / "a")
    tensors = load_file(adapter / "adapter_model.safetensors")
    torch.save(tensors, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    run("safetensors", adapter, tmp_path / "out", is_whole=False)
    made = load_file(tmp_path / "out/model/adapter_model.safetensors")
    assert all(torch.equal(made[name], tensor) for name, tensor in tensors.items())


class Runs:
    """A thing that calls `function` when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (lambda witness: Runs(os.system, f"touch {witness}"), "system"),
        (lambda witness: Runs(runpy._run_code, f"open({str(witness)!r}, 'w')", {}), "runpy"),
    ],
)
@pytest.mark.parametrize("is_bare", [False, True])
def test_a_pickle_that_would_run_something_is_refused_by_name(
    payload, named, is_bare, classifier, tmp_path
):
    witness = tmp_path / "witness"
    source = as_pickle(classifier, tmp_path / "old", state={"weight": payload(witness)})
    if is_bare:
        (source / "pytorch_model.bin").write_bytes(pickle.dumps({"w": payload(witness)}, 2))
    assert named in refused("unsafe_format", "safetensors", source, tmp_path / "out")
    assert not witness.exists()


def test_damaged_and_foreign_files_are_refused(classifier, tmp_path):
    source = as_pickle(classifier, tmp_path / "old")
    path, out = source / "pytorch_model.bin", tmp_path / "out"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cut off" in refused("unsafe_format", "safetensors", source, out)
    torch.save({"weights": [1, 2]}, path)
    assert "state_dict" in refused("weights_invalid", "safetensors", source, out)
    torch.save({"x": torch.zeros(1).expand(10**10)}, path)
    refused("model_too_large", "safetensors", source, out)
    state = load_file(classifier / "model.safetensors")
    torch.save(state | {"extra.weight": torch.ones(3)}, path)
    assert "extra.weight" in refused("weights_mismatch", "safetensors", source, out)
    path.rename(source / "weights.gguf")
    refused("weights_invalid", "safetensors", source, out)
    (source / "weights.gguf").unlink()
    assert "no PyTorch pickle" in refused("nothing_to_convert", "safetensors", source, out)


def test_a_pickle_keeps_its_dtype(classifier, tmp_path):
    source = as_pickle(classifier, tmp_path / "old")
    refused("spec_invalid", "safetensors", source, tmp_path / "out", dtype="float16")


def test_a_spec_cannot_name_a_file_outside(classifier, tmp_path):
    with pytest.raises(UserError, match="top level"):
        run("safetensors", classifier, tmp_path / "out", file="../secret.bin")


def save_gguf(folder):
    """A LLaMA of width 32 with one layer, its matrices in Q8_0, and its words."""
    folder.mkdir()
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    words = ["<unk>", "<s>", "</s>", *(f"w{n}" for n in range(29))]
    for name, value in {
        "context_length": 64, "embedding_length": 32, "block_count": 1, "feed_forward_length": 64,
        "head_count": 2, "head_count_kv": 2, "vocab_size": len(words),
        "rope_dimension_count": 16,
    }.items():  # fmt: skip
        getattr(writer, f"add_{name}")(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types([2, 3, 3, *[1] * 29])
    random = np.random.default_rng(0)
    stored = {}

    def add(name, shape, *, is_quantised):
        values = random.standard_normal(shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        if is_quantised:
            packed = gguf.quants.quantize(values, kind)
            stored[name] = gguf.quants.dequantize(packed, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
        else:
            writer.add_tensor(name, values)

    add("token_embd.weight", (32, 32), is_quantised=True)
    add("output.weight", (32, 32), is_quantised=True)
    add("output_norm.weight", (32,), is_quantised=False)
    for name in ("attn_norm", "ffn_norm"):
        add(f"blk.0.{name}.weight", (32,), is_quantised=False)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", (32, 32), is_quantised=True)
    for name, shape in {"ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64)}.items():
        add(f"blk.0.{name}.weight", shape, is_quantised=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


def test_a_gguf_file_is_dequantised_as_ggufs_own_library_does(tmp_path):
    stored = save_gguf(tmp_path / "g")
    result = run("safetensors", tmp_path / "g", tmp_path / "out", dtype="float32")
    made = load_file(tmp_path / "out/model/model.safetensors")
    for ours, theirs in {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.0.mlp.down_proj.weight": "blk.0.ffn_down.weight",
        "model.layers.0.self_attn.v_proj.weight": "blk.0.attn_v.weight",
    }.items():
        np.testing.assert_array_equal(made[ours].numpy(), stored[theirs])
    config = json.loads((tmp_path / "out/model/config.json").read_text())
    assert "quantization_config" not in config
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (result.dtype, result.source_format) == ("float32", "GGUF (llama)")
    assert result.parity.holds


def test_a_merged_adapter_answers_as_base_and_adapter_do(classifier, tmp_path):
    adapter = save_adapter(classifier, tmp_path / "a")
    result = run("merge", adapter, tmp_path / "out", base=classifier, name="merged")
    assert result.parity.max_difference <= result.parity.tolerance
    assert result.adapter.modules == 6  # query, value and intermediate of two layers
    assert result.adapter.ranks == (3,)
    assert [file.path for file in result.base_sources] == ["model.safetensors"]
    merged = BertForSequenceClassification.from_pretrained(tmp_path / "out/model").eval()
    base = load_file(classifier / "model.safetensors")
    factors = load_file(adapter / "adapter_model.safetensors")
    stem = "bert.encoder.layer.0.attention.self.query"
    a, b = (factors[f"base_model.model.{stem}.lora_{x}.weight"] for x in "AB")
    torch.testing.assert_close(
        merged.state_dict()[f"{stem}.weight"], base[f"{stem}.weight"] + 2 * b @ a
    )
    assert (tmp_path / "out/model/tokenizer.json").is_file()


def test_a_merge_needs_an_adapter_and_a_whole_base(classifier, tmp_path):
    out = tmp_path / "out"
    adapter = save_adapter(classifier, tmp_path / "a")
    refused("nothing_to_convert", "merge", classifier, out, base=classifier)
    assert "itself an adapter" in refused("adapter_invalid", "merge", adapter, out, base=adapter)
    refused("nothing_to_convert", "onnx", adapter, out)
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="/etc/../etc")
    assert run("merge", adapter, out, base=classifier).parity.holds, "the name is never opened"


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    """One export and one quantisation for the tests that look at them, scored on 40 rows."""
    folder = tmp_path_factory.mktemp("int8")
    classifier = save_text_classifier(folder / "m", num_hidden_layers=1)
    rows = folder / "rows.jsonl"
    words = ("good film", "dull story", "cats and dogs", "a very long day", "the end")
    texts = [f"{words[n % 5]} {words[n % 3]}" for n in range(40)]
    rows.write_text(
        "".join(
            json.dumps({"text": t, "label": ("negative", "positive")[n % 2]}) + "\n"
            for n, t in enumerate(texts)
        )
    )
    spec = EvaluationSpec("text-classification", ModelSpec(""), DataSpec((str(rows),)))
    return run("int8", classifier, folder / "out", evaluation=spec), folder / "out"


def test_an_int8_model_is_scored_on_the_same_items_by_the_paired_statistics(int8):
    result, out = int8
    assert (out / "model/onnx/model_quantized.onnx").is_file()
    assert result.parity.tolerance is None, "told, not judged"
    assert 0 < result.parity.max_difference < result.parity.scale
    assert result.dtype == "int8"
    cost = result.cost
    assert cost.comparison.n == 40
    assert cost.comparison.n_missing == 0
    assert cost.comparison.base == cost.before.metrics[0].value
    assert cost.comparison.candidate == cost.after.metrics[0].value
    assert "accuracy" in (out / "model/README.md").read_text()
    found = [note for note in result.notes if "before quantisation" in note]
    assert float(found[0].split()[-1]) < 1e-4, "the export itself agreed with torch"


def test_an_onnx_model_takes_batches_and_lengths_it_was_not_exported_with(int8):
    import onnxruntime

    session = onnxruntime.InferenceSession(int8[1] / "model/onnx/model_quantized.onnx")
    assert [i.name for i in session.get_inputs()] == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
    ]
    for shape in ((1, 3), (5, 60)):
        given = {i.name: np.ones(shape, np.int64) for i in session.get_inputs()}
        assert session.run(None, given)[0].shape == (shape[0], 2)


def test_without_a_benchmark_the_card_says_that_the_cost_is_not_known(int8):
    from dataclasses import replace

    from ml_core.convert.card import section

    bare = replace(int8[0], cost=None, predictions=None)
    assert "not measured" in section(bare)


def test_an_architecture_that_cannot_be_exported_is_refused(tmp_path):
    from tests.support.tiny_models import save_translator

    folder = save_translator(tmp_path / "m")
    assert "encoder and a decoder" in refused("unsupported_model", "onnx", folder, tmp_path / "out")
    edit_json(folder / "config.json", architectures=["os.system"])
    refused("unsupported_model", "onnx", folder, tmp_path / "out")


def test_parity_is_judged_by_the_largest_difference():
    one = torch.tensor([[1.0, 20.0]])
    exact = parity_of([(one, one)], "x")
    assert (exact.max_difference, exact.tolerance, exact.holds) == (0, pytest.approx(2e-3), True)
    off = parity_of([(one, one + 0.01)], "x")
    assert not off.holds
    with pytest.raises(UserError, match="not finite"):
        parity_of([(one, one * torch.nan)], "x")


def test_the_command_line_leaves_a_report_and_status_3(classifier, tmp_path):
    spec, out = tmp_path / "spec.json", tmp_path / "out"
    convert.ConversionSpec("safetensors", ModelSpec(str(classifier))).write(spec)
    command = [sys.executable, "-m", "ml_core.convert", str(spec), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert json.loads((out / "error.json").read_text())["code"] == "nothing_to_convert"
    assert json.loads(done.stdout.splitlines()[0])["event"] == "phase"
