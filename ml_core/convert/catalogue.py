"""The conversions there are: one table. Standard library alone: the web reads it.

To add one: a module beside `pickles.py` with a `convert` of the same signature, and its row here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ml_core.errors import Code, UserError

ADAPTER_CONFIG = "adapter_config.json"
WHOLE = ("model.safetensors", "model.safetensors.index.json")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
GGUF = ".gguf"
NO_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")
"""How files begin that are pickles and no weights."""


@dataclass(frozen=True)
class Conversion:
    """One way to change a model's files.

    Args:
        runner: module with `convert`.
        needs_base: whether it reads a second model, that of an adapter.
        may_stay: whether the outcome may lie beside what it was made from; else it needs a
            repository of its own.
        relation: of the new model to the old one, as the Hub names it.
    """

    name: str
    runner: str
    needs_base: bool = False
    may_stay: bool = True
    relation: str | None = None


CONVERSIONS: dict[str, Conversion] = {
    each.name: each
    for each in (
        Conversion("safetensors", "ml_core.convert.to_safetensors"),
        Conversion(
            "merge", "ml_core.convert.merging", needs_base=True, may_stay=False, relation="merge"
        ),
        Conversion("onnx", "ml_core.convert.to_onnx"),
        Conversion("int8", "ml_core.convert.to_int8", relation="quantized"),
    )
}


def get_conversion(name: str) -> Conversion:
    """The conversion called `name`. Raises UserError `spec_invalid`."""
    if name not in CONVERSIONS:
        known = ", ".join(CONVERSIONS)
        raise UserError(Code.SPEC_INVALID, f"There is no conversion {name!r}; there are {known}.")
    return CONVERSIONS[name]


def convertible_files(names: Iterable[str]) -> list[str]:
    """Files at the top of a repository that the conversion “safetensors” can take."""
    return sorted(n for n in names if "/" not in n and (_is_pickle(n) or n.endswith(GGUF)))


def why_not(conversion: Conversion, names: Iterable[str]) -> UserError | None:
    """Why a repository of these files cannot be converted so; None where it can be tried."""
    there = {name for name in names if "/" not in name}
    is_adapter = ADAPTER_CONFIG in there and not there.intersection(WHOLE)
    problem = None
    if conversion.name == "safetensors":
        if not convertible_files(there):
            problem = "There is no PyTorch pickle (.bin, .pt) and no GGUF file at the top level."
    elif conversion.name == "merge":
        if not is_adapter:
            problem = "The repository holds no adapter alone: there is nothing to merge."
    elif is_adapter:
        problem = "The repository holds an adapter. Merge it into its base first."
    elif not there.intersection(WHOLE):
        problem = "There are no safetensors weights. Convert the model to safetensors first."
    return UserError(Code.NOTHING_TO_CONVERT, problem) if problem else None


def _is_pickle(name: str) -> bool:
    return name.endswith(PICKLES) and not name.startswith(NO_WEIGHTS)
