"""What a model's config files and file names say: architecture, task, library. Pure.

Source: the Hub's documented rules for `transformersInfo`, `pipeline_tag` and `library_name`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

MAX_TEXT = 200
AUTO_MODELS: Mapping[str, tuple[str, str]] = {
    "ForSequenceClassification": ("AutoModelForSequenceClassification", "text-classification"),
    "ForTokenClassification": ("AutoModelForTokenClassification", "token-classification"),
    "ForQuestionAnswering": ("AutoModelForQuestionAnswering", "question-answering"),
    "ForMaskedLM": ("AutoModelForMaskedLM", "fill-mask"),
    "ForPreTraining": ("AutoModelForPreTraining", ""),
    "ForCausalLM": ("AutoModelForCausalLM", "text-generation"),
    "LMHeadModel": ("AutoModelForCausalLM", "text-generation"),
    "ForMultipleChoice": ("AutoModelForMultipleChoice", "multiple-choice"),
    "ForImageClassification": ("AutoModelForImageClassification", "image-classification"),
    "ForObjectDetection": ("AutoModelForObjectDetection", "object-detection"),
    "ForSemanticSegmentation": ("AutoModelForSemanticSegmentation", "image-segmentation"),
    "ForInstanceSegmentation": ("AutoModelForInstanceSegmentation", "image-segmentation"),
    "ForUniversalSegmentation": ("AutoModelForUniversalSegmentation", "image-segmentation"),
    "ForDepthEstimation": ("AutoModelForDepthEstimation", "depth-estimation"),
    "ForAudioClassification": ("AutoModelForAudioClassification", "audio-classification"),
    "ForVideoClassification": ("AutoModelForVideoClassification", "video-classification"),
    "ForCTC": ("AutoModelForCTC", "automatic-speech-recognition"),
    "ForSpeechSeq2Seq": ("AutoModelForSpeechSeq2Seq", "automatic-speech-recognition"),
    "ForImageTextToText": ("AutoModelForImageTextToText", "image-text-to-text"),
    "ForZeroShotImageClassification": (
        "AutoModelForZeroShotImageClassification",
        "zero-shot-image-classification",
    ),
    "ForConditionalGeneration": ("AutoModelForSeq2SeqLM", ""),
    "Model": ("AutoModel", "feature-extraction"),
}
BY_MODEL_TYPE: Mapping[str, tuple[str, str]] = {
    "whisper": ("AutoModelForSpeechSeq2Seq", "automatic-speech-recognition"),
    "marian": ("AutoModelForSeq2SeqLM", "translation"),
    "m2m_100": ("AutoModelForSeq2SeqLM", "translation"),
    "pegasus": ("AutoModelForSeq2SeqLM", "summarization"),
    "clip": ("AutoModelForZeroShotImageClassification", "zero-shot-image-classification"),
    "siglip": ("AutoModelForZeroShotImageClassification", "zero-shot-image-classification"),
}
PROCESSORS: Mapping[str, str] = {
    "preprocessor_config.json": "AutoProcessor",
    "processor_config.json": "AutoProcessor",
}
LIBRARIES_BY_FILE: tuple[tuple[str, str], ...] = (
    ("adapter_config.json", "peft"),
    ("model_index.json", "diffusers"),
    ("config_sentence_transformers.json", "sentence-transformers"),
    ("modules.json", "sentence-transformers"),
    ("config_setfit.json", "setfit"),
    ("hyperparams.yaml", "speechbrain"),
    ("saved_model.pb", "keras"),
)
LIBRARIES_BY_SUFFIX: Mapping[str, str] = {
    ".keras": "keras",
    ".nemo": "nemo",
    ".mlpackage": "coreml",
    ".gguf": "gguf",
    ".joblib": "sklearn",
}
FORMATS_BY_SUFFIX: Mapping[str, str] = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".gguf": "gguf",
    ".tflite": "tflite",
}
FORMATS_BY_NAME: Mapping[str, str] = {
    "pytorch_model.bin": "pytorch",
    "pytorch_model.bin.index.json": "pytorch",
    "tf_model.h5": "tf",
    "flax_model.msgpack": "jax",
    "rust_model.ot": "rust",
}


def guess_relation(
    config: Mapping[str, Any], names: Collection[str], *, library: str, n_bases: int
) -> str:
    """How a model came from its base models, where its card does not say. Source: Hub's rules."""
    if library == "peft" or "adapter_config.json" in names:
        return "adapter"
    if n_bases > 1:
        return "merge"
    if "quantization_config" in config or any(name.endswith(".gguf") for name in names):
        return "quantized"
    return "finetune"


def summarize_config(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """The few fields of `config.json` and `tokenizer_config.json` that pages and lists show."""
    summary: dict[str, Any] = {}
    architectures = config.get("architectures")
    if isinstance(architectures, list):
        names = [name[:MAX_TEXT] for name in architectures if isinstance(name, str)]
        summary["architectures"] = names[:10]
    for key in ("model_type",):
        if isinstance(config.get(key), str):
            summary[key] = config[key][:MAX_TEXT]
    auto_map = config.get("auto_map")
    if isinstance(auto_map, dict):
        summary["auto_map"] = {
            str(key)[:MAX_TEXT]: value[:MAX_TEXT]
            for key, value in list(auto_map.items())[:20]
            if isinstance(value, str)
        }
    method = config.get("quantization_config")
    if isinstance(method, dict) and isinstance(method.get("quant_method"), str):
        summary["quantization_config"] = {"quant_method": method["quant_method"][:MAX_TEXT]}
    tokens = {key: text for key in _TOKENS if (text := _token_text(tokenizer.get(key)))}
    if tokens:
        summary["tokenizer_config"] = tokens
    return summary


_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token", "mask_token", "cls_token",
           "sep_token")  # fmt: skip


def _token_text(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text[:MAX_TEXT] if isinstance(text, str) else ""


def transformers_info(config: Mapping[str, Any], names: Collection[str]) -> dict[str, str] | None:
    """The Hub's `transformersInfo` for a summarised config; None where it says too little.

    Holds `auto_model` and, where known, `custom_class`, `pipeline_tag` and `processor`: clients
    accept no other key.
    """
    if not isinstance(config.get("model_type"), str):
        return None
    architecture = next(iter(config.get("architectures") or []), "")
    auto_map = config.get("auto_map") or {}
    auto_model, pipeline_tag = _auto_model(architecture, config["model_type"])
    info = {"auto_model": auto_model}
    custom = next((name for name in auto_map if name.startswith("AutoModel")), None)
    if custom:
        info |= {"auto_model": custom, "custom_class": auto_map[custom]}
    if pipeline_tag:
        info["pipeline_tag"] = pipeline_tag
    processor = _processor(names)
    if processor:
        info["processor"] = processor
    return info


def _auto_model(architecture: str, model_type: str) -> tuple[str, str]:
    suffix = next((s for s in AUTO_MODELS if architecture.endswith(s)), None)
    if suffix in (None, "Model", "ForConditionalGeneration") and model_type in BY_MODEL_TYPE:
        return BY_MODEL_TYPE[model_type]
    return AUTO_MODELS[suffix] if suffix else ("AutoModel", "")


def _processor(names: Collection[str]) -> str:
    for name, processor in PROCESSORS.items():
        if name in names:
            return processor
    has_tokenizer = any(re.match(r"tokenizer|vocab|spiece|merges", name) for name in names)
    return "AutoTokenizer" if has_tokenizer else ""


def guess_library(config: Mapping[str, Any], names: Iterable[str]) -> str:
    """The library that loads the model, by files that only it writes; "" where none is known."""
    present = set(names)
    for name, library in LIBRARIES_BY_FILE:
        if name in present:
            return library
    if config.get("model_type"):
        return "transformers"
    suffixes = {PurePosixPath(name).suffix for name in present}
    return next((lib for suffix, lib in LIBRARIES_BY_SUFFIX.items() if suffix in suffixes), "")


def format_tags(names: Iterable[str]) -> list[str]:
    """Formats of weights among the files, as the Hub tags them."""
    found: dict[str, None] = {}
    for name in names:
        tag = FORMATS_BY_NAME.get(name) or FORMATS_BY_SUFFIX.get(PurePosixPath(name).suffix)
        if tag:
            found[tag] = None
        if name.startswith("events.out.tfevents"):
            found["tensorboard"] = None
    return sorted(found)


def dataset_format_tags(paths: Iterable[str]) -> list[str]:
    """`format:` tags of a data set, by the suffixes of its files."""
    known = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json",
             ".jsonl": "json", ".txt": "text", ".arrow": "arrow", ".png": "imagefolder",
             ".jpg": "imagefolder", ".wav": "audiofolder", ".flac": "audiofolder"}  # fmt: skip
    found = {
        known[suffix] for path in paths if (suffix := PurePosixPath(path).suffix.lower()) in known
    }
    return [f"format:{name}" for name in sorted(found)]
