"""Checkpoints of a few kilobytes, built from a config, with tokenizers trained on a few lines."""

import json
from pathlib import Path

SENTENCES = (
    "the cat sat on the mat",
    "a good film with a fine story",
    "a bad film with a dull story",
    "dogs and cats are not the same",
    "this was a very long and very good day",
    "nobody liked the end of it",
)
LABELS = ("negative", "positive")


def train_tokenizer(vocab_size: int = 200):
    """A BERT-like fast tokenizer over `SENTENCES`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=special)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def save_text_classifier(
    folder: Path, *, labels: tuple[str, ...] | None = LABELS, seed: int = 0, **config: object
) -> Path:
    """A two-layer BERT of width 16 with a head for `labels`, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    tokenizer = train_tokenizer()
    names = labels or ("LABEL_0", "LABEL_1")
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "initializer_range": 0.5,
        "id2label": dict(enumerate(names)),
        "label2id": {name: at for at, name in enumerate(names)},
    } | config
    model = BertForSequenceClassification(BertConfig(**settings))
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_decoder_classifier(folder: Path, *, pad_token: bool) -> Path:
    """A GPT-2 classifier, which finds the last token of a row by the padding id."""
    import torch
    from transformers import GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    if not pad_token:
        tokenizer.pad_token = None
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        id2label=dict(enumerate(LABELS)),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=2,
        eos_token_id=3,
    )
    model = GPT2ForSequenceClassification(config)
    torch.nn.init.normal_(model.score.weight, std=1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


TAGS = ("O", "B-animal", "I-animal", "B-thing", "I-thing")


def bert_settings(vocab_size: int) -> dict[str, object]:
    """A two-layer BERT of width 16 with 64 positions."""
    return {
        "vocab_size": vocab_size,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "initializer_range": 0.5,
    }


def save_token_classifier(folder: Path, *, tags: tuple[str, ...] = TAGS) -> Path:
    """A small BERT that tags words, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    names = {"id2label": dict(enumerate(tags)), "label2id": {n: at for at, n in enumerate(tags)}}
    model = BertForTokenClassification(BertConfig(**bert_settings(len(tokenizer)), **names))
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_question_answerer(folder: Path) -> Path:
    """A small BERT that finds answers in texts, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    model = BertForQuestionAnswering(BertConfig(**bert_settings(len(tokenizer))))
    torch.nn.init.normal_(model.qa_outputs.weight, std=1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_masked_lm(folder: Path, **config: object) -> Path:
    """A small BERT with its head for masked words, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    settings = bert_settings(len(tokenizer)) | config
    BertForMaskedLM(BertConfig(**settings)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train_byte_tokenizer(vocab_size: int = 320):
    """A GPT-2-like tokenizer over the bytes of `SENTENCES`: no text has an unknown token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    end = "<|endoftext|>"
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[end], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, bos_token=end, eos_token=end
    )


def save_causal_lm(folder: Path) -> Path:
    """A two-layer GPT-2 of width 16 with 64 positions, and a tokenizer over bytes."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    tokenizer = train_byte_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=64,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_writer(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer Llama of width 32 whose texts end at different lengths, and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    tokenizer = train_byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=list(range(0, 300, 25)),
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_translator(folder: Path, *, kind: str = "t5") -> Path:
    """A small T5 or BART whose texts end at different lengths, and its tokenizer."""
    import torch
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        T5Config,
        T5ForConditionalGeneration,
    )

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    special = {"pad_token_id": 0, "eos_token_id": [3, *range(20, 100, 10)]}
    special["vocab_size"] = len(tokenizer)
    if kind == "t5":
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4}
        config = T5Config(**sizes, **special, decoder_start_token_id=0, initializer_factor=8.0)
        model = T5ForConditionalGeneration(config)
    else:
        names = ("encoder_layers", "decoder_layers", "encoder_attention_heads")
        sizes = dict.fromkeys((*names, "decoder_attention_heads"), 2) | {"d_model": 32}
        sizes |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64}
        config = BartConfig(
            **sizes,
            **special,
            bos_token_id=2,
            decoder_start_token_id=3,
            forced_bos_token_id=2,
            forced_eos_token_id=None,
            init_std=0.5,
        )
        model = BartForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_image_classifier(
    folder: Path, *, labels: tuple[str, ...] = ("dark", "bright"), image_size: int = 16
) -> Path:
    """A one-layer ViT over `image_size` pixels, and its image processor."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=image_size,
        patch_size=8,
        id2label=dict(enumerate(labels)),
        label2id={name: at for at, name in enumerate(labels)},
    )
    model = ViTForImageClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    size = {"height": image_size, "width": image_size}
    ViTImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def edit_json(path: Path, **values: object) -> None:
    """Set keys of a JSON file; a value of None takes the key out."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def save_detector(folder: Path, *, labels: tuple[str, ...] = ("cat", "dog")) -> Path:
    """A DETR over a ResNet of width 8 with 7 queries, and its image processor."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessorPil, ResNetConfig

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage4"],
    )
    config = DetrConfig(
        backbone_config=backbone,
        use_timm_backbone=False,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=7,
        init_std=0.5,
        id2label=dict(enumerate(labels)),
        label2id={name: at for at, name in enumerate(labels)},
    )
    model = DetrForObjectDetection(config)
    for parameter in (model.class_labels_classifier.weight, model.bbox_predictor.layers[2].weight):
        torch.nn.init.normal_(parameter, std=1.0)
    model.save_pretrained(folder)
    size = {"shortest_edge": 32, "longest_edge": 64}
    DetrImageProcessorPil(size=size).save_pretrained(folder)
    return folder


def save_segmenter(folder: Path, *, labels: tuple[str, ...] = ("sky", "road", "car")) -> Path:
    """A SegFormer of width 8, and its image processor."""
    import torch
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessorPil,
    )

    torch.manual_seed(0)
    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=8,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={name: at for at, name in enumerate(labels)},
    )
    model = SegformerForSemanticSegmentation(config)
    torch.nn.init.normal_(model.decode_head.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    SegformerImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_clip(folder: Path, *, image_size: int = 16) -> Path:
    """A CLIP of width 16 in both towers, its tokenizer and its image processor."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    tokenizer = train_tokenizer()
    tower = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "initializer_factor": 20.0,
    }
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    text = tower | ends | {"vocab_size": len(tokenizer), "max_position_embeddings": 32}
    config = CLIPConfig(
        text_config=text,
        vision_config=tower | {"image_size": image_size, "patch_size": 8},
        projection_dim=8,
        initializer_factor=20.0,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"shortest_edge": image_size}
    crop = {"height": image_size, "width": image_size}
    CLIPImageProcessorPil(size=size, crop_size=crop).save_pretrained(folder)
    return folder


def save_adapter(
    base: Path, folder: Path, *, labels: tuple[str, ...] = LABELS, **settings: object
) -> Path:
    """An adapter that peft makes for the text classifier in `base`, with a head of its own."""
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    settings = {
        "r": 3,
        "lora_alpha": 6,
        "task_type": "SEQ_CLS",
        "target_modules": ["query", "value", "intermediate.dense"],
        "modules_to_save": ["classifier"],
        "init_lora_weights": False,
    } | settings
    config = BertConfig.from_pretrained(base)
    config.id2label = dict(enumerate(labels))
    model = BertForSequenceClassification.from_pretrained(
        base, config=config, ignore_mismatched_sizes=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's words with this transformers
        wrapped = get_peft_model(model, LoraConfig(**settings))
    if settings["modules_to_save"]:
        torch.nn.init.normal_(wrapped.base_model.model.classifier.modules_to_save.default.weight)
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()
    edit_json(folder / "adapter_config.json", base_model_name_or_path="someone/base")
    return folder
