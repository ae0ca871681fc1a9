"""A LoRA adapter as it lies in a folder: its settings and the header of its weights, checked.

No torch, and none of peft: peft imports modules that an adapter's own config may name, and matches
its patterns as regular expressions. What an adapter does is wholly told by its tensors' names and
shapes and a few numbers, which are read here.

Source: peft 0.21, `LoraConfig` and `get_peft_model_state_dict`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_core.errors import Code, UserError
from ml_core.formats import FormatError
from ml_core.formats.safetensors import SafetensorsHeader, read_header
from ml_core.load.config import read_json

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"
PREFIX = "base_model.model."
MAX_HEADER_BYTES = 25_000_000
MAX_RANK = 4096
HARMLESS = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
        "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights",
        "layers_pattern", "layers_to_transform", "loftq_config", "lora_alpha", "lora_dropout",
        "lora_ga_config", "megatron_core", "modules_to_save", "peft_type", "peft_version",
        "qalora_group_size", "r", "rank_pattern", "alpha_pattern", "revision", "runtime_config",
        "target_modules", "task_type", "use_rslora",
    }
)  # fmt: skip
"""Settings that were of use in training alone, or that are looked at here."""
KEPT_BASES = (True, False, None, "gaussian", "eva", "orthogonal")
"""Ways to begin that leave the base's own weights as they are."""
CLASS_OF_TASK: Mapping[str, tuple[str, ...]] = {
    "SEQ_CLS": ("ForSequenceClassification",),
    "TOKEN_CLS": ("ForTokenClassification",),
    "QUESTION_ANS": ("ForQuestionAnswering",),
    "CAUSAL_LM": ("ForCausalLM", "LMHeadModel"),
    "SEQ_2_SEQ_LM": ("ForConditionalGeneration", "ForSeq2SeqLM"),
}
_PLAIN = re.compile(r"[\w.]+")
_FACTOR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?")


@dataclass(frozen=True)
class Factors:
    """The two tensors of one addition: names in the file, and the rank between them."""

    down: str
    up: str
    rank: int
    is_embedding: bool


@dataclass(frozen=True)
class Adapter:
    """An adapter whose settings and header hold.

    `factors` by the name of the module they add to; `replaced` from the name of a parameter of the
    model to the tensor that takes its place. `base` is what its config calls its base, which is
    shown and never opened.
    """

    folder: Path
    factors: Mapping[str, Factors]
    replaced: Mapping[str, str]
    n_parameters: int
    task_type: str | None
    base: str | None
    alpha: float
    alphas: Mapping[str, float]
    is_rank_stabilised: bool

    def scale(self, module: str) -> float:
        """What the product of the factors of `module` is multiplied by."""
        rank = self.factors[module].rank
        own = [a for key, a in self.alphas.items() if module == key or module.endswith(f".{key}")]
        alpha = own[0] if own else self.alpha
        return alpha / (math.sqrt(rank) if self.is_rank_stabilised else rank)


def is_adapter_only(folder: Path) -> bool:
    """Whether `folder` holds an adapter and no weights of a whole model."""
    whole = ("model.safetensors", "model.safetensors.index.json")
    return (folder / ADAPTER_CONFIG).is_file() and not any((folder / n).is_file() for n in whole)


def open_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`. Raises UserError: `unsafe_format`, `adapter_invalid`."""
    settings = read_json(folder / ADAPTER_CONFIG, Code.ADAPTER_INVALID)
    _check_settings(settings)
    factors, replaced, n_parameters = _sorted_out(_header(folder))
    task = settings.get("task_type")
    base = settings.get("base_model_name_or_path")
    alphas: Any = settings.get("alpha_pattern") or {}  # an object, as `_check_settings` found
    return Adapter(
        folder,
        factors,
        replaced,
        n_parameters,
        task if isinstance(task, str) else None,
        base if isinstance(base, str) else None,
        _number(settings.get("lora_alpha", 8), "lora_alpha"),
        {key: _number(value, "alpha_pattern") for key, value in dict(alphas).items()},
        bool(settings.get("use_rslora")),
    )


def check_task(adapter: Adapter, class_name: str, purpose: str) -> None:
    """Raise `unsupported_model` where the adapter was trained for another kind of model."""
    wanted = CLASS_OF_TASK.get(adapter.task_type or "")
    if wanted is not None and not class_name.endswith(wanted):
        raise UserError(
            Code.UNSUPPORTED_MODEL,
            f"The adapter was trained for {adapter.task_type} (task_type in {ADAPTER_CONFIG}); "
            f"this needs a model for {purpose}.",
            task_type=adapter.task_type,
        )


def _check_settings(settings: Mapping[str, object]) -> None:
    method = settings.get("peft_type", "LORA")
    if method != "LORA":
        raise invalid(f"Adapters of the method {method!r} are not supported; LoRA is.")
    strange = sorted(name for name, value in settings.items() if value and name not in HARMLESS)
    if strange:
        raise invalid(
            f"The adapter uses {', '.join(strange[:5])}, which is not supported here. Merge it "
            "into its base on your own computer and upload the whole model."
        )
    if settings.get("init_lora_weights", True) not in KEPT_BASES:
        raise invalid(
            f"The adapter began as {settings['init_lora_weights']!r}, which changes the base's own "
            "weights. Save it as plain LoRA (path_initial_model_for_weight_conversion)."
        )
    alphas = settings.get("alpha_pattern") or {}
    if not isinstance(alphas, dict) or not all(_PLAIN.fullmatch(str(key)) for key in alphas):
        raise invalid("alpha_pattern must name modules without regular expressions.")


def _header(folder: Path) -> SafetensorsHeader:
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        if (folder / ADAPTER_PICKLE).is_file():
            raise UserError(
                Code.UNSAFE_FORMAT,
                f"The adapter is in {ADAPTER_PICKLE}, a format that can run code when it is "
                "opened, so it was not opened. Convert it to safetensors first (the action "
                "“Convert” of this model, or save_pretrained on your own computer).",
                files=[ADAPTER_PICKLE],
            )
        raise invalid(f"The repository has an {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}.")
    try:
        with path.open("rb") as stream:
            return read_header(stream, max_header_bytes=MAX_HEADER_BYTES)
    except (OSError, FormatError) as error:
        raise invalid(f"{ADAPTER_WEIGHTS} is damaged or no safetensors file: {error}") from error


def _sorted_out(header: SafetensorsHeader) -> tuple[dict[str, Factors], dict[str, str], int]:
    sides: dict[tuple[str, bool], dict[str, str]] = {}
    replaced: dict[str, str] = {}
    shapes = {tensor.name: tuple(tensor.shape) for tensor in header.tensors}
    for key in sorted(shapes):
        if not key.startswith(PREFIX):
            raise invalid(f"The tensor {key[:200]!r} is not named as peft names an adapter's.")
        name = key.removeprefix(PREFIX)
        found = _FACTOR.fullmatch(name)
        if found:
            sides.setdefault((found[1], bool(found[2])), {})[found[3]] = key
        elif ".lora_" in name:
            raise invalid(f"The adapter holds {name[:200]}, which plain LoRA has not.")
        elif ".original_module." not in name:  # what a head was before the adapter replaced it
            plain = name.replace(".modules_to_save", "").replace(".default", "")
            replaced[plain.replace(".base_layer", "")] = key
    if not sides and not replaced:
        raise invalid(f"{ADAPTER_WEIGHTS} holds no tensor.")
    factors = {m: _factors(m, is_embedding, s, shapes) for (m, is_embedding), s in sides.items()}
    return factors, replaced, sum(math.prod(shape) for shape in shapes.values())


def _factors(
    module: str, is_embedding: bool, sides: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> Factors:
    if set(sides) != {"A", "B"}:
        raise invalid(f"Of the addition to {module[:200]} one of the two factors is missing.")
    down, up = shapes[sides["A"]], shapes[sides["B"]]
    if len(down) != 2 or len(up) != 2 or down[0] != up[1] or not 0 < down[0] <= MAX_RANK:
        raise invalid(f"The factors for {module[:200]} do not fit each other: {down} and {up}.")
    return Factors(sides["A"], sides["B"], down[0], is_embedding)


def _number(value: object, name: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]  # a number by now
        raise invalid(f"{name} in {ADAPTER_CONFIG} is no number.")
    return float(value)  # type: ignore[arg-type]  # a number by now


def invalid(text: str) -> UserError:
    return UserError(Code.ADAPTER_INVALID, text)
