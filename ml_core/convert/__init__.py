"""Conversions of a model's files, each with a check and a record of what it did.

    from ml_core import convert
    result = convert.run(convert.ConversionSpec("onnx", ModelSpec("model")), "out")

`python -m ml_core.convert SPEC OUT` does the same as a job of its own. Importing this package
imports no torch, so that the platform can read the table of conversions; a run does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_core.convert.catalogue import CONVERSIONS, Conversion, get_conversion
from ml_core.convert.results import ConversionResult
from ml_core.convert.specs import ConversionSpec

if TYPE_CHECKING:
    from ml_core.convert.conversion import RESULT_FILE, run

__all__ = [
    "CONVERSIONS",
    "RESULT_FILE",
    "Conversion",
    "ConversionResult",
    "ConversionSpec",
    "get_conversion",
    "run",
]


def __getattr__(name: str) -> Any:  # what the module has
    if name not in ("RESULT_FILE", "run"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ml_core.convert.conversion"), name)
