"""What configs and file names say of a model."""

import pytest

from hub.model_config import (
    dataset_format_tags,
    format_tags,
    guess_library,
    summarize_config,
    transformers_info,
)


@pytest.mark.parametrize(
    ("architecture", "model_type", "auto_model", "pipeline_tag"),
    [
        (
            "BertForSequenceClassification",
            "bert",
            "AutoModelForSequenceClassification",
            "text-classification",
        ),
        ("BertForMaskedLM", "bert", "AutoModelForMaskedLM", "fill-mask"),
        ("BertForPreTraining", "bert", "AutoModelForPreTraining", None),
        ("BertModel", "bert", "AutoModel", "feature-extraction"),
        ("GPT2LMHeadModel", "gpt2", "AutoModelForCausalLM", "text-generation"),
        ("LlamaForCausalLM", "llama", "AutoModelForCausalLM", "text-generation"),
        (
            "ViTForImageClassification",
            "vit",
            "AutoModelForImageClassification",
            "image-classification",
        ),
        (
            "WhisperForConditionalGeneration",
            "whisper",
            "AutoModelForSpeechSeq2Seq",
            "automatic-speech-recognition",
        ),
        ("T5ForConditionalGeneration", "t5", "AutoModelForSeq2SeqLM", None),
        (
            "CLIPModel",
            "clip",
            "AutoModelForZeroShotImageClassification",
            "zero-shot-image-classification",
        ),
        ("Wav2Vec2ForCTC", "wav2vec2", "AutoModelForCTC", "automatic-speech-recognition"),
        ("Strange", "unheard", "AutoModel", None),
    ],
)
def test_task_follows_from_the_architecture(architecture, model_type, auto_model, pipeline_tag):
    config = summarize_config({"architectures": [architecture], "model_type": model_type}, {})
    info = transformers_info(config, ["config.json", "tokenizer.json"])
    assert info["auto_model"] == auto_model
    assert info.get("pipeline_tag") == pipeline_tag
    assert info["processor"] == "AutoTokenizer"
    assert info.keys() <= {"auto_model", "custom_class", "pipeline_tag", "processor"}


def test_the_auto_classes_exist_in_transformers():
    transformers = pytest.importorskip("transformers")
    from hub.model_config import AUTO_MODELS, BY_MODEL_TYPE

    names = {name for name, _ in [*AUTO_MODELS.values(), *BY_MODEL_TYPE.values()]}
    assert not [name for name in names if not hasattr(transformers, name)]


def test_custom_code_is_named():
    config = summarize_config(
        {
            "model_type": "x",
            "auto_map": {"AutoModelForCausalLM": "modeling.X", "AutoConfig": "c.C"},
        },
        {},
    )
    info = transformers_info(config, ["preprocessor_config.json"])
    assert info == {
        "auto_model": "AutoModelForCausalLM",
        "custom_class": "modeling.X",
        "processor": "AutoProcessor",
    }


def test_config_without_a_model_type_says_nothing():
    assert transformers_info(summarize_config({}, {}), []) is None


def test_summary_keeps_little_and_only_of_the_right_kind():
    assert summarize_config(
        {
            "architectures": ["A", 3, "x" * 1000],
            "model_type": "bert",
            "hidden_size": 3,
            "quantization_config": {"quant_method": "gptq", "bits": 4},
        },
        {"mask_token": {"content": "[MASK]"}, "bos_token": None, "eos_token": "</s>"},
    ) == {
        "architectures": ["A", "x" * 200],
        "model_type": "bert",
        "quantization_config": {"quant_method": "gptq"},
        "tokenizer_config": {"eos_token": "</s>", "mask_token": "[MASK]"},
    }
    hostile = {"architectures": "A", "model_type": ["b"], "auto_map": 3, "quantization_config": []}
    assert summarize_config(hostile, {"mask_token": 3}) == {}


@pytest.mark.parametrize(
    ("config", "names", "library"),
    [
        ({"model_type": "bert"}, ["config.json"], "transformers"),
        ({"model_type": "bert"}, ["modules.json"], "sentence-transformers"),
        ({}, ["adapter_config.json"], "peft"),
        ({}, ["model_index.json"], "diffusers"),
        ({}, ["model.keras"], "keras"),
        ({}, ["sklearn.joblib"], "sklearn"),
        ({}, ["README.md"], ""),
    ],
)
def test_library_is_told_by_files(config, names, library):
    assert guess_library(config, names) == library


def test_formats_are_told_by_files():
    names = ["model.safetensors", "pytorch_model.bin", "model.onnx", "events.out.tfevents.1.x"]
    assert format_tags(names) == ["onnx", "pytorch", "safetensors", "tensorboard"]
    assert dataset_format_tags(["data/a.parquet", "b.CSV", "README.md"]) == [
        "format:csv",
        "format:parquet",
    ]
